"""What the losses of a run depend on beside the numbers of its config: data, prompt, base, shape of the adapter.

Kept in run.json and in every checkpoint, so that a resume on anything else is refused by name.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from pathlib import Path

from movielora.config import Config
from movielora.dataset.find import DatasetFiles
from movielora.examples.records import read_records
from movielora.model.folder import base_hash
from movielora.prompt.template import SYSTEM
from movielora.prompt.token_cache import file_sha256

# What decides how a text becomes a prompt's token ids.
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "vocab.json", "merges.txt")
# Enough rendered records that a change of the template's words shows.
_RECORDS = 3


def run_identity(config: Config, files: DatasetFiles, base: str) -> dict[str, str]:
    """Name of the part → its hash, or itself where it is short. `base` is a folder, or a Hugging Face name.

    Raises DataError where a dataset file cannot be read.
    """
    return {
        "training data": file_sha256(files.train),
        "evaluation data": file_sha256(files.evaluation) if files.evaluation else "none",
        "prompt": _prompt(config, files, Path(base)),
        "base model": base_hash(base),
        "LoRA shape": lora_shape(config),
    }


def lora_shape(config: Config) -> str:
    targets = ", ".join(sorted(config.target_modules))
    kind = "rsLoRA" if config.use_rslora else "LoRA"
    return f"{kind} of rank {config.lora_rank}, alpha {config.lora_alpha}, on {targets}"


def differences(recorded: dict[str, str], now: dict[str, str]) -> list[str]:
    """One sentence for each part that is not what it was."""
    return [
        f"the {name} was {_short(recorded[name])} and is {_short(now[name])}"
        for name in now
        if name in recorded and recorded[name] != now[name]
    ]


def _short(value: str) -> str:
    """A hash by its beginning; words as they are."""
    return f"{value[:12]}… (SHA-256)" if len(value) == 64 and " " not in value else value


def _prompt(config: Config, files: DatasetFiles, base: Path) -> str:
    digest = hashlib.sha256(f"{SYSTEM}\0{config.cutoff_len}".encode())
    for record in islice(read_records(files.train), _RECORDS):
        digest.update("\0".join((record.system, record.instruction, record.input)).encode("utf-8", "replace"))
    for name in _TOKENIZER_FILES:
        if (base / name).is_file():
            digest.update(file_sha256(base / name).encode())
    return digest.hexdigest()
