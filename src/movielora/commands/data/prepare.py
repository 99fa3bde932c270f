"""`movielora prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from movielora.dataset.options import Export, PrepareOptions, Split
from movielora.errors import ConfigError
from movielora.sources.movielens.download_names import DOWNLOAD_DIR, GROUPLENS, Download
from movielora.sources.titles import Titles

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_DEFAULT = PrepareOptions()
_EXAMPLE = "Example: movielora prepare --download ml-latest-small --output-dir data/movielens_qwen3"


@app.command(epilog=_EXAMPLE)
def prepare(
    output_dir: Annotated[Path, Option(help="Dataset folder to write, such as data/movielens_qwen3.")],
    source: Annotated[
        Path | None, Option(help="Folder or zip of MovieLens or RecBole, or its file of ratings.")
    ] = None,
    download: Annotated[Download | None, Option(help=f"Instead fetch it from GroupLens into {DOWNLOAD_DIR}.")] = None,
    history_len: Annotated[int, Option(help="Films shown before the candidate.")] = _DEFAULT.history_len,
    rating_threshold: Annotated[float, Option(help="Stars from which it is Yes.")] = _DEFAULT.rating_threshold,
    val_ratio: Annotated[float, Option(help="Share of the examples for evaluation.")] = _DEFAULT.val_ratio,
    test_ratio: Annotated[float, Option(help="Share of the examples for the test.")] = _DEFAULT.test_ratio,
    split: Annotated[Split, Option(help="Hold out each user's last examples, or all after a moment.")] = _DEFAULT.split,
    max_per_user: Annotated[
        int | None, Option(help="Keep a user's newest N examples, before the split.", show_default="all")
    ] = _DEFAULT.max_per_user,
    max_eval: Annotated[
        int | None, Option(help="Keep a seeded sample of N evaluation examples.", show_default="all")
    ] = _DEFAULT.max_eval,
    seed: Annotated[int, Option(help="Seed of that sample.")] = _DEFAULT.seed,
    export: Annotated[
        Export | None,
        Option(help="JSON for other tools: an array, a record a line, or none.", show_default="json up to 1M examples"),
    ] = _DEFAULT.export,
    titles: Annotated[
        Titles, Option(help="How prompts write titles: The Matrix (1999), or as given (Matrix, The).")
    ] = _DEFAULT.titles,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace a dataset of other settings or ratings that movielora wrote there.")
    ] = False,
    file_format: Annotated[Export | None, Option("--format", hidden=True)] = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
    mirror: Annotated[str, Option("--download-url", hidden=True, envvar="MOVIELORA_DOWNLOAD_URL")] = GROUPLENS,
) -> None:
    """Turn ratings into training, evaluation and test examples."""
    options = PrepareOptions(
        history_len, rating_threshold, val_ratio, test_ratio, split, max_per_user, max_eval, seed,
        export or file_format, titles,
    )  # fmt: skip
    from movielora.console.data import prepare_view
    from movielora.console.output import emit_json
    from movielora.console.reporting import reporter
    from movielora.preparation.prepare import prepare as run_prepare
    from movielora.sources.movielens.download import fetch

    listener = reporter()
    if source is None and download is not None:
        source = fetch(download, DOWNLOAD_DIR, listener, base_url=mirror)
    elif source is None or download is not None:
        raise ConfigError("Give either --source or --download.", "For example: --download ml-latest-small")
    prepared = run_prepare(source, output_dir, options, listener, overwrite=overwrite)
    if as_json:
        emit_json(prepare_view.prepared_json(prepared))
    else:
        prepare_view.show_prepared(prepared)
