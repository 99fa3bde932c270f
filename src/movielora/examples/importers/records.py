"""Records of a JSON or JSONL file, each in one of the forms listed here; a file may mix them."""

from __future__ import annotations

import hashlib
import json
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from movielora.dataset.info.entry import RecordColumns
from movielora.dataset.names import DATASET_INFO
from movielora.errors import DataError
from movielora.examples.example import Example
from movielora.examples.importers import alpaca, title_lists
from movielora.examples.importers.fields import read_answer
from movielora.examples.importers.form import Form
from movielora.storage.hashing import file_sha256

_MAKE = "movielora prepare --help shows how to make a dataset"
_FIX_COLUMNS = "fix `columns` there"
_FIX = "fix that line: JSONL holds one record a line, JSON a list of records"


# The first that matches reads the record. A new form is a file beside this one and a line here.
FORMS: tuple[Form, ...] = (
    title_lists.FORM,
    alpaca.FORM,
)
_IN_WORDS = "; ".join(form.in_words for form in FORMS)


def read_records(path: Path, columns: RecordColumns | None = None) -> Iterator[Example]:
    """The examples of a JSON array or JSONL file, in order; which of the two is seen from the first character.

    `columns` says which fields are read; without it each record is read by its own form. If it is not sure that they
    are meant, the first record decides for the file.

    Raises DataError naming the file, the line or record, the field and what to do.
    """
    if columns is not None and columns.if_present:
        yield from _read_as_the_first(path, columns)
        return
    never_seen = dict(columns.names) if columns else {}
    for place, raw in _read_objects(path):
        if isinstance(raw, dict):
            never_seen = {role: name for role, name in never_seen.items() if name not in raw}
        yield _to_example(raw, place, columns)
    if columns is not None and never_seen:
        role, name = next(iter(never_seen.items()))
        raise DataError(f"no record of {path} has `{name}`, which {columns.entry} names as its {role}", _FIX_COLUMNS)


def _read_as_the_first(path: Path, columns: RecordColumns) -> Iterator[Example]:
    """The examples, by `columns` if the first record has them. Raises DataError for a record unlike it in that."""
    first = None
    for place, raw in _read_objects(path):
        has_them = isinstance(raw, dict) and columns.are_in(raw)
        first = first or (place, has_them)
        if has_them != first[1]:
            with_them, without = (place, first[0]) if has_them else (first[0], place)
            raise DataError(
                f"{with_them} has the fields that {columns.entry} names ({columns.in_words()}), and {without} has not: "
                "one answer could be read from two fields",
                f"give the file an entry of its own in {DATASET_INFO}, or split it",
            )
        yield _to_example(raw, place, columns if has_them else None)


def first_record_has(path: Path, columns: RecordColumns) -> bool:
    """Whether the file's records are read by columns that may be meant. Raises DataError if it cannot be read."""
    _, raw = next(_read_objects(path))
    return isinstance(raw, dict) and columns.are_in(raw)


def file_content_hash(path: Path, columns: RecordColumns | None) -> str:
    """What tells the records of `path`, read by `columns`, from others, in hexadecimal. Raises DataError if it cannot
    be read."""
    content = file_sha256(path)
    return content if columns is None else hashlib.sha256(f"{content} {columns.key}".encode()).hexdigest()


def _to_example(raw: Any, place: str, columns: RecordColumns | None) -> Example:
    if not isinstance(raw, dict):
        raise DataError(f"{place} is no record but {json.dumps(raw)[:60]}", _IN_WORDS)
    if columns is not None:
        return alpaca.read_by_columns(raw, place, columns)
    form = next((form for form in FORMS if form.matches(raw)), None)
    if form is None:
        read_answer(raw, place)  # a record without an answer is reported first: it may be no record at all
        raise DataError(f"{place} has none of the known forms", _IN_WORDS)
    return form.read(raw, place)


def _read_objects(path: Path) -> Iterator[tuple[str, Any]]:
    """Where each JSON value stands, and the value. JSONL is read line by line, so that its size does not matter."""
    try:
        with path.open("rb") as file:
            start = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
            file.seek(start)
            first = next((line for line in file if line.strip()), b"")
            if not first:
                raise DataError(f"{path} is empty", _MAKE)
            file.seek(start)
            yield from _array(path, file.read()) if first.lstrip().startswith(b"[") else _lines(path, file)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", _MAKE) from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name a JSON or JSONL file in it") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _array(path: Path, content: bytes) -> Iterator[tuple[str, Any]]:
    values = _parse(content, path, first_line=1)
    if not values:
        raise DataError(f"{path} holds an empty list", _MAKE)
    for number, value in enumerate(values, 1):
        yield f"{path} record {number}", value


def _lines(path: Path, file: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield f"{path} line {number}", _parse(line, path, first_line=number)


def _parse(content: bytes, path: Path, first_line: int) -> Any:
    """The JSON value that `content` is. Raises DataError naming the line of the file."""
    try:
        return json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = first_line + content[: error.start].count(b"\n")
        raise DataError(f"{path} line {line} is not UTF-8 text", "save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise DataError(f"{path} line {line} is not JSON: {error.msg.lower()}", _FIX) from None
    except ValueError:  # Python refuses numbers of more than 4,300 digits
        raise DataError(f"{path} line {first_line} or below holds a number with too many digits", _FIX) from None
    except RecursionError:
        raise DataError(f"{path} line {first_line} or below is nested too deeply to be a record", _FIX) from None
