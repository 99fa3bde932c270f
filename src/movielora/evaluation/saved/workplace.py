"""Where a comparison is written: a folder of its own, continued, or replaced when its successor is complete.

A comparison that overwrites another is made in `.overwriting/` inside its folder. The earlier one and its page stay
until the new one is complete; then its files take their places, in an order that can be repeated: a kill at any moment
leaves the earlier comparison, or the new one, or what the next command finishes. A folder is movielora's if its
inputs.json says so; files of other names are never touched, and one that has the name of a result and is not as
movielora wrote it (`own_files`) is refused by its name before anything is scored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from movielora.errors import OutputError
from movielora.evaluation.saved.folder import ComparisonFolder, read_json_object
from movielora.evaluation.saved.own_files import adopt_list, list_written, remove_own, strangers_in, write_own_json
from movielora.progress import Reporter
from movielora.storage.atomic import sync
from movielora.storage.lock import FolderLock, how_to_free

_BOTH = "--overwrite starts again, --output-dir DIR keeps both"


@contextmanager
def open_folder(
    folder: ComparisonFolder, inputs: Mapping[str, Any], *, overwrite: bool, reporter: Reporter
) -> Iterator[ComparisonFolder]:
    """Yield the folder to write into, new or with what an interrupted comparison of the same inputs left in it.

    It is `folder`, or `.overwriting` inside if `folder` holds a comparison of other inputs that `overwrite` replaces;
    a complete one takes its place at the end. Locked to the end: two comparisons would write between each other's
    lines. Raises OutputError if another comparison is running in it, if it holds another one, or if it cannot be used.
    """
    held = _lock(folder)
    try:
        with _output_errors(folder):
            _settle(folder)
        working = _continued_or_begun(folder, inputs, overwrite=overwrite)
        if working == folder and folder.overwriting.inputs.is_file():
            reporter.note(f"{folder.overwriting.root} holds an interrupted comparison of other inputs: it is not shown")
        yield working
        with _output_errors(folder):
            _settle(folder)
    finally:
        held.release()


def settle(folder: ComparisonFolder) -> None:
    """Finish putting a complete comparison in its place, if that was interrupted and nobody works here."""
    if not folder.overwriting.comparison.is_file():
        return
    with suppress(OSError):  # a folder that this user may only read stays as it is
        held = FolderLock.acquire(folder.lock)
        if held is not None:
            try:
                _settle(folder)
            finally:
                held.release()


def _lock(folder: ComparisonFolder) -> FolderLock:
    with _output_errors(folder):
        folder.root.mkdir(parents=True, exist_ok=True)
        held = FolderLock.acquire(folder.lock)
    if held is None:
        raise OutputError(
            f"another comparison is running in {folder.root}",
            f"wait until it has ended, or choose another --output-dir{how_to_free(folder.lock)}",
        )
    return held


def _continued_or_begun(folder: ComparisonFolder, inputs: Mapping[str, Any], *, overwrite: bool) -> ComparisonFolder:
    wanted = json.loads(json.dumps(dict(inputs)))
    before = _inputs_of(folder)
    if before == wanted:
        _refuse_strangers(folder)
        return folder
    if before is None:
        _begin(folder, wanted)
        return folder
    begun = _inputs_of(folder.overwriting)
    if begun == wanted:  # an interrupted --overwrite: it was asked for then
        _refuse_strangers(folder, folder.overwriting)
        return folder.overwriting
    if not overwrite:
        changed = [key for key in wanted if before.get(key) != wanted[key]]
        raise OutputError(
            f"{folder.root} holds a comparison of other inputs ({', '.join(changed) or 'fewer'} changed)", _BOTH
        )
    _refuse_strangers(folder, folder.overwriting)
    if begun is not None:
        with _output_errors(folder):
            _remove_results(folder.overwriting)
    _begin(folder.overwriting, wanted)
    return folder.overwriting


def _inputs_of(folder: ComparisonFolder) -> dict[str, Any] | None:
    """What inputs.json says, None if there is none. Raises OutputError for one that movielora did not write."""
    if not folder.inputs.exists():
        return None
    found = read_json_object(folder.inputs, "choose another --output-dir")
    test_file = found.get("test_file")
    if not (isinstance(test_file, str) and re.fullmatch("[0-9a-f]{64}", test_file) and "rows" in found):
        raise OutputError(f"{folder.inputs} is not of movielora compare", "choose another --output-dir")
    return found


def _begin(folder: ComparisonFolder, inputs: dict[str, Any]) -> None:
    """Raises OutputError if a file is in the way that nothing here proves to be movielora's."""
    in_the_way = [path.name for path in (*folder.result_files(), folder.report) if path.exists() or path.is_symlink()]
    if in_the_way:
        raise OutputError(
            f"{folder.root} holds {' and '.join(in_the_way)}, but no comparison that movielora compare wrote",
            "choose another --output-dir",
        )
    with _output_errors(folder):
        folder.root.mkdir(exist_ok=True)
    write_own_json(folder, folder.inputs, inputs)


def _refuse_strangers(*folders: ComparisonFolder) -> None:
    """Raises OutputError naming the files that would be replaced, and are not as movielora wrote them."""
    for folder in folders:
        with _output_errors(folder):
            found = strangers_in(folder)
        if found:
            raise _not_replaced(folder, found)


def _not_replaced(folder: ComparisonFolder, names: list[str]) -> OutputError:
    them, are = ("they are", "are") if len(names) > 1 else ("it is", "is")
    return OutputError(
        f"{' and '.join(names)} in {folder.root} {are} not as movielora wrote the file of that name, so {them} not "
        "replaced",
        f"move {'them' if len(names) > 1 else 'it'} away, or choose another --output-dir",
    )


def _settle(folder: ComparisonFolder) -> None:
    """Put a complete overwriting comparison in place of the earlier one; nothing to do if there is none.

    Its comparison.json, written last and moved last, says that it is complete; its inputs.json, moved first, that
    nothing has moved and the earlier files may still be there. Raises OSError, and OutputError if somebody put a file
    of his own in the way.
    """
    new = folder.overwriting
    if not new.comparison.is_file():
        return
    if new.inputs.is_file():
        _refuse_strangers(folder, new)
        for path in (*new.result_files(), new.root):
            if path.exists():
                sync(path)
        adopt_list(folder, new)
        remove_own(folder, folder.report)
        _remove_results(folder)
        new.inputs.replace(folder.inputs)
    for path in reversed(new.result_files()):
        if path.is_file():
            _move(path, folder)
    list_written(folder)
    sync(folder.root)
    with suppress(OSError):  # somebody put a file there
        new.root.rmdir()


def _move(path: Path, folder: ComparisonFolder) -> None:
    """Raises OSError, and OutputError if a file came into the way since the earlier comparison's was removed."""
    place = folder.root / path.name
    if place.exists() or place.is_symlink():
        raise _not_replaced(folder, [path.name])
    path.replace(place)


def _remove_results(folder: ComparisonFolder) -> None:
    """Raises OSError."""
    for path in folder.result_files():
        remove_own(folder, path)


@contextmanager
def _output_errors(folder: ComparisonFolder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"the comparison folder {folder.root} cannot be used: {error.strerror}", "choose another --output-dir"
        ) from None
