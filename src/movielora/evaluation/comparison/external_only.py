"""Compare external scores with the strongest baseline, without a model."""

from __future__ import annotations

from typing import Any

from movielora.errors import ConfigError
from movielora.evaluation.baselines.row_facts import row_facts
from movielora.evaluation.comparison.columns import reserved_columns, strongest_baseline
from movielora.evaluation.comparison.inputs import rows_digest
from movielora.evaluation.comparison.provenance import provenance
from movielora.evaluation.comparison.request import CompareRequest, ExternalOnly
from movielora.evaluation.comparison.summary import summarise, write_summary
from movielora.evaluation.features.files import SplitFiles
from movielora.evaluation.features.genres import read_genres
from movielora.evaluation.judged.fair_test import examine_fairness
from movielora.evaluation.judged.sample import ChosenRows, choose_rows
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.evaluation.saved.own_files import write_own_lines
from movielora.evaluation.saved.workplace import open_folder
from movielora.examples.example_set import ExampleSet
from movielora.examples.load import ExampleLoader
from movielora.examples.shown_candidates import warn_of_shown_candidates
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
    request: CompareRequest,
    files: SplitFiles,
    folder: ComparisonFolder,
    loader: ExampleLoader,
    reporter: Reporter,
) -> dict[str, Any]:
    """Write the comparison folder, return what `--json` prints. Reference: the strongest baseline; candidate: the file.

    Raises DataError for scores that do not fit the rows, or rows that the baselines learn from; ConfigError if no
    baseline can be computed.
    """
    every = loader.open(files.test)
    chosen = choose_rows(every, request.most_rows)
    warn_of_shown_candidates(chosen.of(every), reporter)
    facts = row_facts(files, reporter, loader)
    fair_test, _ = examine_fairness(
        [], None, chosen, files, facts, loader, reporter, allow_overlap=request.allow_overlap
    )
    scores = read_scores(kind.scores, facts.labels, chosen.numbers)
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
        "rows": len(chosen.places),
        **({"sample": rows_digest(chosen.places)} if chosen.is_sample else {}),
    }
    with open_folder(folder, inputs, overwrite=request.overwrite, reporter=reporter) as working:
        baseline = facts.fitted.log_odds[best]["test"][chosen.places]
        columns = {roles.reference: baseline, roles.candidate: scores.log_odds}
        write_own_lines(working, working.predictions, _lines(chosen, every, columns))
        table = read_predictions(working.predictions, sample=chosen.is_sample)
        summary = summarise(table, facts, roles, genres=read_genres(files), fair_test=fair_test, reporter=reporter)
        return write_summary(working, summary, provenance(files, None, None), output_dir=str(folder.root))


def _lines(chosen: ChosenRows, every: ExampleSet, columns: dict[str, Floats]) -> list[dict[str, Any]]:
    """Lines of predictions.jsonl; `columns` are of the chosen rows of `every` example of the test file."""
    return [
        {
            "row": row,
            "label": YES if example.label else NO,
            **{name: _score(float(log_odds[place])) for name, log_odds in columns.items()},
            **described(example),
        }
        for place, (row, example) in enumerate(zip(chosen.places.tolist(), chosen.of(every), strict=True))
    ]


def _score(log_odds: float) -> dict[str, Any]:
    return {"log_odds": log_odds, "answer_mass": None, "prediction": YES if log_odds > 0 else NO}
