"""Check a model folder before it is loaded: its config, and whether its weights are complete."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from pathlib import Path
from typing import Any

from movielora.errors import ModelError

# Names the files of weights that are in several.
WEIGHTS_INDEX = "model.safetensors.index.json"
# The format's own limit.
_MOST_HEADER_BYTES = 100_000_000
# Files up to this size are hashed whole; of larger ones (the weights of a real base) samples, spread evenly.
_WHOLE_BYTES = 64 * 1024 * 1024
_SAMPLES, _SAMPLE_BYTES = 64, 64 * 1024
_ANOTHER = "set model_name_or_path to a complete model folder, a Hugging Face name, or tiny for the embedded base"


def read_model_config(folder: Path) -> dict[str, Any]:
    """The folder's `config.json`.

    Raises ModelError if there is none, or it is no JSON object with a `model_type`.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(f"model folder {folder} has no config.json", _ANOTHER)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}", "download the model again") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelError(f"{path} names no model_type", _ANOTHER)
    return config


def check_tokenizer(folder: Path) -> None:
    """Raises ModelError if the folder has no tokenizer."""
    if not any(folder.glob("tokenizer*.json")):
        raise ModelError(f"{folder} holds no tokenizer.json", "name a folder with a Qwen3 tokenizer")


def check_weights(folder: Path) -> int:
    """The bytes of the folder's safetensors files, each compared with what its header promises.

    Raises ModelError naming the file that is missing, cut short or no safetensors file.
    """
    files = weight_files(folder)
    if not files:
        raise ModelError(f"model folder {folder} has no safetensors weights", _ANOTHER)
    for file in files:
        _check_file(file)
    return sum(file.stat().st_size for file in files)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that the folder's index names, there or not; without an index, those that are there.

    Raises ModelError for a damaged index.
    """
    index = folder / WEIGHTS_INDEX
    if not index.is_file():
        return sorted(folder.glob("*.safetensors"))
    try:
        return [
            folder / name for name in sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{index} is damaged", "download the model again") from None


def _check_file(file: Path) -> None:
    if not file.is_file():
        raise ModelError(f"{file} is missing, but the folder's index names it", "download the model again")
    size = file.stat().st_size
    promised = _promised_bytes(file, size)
    if size < promised:
        text = f"{file} is cut short: it has {size:,} bytes of {promised:,}"
        raise ModelError(text, "download the model again")
    if size > promised:
        raise ModelError(f"{file} has bytes that its header does not name", "download the model again")


def _promised_bytes(file: Path, size: int) -> int:
    """The size by the format: 8 bytes of little-endian header length, the JSON header, then the tensors end to end."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > _MOST_HEADER_BYTES:  # before reading: a damaged length may be anything
                raise ValueError(length)
            if 8 + length > size:
                return 8 + int(length)
            header = json.loads(stream.read(length))
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise ModelError(
            f"{file} is no safetensors file, or its header is damaged", "download the model again"
        ) from None
    return 8 + int(length) + max(ends, default=0)


def base_hash(base: str) -> str:
    """What identifies a base: of a folder the SHA-256 of its config and weights; of a name, the name.

    Raises ModelError if a file cannot be read.
    """
    folder = Path(base)
    if not folder.is_dir():
        return base
    digest = hashlib.sha256()
    for path in sorted((folder / "config.json", *folder.glob("*.safetensors"))):
        if path.is_file():
            digest.update(path.name.encode())
            try:
                _update(digest, path)
            except OSError as error:
                raise ModelError(f"{path} cannot be read: {error.strerror}", "download the model again") from None
    return digest.hexdigest()


def is_base_hash(identity: str) -> bool:
    """Whether an identity is a hash, not a name."""
    return re.fullmatch(r"[0-9a-f]{64}", identity) is not None


def _update(digest: hashlib._Hash, path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE_BYTES:
            digest.update(file.read())
            return
        digest.update(str(size).encode())
        for index in range(_SAMPLES):
            file.seek((size - _SAMPLE_BYTES) * index // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))


def known_architectures() -> dict[str, Any]:
    """In a child process: the `model_type`s that the installed transformers has a causal language model for."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return {"model_types": sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)}
