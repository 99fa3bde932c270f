"""Compare external scores with the strongest baseline, without a model."""

from __future__ import annotations

from typing import Any

from movielora.errors import ConfigError
from movielora.evaluation.baselines.row_facts import row_facts
from movielora.evaluation.comparison.columns import reserved_columns, strongest_baseline
from movielora.evaluation.comparison.provenance import provenance
from movielora.evaluation.comparison.request import ExternalOnly
from movielora.evaluation.comparison.summary import summarise, write_summary
from movielora.evaluation.features.files import SplitFiles
from movielora.evaluation.features.genres import read_genres
from movielora.evaluation.saved.folder import ComparisonFolder, write_lines
from movielora.evaluation.saved.workplace import open_folder
from movielora.examples.example_set import ExampleSet
from movielora.examples.load import ExampleLoader
from movielora.progress import Reporter
from movielora.prompt.template import NO, YES
from movielora.scoring.external import read_scores
from movielora.scoring.log_odds import Floats
from movielora.scoring.predict import described
from movielora.scoring.predictions import read_predictions
from movielora.scoring.score_table import Roles, free_name
from movielora.storage.hashing import file_sha256


def compare_external(
    kind: ExternalOnly,
    files: SplitFiles,
    examples: ExampleSet,
    folder: ComparisonFolder,
    loader: ExampleLoader,
    *,
    overwrite: bool,
    reporter: Reporter,
) -> dict[str, Any]:
    """Write the comparison folder, return what `--json` prints. Reference: the strongest baseline; candidate: the file.

    Raises DataError for scores that do not fit the rows, ConfigError if no baseline can be computed.
    """
    facts = row_facts(files, reporter, loader)
    scores = read_scores(kind.scores, facts.labels[: len(examples)])
    best = strongest_baseline(facts)
    if best is None:
        raise ConfigError(
            "no baseline can be computed for these rows, so there is nothing to compare with",
            "put train.json beside the test file, or give --config",
        )
    roles = Roles(best, free_name(kind.scores.stem, reserved_columns(), "file"))
    inputs = {
        "test_file": loader.content_hash(files.test),
        "predictions": file_sha256(kind.scores),
        "rows": len(examples),
    }
    with open_folder(folder, inputs, overwrite=overwrite, reporter=reporter) as working:
        columns = {roles.reference: facts.fitted.log_odds[best]["test"], roles.candidate: scores.log_odds}
        write_lines(working.predictions, _lines(examples, columns))
        summary = summarise(
            read_predictions(working.predictions), facts, roles, genres=read_genres(files), reporter=reporter
        )
        return write_summary(working, summary, provenance(files, None, None), output_dir=str(folder.root))


def _lines(examples: ExampleSet, columns: dict[str, Floats]) -> list[dict[str, Any]]:
    return [
        {
            "row": row,
            "label": YES if example.label else NO,
            **{name: _score(float(log_odds[row])) for name, log_odds in columns.items()},
            **described(example),
        }
        for row, example in enumerate(examples)
    ]


def _score(log_odds: float) -> dict[str, Any]:
    return {"log_odds": log_odds, "answer_mass": None, "prediction": YES if log_odds > 0 else NO}
