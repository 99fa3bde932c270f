"""The names of the files in and beside a dataset folder, without a heavy import."""

from __future__ import annotations

INTERACTIONS = "interactions.parquet"
FILMS = "films.parquet"
META = "meta.json"
TEST = "test_raw.jsonl"
DATASET_INFO = "dataset_info.json"


def split_file(split: str, form: str) -> str:
    """`train.json`, `eval.jsonl` (`form` is json or jsonl); the test rows are always JSONL."""
    return TEST if split == "test" else f"{split}.{form}"
