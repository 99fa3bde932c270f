"""`movielora prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from movielora.data.download_names import DOWNLOAD_DIR, GROUPLENS, Download
from movielora.data.prepare_options import Format, PrepareOptions, Split
from movielora.errors import ConfigError

app = typer.Typer(add_completion=False)
_DEFAULT = PrepareOptions()


@app.command(
    epilog="Example: movielora prepare --download ml-latest-small --output-dir data/movielens_qwen3",
)
def prepare(
    output_dir: Annotated[Path, typer.Option(help="Dataset folder to write, such as data/movielens_qwen3.")],
    source: Annotated[
        Path | None, typer.Option(help="Folder or zip of MovieLens: latest-small, 25M, 32M, 1M or 100K.")
    ] = None,
    download: Annotated[
        Download | None, typer.Option(help=f"Fetch this one from GroupLens into {DOWNLOAD_DIR} instead of --source.")
    ] = None,
    history_len: Annotated[int, typer.Option(help="Films shown before the candidate.")] = _DEFAULT.history_len,
    rating_threshold: Annotated[
        float, typer.Option(help="Stars from which the answer is Yes.")
    ] = _DEFAULT.rating_threshold,
    val_ratio: Annotated[float, typer.Option(help="Share of the examples for evaluation.")] = _DEFAULT.val_ratio,
    test_ratio: Annotated[float, typer.Option(help="Share of the examples for the test.")] = _DEFAULT.test_ratio,
    split: Annotated[
        Split, typer.Option(help="Hold out each user's last examples, or all examples after one moment.")
    ] = _DEFAULT.split,
    max_per_user: Annotated[
        int | None, typer.Option(help="Keep a user's newest N examples, before the split.", show_default="all")
    ] = _DEFAULT.max_per_user,
    max_eval: Annotated[
        int | None, typer.Option(help="Keep a seeded sample of N evaluation examples.", show_default="all")
    ] = _DEFAULT.max_eval,
    seed: Annotated[int, typer.Option(help="Seed of that sample.")] = _DEFAULT.seed,
    file_format: Annotated[
        Format, typer.Option("--format", help="One JSON array, or one record a line.")
    ] = _DEFAULT.format,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    download_url: Annotated[
        str, typer.Option(hidden=True, envvar="MOVIELORA_DOWNLOAD_URL", help="A mirror of GroupLens.")
    ] = GROUPLENS,
) -> None:
    """Turn MovieLens ratings into training, evaluation and test examples."""
    options = PrepareOptions(
        history_len, rating_threshold, val_ratio, test_ratio, split, max_per_user, max_eval, seed, file_format
    )
    if (source is None) == (download is None):
        raise ConfigError("Give either --source or --download.", "For example: --download ml-latest-small")

    from movielora.console.output import emit_json
    from movielora.console.prepare_view import prepared_json, show_prepared
    from movielora.console.reporting import reporter
    from movielora.data.prepare import prepare as run_prepare

    listener = reporter()
    if download is not None:
        from movielora.data.download import fetch

        source = fetch(download, DOWNLOAD_DIR, listener, base_url=download_url)
    assert source is not None  # noqa: S101 - checked above
    prepared = run_prepare(source, output_dir, options, listener)
    if as_json:
        emit_json(prepared_json(prepared))
    else:
        show_prepared(prepared)
