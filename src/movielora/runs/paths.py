"""Every file name of a run folder, spelled once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from movielora.storage.complete_folder import working_path

# transformers' own folder name, so that plain HF tools find the checkpoints too.
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,12})")
# Hidden and of another shape than `checkpoint-N`: no tool takes a half-written folder for a checkpoint.
_STAGING = re.compile(r"\.checkpoint-(\d{1,12})\.(saving|old)")

_FILES = "files"
# Names of working folders and of temporary files that may have been left behind; `adapter` is an earlier version's.
_WORKING = re.compile(r"\.(files|adapter)\.partial-\d+-[0-9a-f]+")
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.\d+\.tmp")

MANIFEST_NAME = "manifest.json"
TRAINER_STATE_NAME = "trainer_state.json"
# Ours, inside a checkpoint: what an exact resume needs beyond transformers' own files.
RESUME_STATE_NAME = "resume_state.json"
ADAPTER_WEIGHTS_NAME = "adapter_model.safetensors"
PROMPT_NAME = "prompt.json"
ADAPTER_CONFIG_NAME = "adapter_config.json"

# What the end of a training and its tokenizer write beside the files of `RunPaths`. Only names: `folder/written.py`
# proves whose a file is.
_MODEL_FILES = (
    ADAPTER_WEIGHTS_NAME,
    ADAPTER_CONFIG_NAME,
    PROMPT_NAME,
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)


@dataclass(frozen=True)
class RunPaths:
    """The files of the run folder `root`."""

    root: Path

    @property
    def record(self) -> Path:
        return self.root / "run.json"

    @property
    def heartbeat(self) -> Path:
        return self.root / "heartbeat.json"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.jsonl"

    @property
    def log(self) -> Path:
        return self.root / "train.log"

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def tensorboard(self) -> Path:
        return self.root / "logs"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def stop_request(self) -> Path:
        return self.root / "stop.json"

    @property
    def adapter_weights(self) -> Path:
        return self.root / ADAPTER_WEIGHTS_NAME

    @property
    def adapter_config(self) -> Path:
        return self.root / ADAPTER_CONFIG_NAME

    @property
    def trained_rows(self) -> Path:
        """Which rows the run was trained and evaluated on, as keys."""
        return self.root / "training_rows.parquet"

    @property
    def trainer_state(self) -> Path:
        return self.root / TRAINER_STATE_NAME

    def checkpoint(self, step: int) -> Path:
        return self.root / f"checkpoint-{step}"

    def staging(self, step: int) -> Path:
        """Where checkpoint `step` is written before it is renamed to its name."""
        return self.root / f".checkpoint-{step}.saving"

    def retired(self, step: int) -> Path:
        """Where a checkpoint is while it is replaced or deleted, so that its own name never shows half of one."""
        return self.root / f".checkpoint-{step}.old"

    def file_staging(self) -> Path:
        """A new working folder for files of the run, before they take their places."""
        return working_path(self.root, _FILES)

    @property
    def replaced(self) -> Path:
        """Where an overwritten run waits until the new one trains."""
        return self.root / ".replaced"

    def holds_a_run(self) -> bool:
        """Whether movielora or a plain HF Trainer has written here; False for a folder that cannot be read.

        A run that is being replaced counts: for a moment it is all there is.
        """
        # Path's own questions raise for a name that is too long and in another user's private folder.
        if not os.path.isdir(self.root) or not os.access(self.root, os.R_OK | os.X_OK):  # noqa: PTH112
            return False
        records = (self.record, self.trainer_state, RunPaths(self.replaced).record)
        return any(map(os.path.exists, records)) or bool(self.checkpoints())

    def checkpoints(self) -> list[tuple[int, Path]]:
        """The folders named `checkpoint-N`, by step; whether they are complete is not asked here."""
        return sorted(self._numbered(_CHECKPOINT))

    def leftovers(self) -> list[Path]:
        """What has the name of a staging folder or of a temporary file that a killed process left behind."""
        if not self.root.is_dir():
            return []
        ours = {path.name for path in (*self.known_files(), self.lock)}
        found = [path for _, path in self._numbered(_STAGING)]
        for path in sorted(self.root.iterdir()):
            temporary = _TEMPORARY.fullmatch(path.name)
            if _WORKING.fullmatch(path.name) or (temporary and temporary["name"] in ours):
                found.append(path)
        return found

    def known_files(self) -> list[Path]:
        """The places of all files that a run writes directly into its folder, whoever wrote what is there now."""
        ours = (self.record, self.heartbeat, self.metrics, self.log, self.config, self.stop_request, self.trained_rows)
        return [*ours, *(self.root / name for name in _MODEL_FILES)]

    def _numbered(self, pattern: re.Pattern[str]) -> Iterator[tuple[int, Path]]:
        if not self.root.is_dir():
            return
        for path in self.root.iterdir():
            match = pattern.fullmatch(path.name)
            if match and path.is_dir() and not path.is_symlink():
                yield int(match.group(1)), path
