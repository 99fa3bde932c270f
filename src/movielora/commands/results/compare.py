"""`movielora compare`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from movielora.commands.completion import complete_run
from movielora.commands.parameters import Overrides
from movielora.console import output, reporting

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class ModeOption(StrEnum):
    SCORE = "score"
    GENERATE = "generate"


@app.command(epilog="Example: movielora compare --config configs/tiny_cpu.yaml --max-samples 500")
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            autocompletion=complete_run, metavar="[RUN_A [RUN_B]]", help="Name or folder of a run, or of two."
        ),
    ] = [],  # noqa: B006
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The YAML file of the training.")] = None,
    overrides: Overrides = [],  # noqa: B006
    adapter: Annotated[Path | None, typer.Option(help="Adapter folder.", show_default="the config's run")] = None,
    test_file: Annotated[
        Path | None, typer.Option(help="Rows, JSON or JSONL.", show_default="the dataset's test rows")
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Comparison folder.", show_default="comparison/ in the run")
    ] = None,
    max_samples: Annotated[int | None, typer.Option(min=1, help="A sample over users.", show_default="all")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Rows scored at once.", show_default="config")] = None,
    system_prompt: Annotated[str | None, typer.Option(help="Instead of every row's own system text.")] = None,
    mode: Annotated[ModeOption, typer.Option(help="generate also decodes text, for parity.")] = ModeOption.SCORE,
    controls: Annotated[bool, typer.Option(help="Also ask with the history shuffled and left out.")] = False,
    calibrate: Annotated[bool, typer.Option(help="Score the eval split for temperature and threshold.")] = True,
    predictions: Annotated[Path | None, typer.Option(help="JSONL of external scores.")] = None,
    base_precision: Annotated[
        Literal["4bit", "16bit"] | None,
        typer.Option(help="Score on this base, and measure the change.", show_default="config"),
    ] = None,
    allow_overlap: Annotated[
        bool, typer.Option("--allow-overlap", help="Judge rows that were trained on too.")
    ] = False,
    as_they_are: Annotated[
        bool, typer.Option("--as-they-are", help="Ask rows in words that were not trained too.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start again if the folder holds another.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Every figure, remark and sample rows.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Score base and adapter on the same rows, with simple baselines."""
    from movielora.console.results.compare_view import show_comparison
    from movielora.evaluation.comparison.compare import compare as run_compare
    from movielora.evaluation.comparison.compare import examples_to_show
    from movielora.evaluation.comparison.request import (
        CompareRequest,
        ExternalOnly,
        config_to_compare,
        kind_of_comparison,
    )
    from movielora.runs.lookup.find import find_run

    folders = [find_run(run).root for run in runs]
    kind = kind_of_comparison(
        config_to_compare(config, overrides, folders), runs=folders, adapter=adapter, scores=predictions,
        test_file=test_file, controls=controls, base_precision=base_precision,
    )  # fmt: skip
    request = CompareRequest(
        kind, None if isinstance(kind, ExternalOnly) else predictions, test_file, output_dir, max_samples, batch_size,
        system_prompt, mode.value, overwrite, calibrate, allow_overlap, as_they_are,
    )  # fmt: skip
    comparison = run_compare(request, reporting.reporter())
    if as_json:
        output.emit_json(comparison)
    else:
        show_comparison(comparison, examples_to_show(request, comparison) if verbose else (), verbose=verbose)
