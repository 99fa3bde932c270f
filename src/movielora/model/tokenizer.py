"""The base's tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from movielora.errors import ModelError, first_line
from movielora.machine.garbage_collector import collector_paused
from movielora.machine.library_output import quiet_libraries
from movielora.model.folder import check_tokenizer
from movielora.model.hub import is_tokenizer_cached, stays_local

# Classes of `tokenizer_config.json` that AutoTokenizer takes as named.
_DIRECT_CLASSES = ("Qwen2Tokenizer", "TokenizersBackend")


def load_tokenizer(name_or_path: str) -> Any:
    """The tokenizer of a folder or Hugging Face name; a fast one, whose code came with transformers.

    Raises ModelError if there is none, or it is not reachable.
    """
    folder = Path(name_or_path)
    if folder.is_dir():
        check_tokenizer(folder)
    try:
        with collector_paused():  # a library of 1,000 modules, a vocabulary of 150,000 entries
            quiet_libraries()
            tokenizer = _tokenizer_class(folder).from_pretrained(
                name_or_path,
                trust_remote_code=False,
                local_files_only=stays_local(name_or_path, is_tokenizer_cached),
            )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"no tokenizer at `{name_or_path}`: {first_line(error)}",
            "set model_name_or_path to a model folder, or to `tiny` for the embedded base",
        ) from None
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(f"the tokenizer of `{name_or_path}` has no fast form (tokenizer.json)", "use a Qwen3 model")
    return tokenizer


def _tokenizer_class(folder: Path) -> Any:
    """The class that AutoTokenizer would take, without importing torch and every model's config to find it."""
    import transformers

    try:
        named = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))["tokenizer_class"]
    except (OSError, ValueError, KeyError, TypeError):
        named = None
    return getattr(transformers, named) if named in _DIRECT_CLASSES else transformers.AutoTokenizer
