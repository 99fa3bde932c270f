"""Token ids kept between runs, under a key of everything they depend on.

A changed file, template, tokenizer, cutoff or `IDS_VERSION` gives another key, so a changed dataset never meets an old
cache. A cache is a folder `tokens-<key>` of plain arrays, whole or absent.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movielora.dataset.info.entry import RecordColumns
from movielora.errors import OutputError
from movielora.examples.importers.records import file_content_hash, read_records
from movielora.progress import Reporter
from movielora.prompt.template import PromptTemplate
from movielora.prompt.text_tokens import tokenize_parts
from movielora.prompt.token_sets import TokenizedExamples, concatenate, joined_offsets
from movielora.storage.complete_folder import complete_folder

# Raise it when the same record, spec and tokenizer give other ids, or a cache holds other arrays: every cache is then
# made again, and no comparison continues across the change. `tests/prompt/test_token_cache.py` has the ids of each.
IDS_VERSION = 1
_ARRAYS = ("ids", "offsets", "labels", "dropped_lines")
_FACTS = "tokens.json"
_NAME = re.compile(r"tokens-[0-9a-f]{24}")


def tokenize_file(
    path: Path,
    prompt: PromptTemplate,
    tokenizer: Any,
    *,
    cutoff_len: int,
    cache_dir: Path,
    reporter: Reporter,
    columns: RecordColumns | None = None,
) -> TokenizedExamples:
    """All records of `path`, read by `columns`, as ids; from the cache if nothing that matters has changed."""
    content = file_content_hash(path, columns)
    folder = cache_dir / f"tokens-{_cache_key(content, prompt_key(prompt, tokenizer, cutoff_len))}"
    cached = _load(folder, prompt)
    if cached is not None:
        reporter.note(f"Tokens of {path} come from the cache")
        return cached
    parts = tokenize_parts(
        read_records(path, columns), prompt, tokenizer, cutoff_len=cutoff_len, reporter=reporter, name=path.name
    )
    if (
        file_content_hash(path, columns) != content
    ):  # kept under the old content's key, the ids would be taken for its own
        reporter.warn(f"{path} changed while it was read: its tokens are not kept")
        return concatenate(parts)
    _save(folder, parts, path)
    # Mapped from the files just written, as the next start maps them: the ids are never in memory twice.
    return _load(folder, prompt) or concatenate(parts)


def clear_cache(cache_dir: Path) -> int:
    """Remove every token cache in `cache_dir`, and nothing else; returns how many there were."""
    folders = [folder for folder in cache_dir.glob("tokens-*") if _is_only_a_cache(folder)]
    for folder in folders:
        shutil.rmtree(folder)
    return len(folders)


def _is_only_a_cache(folder: Path) -> bool:
    """Whether a folder has a cache's name and holds a cache's files, whole or not, and nothing else."""
    if folder.is_symlink() or not folder.is_dir() or not _NAME.fullmatch(folder.name):
        return False
    return {path.name for path in folder.iterdir()} <= {_FACTS, *(f"{name}.npy" for name in _ARRAYS)}


def prompt_key(prompt: PromptTemplate, tokenizer: Any, cutoff_len: int) -> str:
    """Everything that a record's ids depend on beside the record: spec, template, tokenizer, cutoff and version."""
    digest = hashlib.sha256()
    for part in (
        str(tokenizer.chat_template),
        repr(prompt.spec),
        tokenizer.backend_tokenizer.to_str(),
        str(cutoff_len),
        str(IDS_VERSION),
    ):
        digest.update(hashlib.sha256(part.encode()).digest())
    return digest.hexdigest()


def _cache_key(content: str, prompt_hash: str) -> str:
    """`content` is the hash of the file and its columns, `prompt_hash` a `prompt_key`."""
    return hashlib.sha256(f"{content} {prompt_hash}".encode()).hexdigest()[:24]


def _load(folder: Path, prompt: PromptTemplate) -> TokenizedExamples | None:
    """None if there is no cache, or it cannot be read now. A damaged one (a file removed or cut short) is
    removed, and then written again."""
    if not folder.is_dir():
        return None
    try:
        found = _read_whole(folder, prompt.answer_ids)
    except OSError:  # too many open files, no memory to map: no fault of the cache
        return None
    if found is None and _is_only_a_cache(folder):
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _read_whole(folder: Path, answer_ids: tuple[int, int, int]) -> TokenizedExamples | None:
    """None if a file is missing, cut short, or of another size than was written. Raises OSError if one cannot be
    read."""
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}
        sizes = {name: len(array) for name, array in arrays.items()}
        examples, tokens = facts["examples"], facts["tokens"]
    except (FileNotFoundError, EOFError, ValueError, KeyError, TypeError):
        return None
    if sizes != {"ids": tokens, "offsets": examples + 1, "labels": examples, "dropped_lines": examples}:
        return None
    return TokenizedExamples(**arrays, answer_ids=answer_ids)


def _save(folder: Path, parts: Sequence[TokenizedExamples], source: Path) -> None:
    arrays: dict[str, list[NDArray[Any]]] = {
        "ids": [part.ids for part in parts],
        "offsets": [joined_offsets(parts)],
        "labels": [part.labels for part in parts],
        "dropped_lines": [part.dropped_lines for part in parts],
    }
    facts = {"source": str(source), "examples": sum(map(len, parts)), "tokens": sum(map(len, arrays["ids"]))}
    try:
        with complete_folder(folder, lambda found: _read_whole(found, parts[0].answer_ids) is not None) as staging:
            for name in _ARRAYS:
                _write_array(staging / f"{name}.npy", arrays[name])
            (staging / _FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"the token cache {folder.parent} cannot be written: {error.strerror}",
            "--set preprocessing_cache_dir=DIR names another folder",
        ) from None


def _write_array(path: Path, parts: Sequence[NDArray[Any]]) -> None:
    """One `.npy` file of `parts` end to end, without joining them in memory."""
    header = {
        "descr": np.lib.format.dtype_to_descr(parts[0].dtype),
        "fortran_order": False,
        "shape": (sum(map(len, parts)),),
    }
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part).data)
