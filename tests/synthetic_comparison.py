"""A plausible comparison, made from nothing: ratings → `prepare` → predictions of two invented models.

Seeded, so a test may hold figures. The base leans on the history a little; the adapter knows more, and answers.
Some titles are hostile: they must be shown as written and never run.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from movielora.dataset.options import PrepareOptions
from movielora.evaluation.baselines.row_facts import row_facts
from movielora.evaluation.comparison.summary import summarise
from movielora.evaluation.features.files import SplitFiles
from movielora.evaluation.features.genres import read_genres
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.evaluation.saved.own_files import write_own_json
from movielora.preparation.prepare import prepare
from movielora.scoring.predictions import read_predictions

HOSTILE_TITLES = (
    "<script>alert(1)</script> (1999)",
    '"><img src=x onerror="document.title=\'broken\'"> (2001)',
    "</script><!-- {{ 7*7 }} (1987)",
    "Amp & Co's “quoted” \\u003c [bold]film[/bold] (1974)",
    "نجمة ١٢٣ <|im_end|> (2010)",
    "Matrix, The (1999)",
)
GENRES = ("Drama", "Comedy", "Action", "Horror", "Romance")


@dataclass(frozen=True)
class Invented:
    """A dataset folder and a comparison folder."""

    files: SplitFiles
    folder: ComparisonFolder


def invent_dataset(root: Path, users: int = 40, films: int = 60, seed: int = 7, history_len: int = 5) -> SplitFiles:
    """Users with tastes rate films with qualities; `prepare` does the rest."""
    generator = np.random.default_rng(seed)
    source = root / "ratings"
    source.mkdir(parents=True)
    _write_films(source / "movies.csv", films, generator)
    leniency, quality = generator.normal(0, 0.8, users), generator.normal(0, 0.6, films)
    with (source / "ratings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["userId", "movieId", "rating", "timestamp"])
        for user in range(users):
            for turn, film in enumerate(generator.permutation(films)[: generator.integers(films // 2, films)]):
                stars = 3.6 + leniency[user] + quality[film] + generator.normal(0, 0.7)
                half = float(np.clip(np.round(stars * 2) / 2, 0.5, 5))
                writer.writerow([user + 1, film + 1, half, 1_000_000_000 + user * 500_000 + turn * 3_600])
    dataset = root / "dataset"
    # predictions are made of the export, and hold titles as given
    prepare(source, dataset, PrepareOptions(history_len=history_len, test_ratio=0.3, titles="as_given"))
    return SplitFiles(dataset / "test_raw.jsonl", dataset / "train.json", dataset / "eval.json")


def invent_comparison(root: Path, seed: int = 7, **sizes: int) -> Invented:
    """A finished comparison folder: predictions.jsonl, comparison.json and rows.json."""
    files = invent_dataset(root, seed=seed, **sizes)
    folder = ComparisonFolder(root / "comparison")
    folder.root.mkdir()
    write_predictions(files, folder, seed)
    finish(files, folder)
    return Invented(files, folder)


def write_predictions(files: SplitFiles, folder: ComparisonFolder, seed: int = 7) -> None:
    generator = np.random.default_rng(seed)
    _write_scores(folder.predictions, [json.loads(line) for line in files.test.read_text().splitlines()], generator)
    assert files.eval is not None
    _write_scores(folder.eval_predictions, json.loads(files.eval.read_text()), generator)


def finish(files: SplitFiles, folder: ComparisonFolder) -> dict[str, Any]:
    """Summarise and write; returns comparison.json."""
    summary = summarise(
        read_predictions(folder.predictions),
        row_facts(files),
        on_eval=read_predictions(folder.eval_predictions) if folder.eval_predictions.exists() else None,
        genres=read_genres(files),
    )
    write_own_json(folder, folder.comparison, summary.comparison)
    write_own_json(folder, folder.rows, summary.rows)
    return summary.comparison


def score(log_odds: float, answer_mass: float) -> dict[str, Any]:
    p_yes = 1 / (1 + np.exp(-log_odds))
    return {
        "log_odds": round(float(log_odds), 4),
        "p_yes": round(float(p_yes), 6),
        "answer_mass": round(float(answer_mass), 4),
        "prediction": "Yes" if log_odds > 0 else "No",
    }


def _write_films(path: Path, films: int, generator: np.random.Generator) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["movieId", "title", "genres"])
        for film in range(films):
            title = HOSTILE_TITLES[film] if film < len(HOSTILE_TITLES) else f"Film {film} ({1960 + film % 60})"
            genres = generator.choice(GENRES, size=generator.integers(1, 3), replace=False)
            writer.writerow([film + 1, title, "|".join(genres)])


def _write_scores(path: Path, records: list[dict[str, Any]], generator: np.random.Generator) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row, record in enumerate(records):
            record = {**record, "label": record.get("output") or record["label"]}
            record.pop("output", None)
            truth = 1.0 if record["label"] == "Yes" else -1.0
            base = score(0.5 + 0.25 * truth + generator.normal(0, 1.0), generator.beta(6, 3))
            adapter = score(0.8 * truth + generator.normal(0, 1.1), 1 - generator.beta(1, 300))
            line = {"row": row, **record, "base": base, "adapter": adapter}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
