"""The data files of the config: found the way the training finds them, and their first record read."""

from __future__ import annotations

from movielora.config import ResolvedConfig
from movielora.dataset.find import find_dataset
from movielora.doctor.check import Check, failure, ok, skipped
from movielora.errors import RequestError
from movielora.examples.records import read_records


def check_data(resolved: ResolvedConfig | None) -> Check:
    if resolved is None:
        return skipped("data", "no config given")
    try:
        files = find_dataset(resolved)
        named = [file for file in (files.train, files.evaluation) if file is not None]
        for file in named:
            next(read_records(file), None)
    except RequestError as error:
        return failure("data", error.message, "the files of the config", error.next_step)
    return ok("data", ", ".join(f"{file} ({file.stat().st_size / 1e6:,.1f} MB)" for file in named))
