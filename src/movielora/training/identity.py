"""What the losses of a run depend on beside the numbers of its config: data, prompt, base, shape of the adapter.

Kept in run.json and in every checkpoint, so that a resume on anything else is refused by name.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from movielora.config import Config
from movielora.dataset.find import TrainingSplits
from movielora.examples.load import ExampleLoader
from movielora.model.folder import base_hash
from movielora.prompt.spec import PromptSpec
from movielora.storage.hashing import file_sha256

# What decides how a text becomes a prompt's token ids.
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "vocab.json", "merges.txt")


def run_identity(config: Config, files: TrainingSplits, base: str) -> dict[str, str]:
    """Name of the part → its hash, or itself if it is short. `base` is a folder, or a Hugging Face name.

    Raises DataError if the data cannot be read.
    """
    loader = ExampleLoader(columns=files.columns)
    spec = PromptSpec.of_split(config, loader, files.train)
    return {
        "training data": loader.content_hash(files.train),
        "evaluation data": loader.content_hash(files.evaluation) if files.evaluation else "none",
        "prompt": _prompt(spec, config.cutoff_len, Path(base)),
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


def _prompt(spec: PromptSpec, cutoff_len: int, base: Path) -> str:
    digest = hashlib.sha256(json.dumps([spec.to_json(), cutoff_len], sort_keys=True).encode())
    for name in _TOKENIZER_FILES:
        if (base / name).is_file():
            digest.update(file_sha256(base / name).encode())
    return digest.hexdigest()
