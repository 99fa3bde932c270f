"""What the config that a run recorded means: its relative paths are seen from the folder that the run began in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from movielora.config import ResolvedConfig, resolve_config
from movielora.errors import ConfigError
from movielora.runs.paths import RunPaths
from movielora.runs.record import read_record


def read_run_config(paths: RunPaths, overrides: Sequence[str] = ()) -> ResolvedConfig:
    """The config saved in a run folder, whichever folder it is read from; paths in `overrides` are seen from here.

    Its `output_dir` is the run folder, which may have moved. Raises ConfigError if there is no config, or a wrong one.
    """
    if not paths.config.is_file():
        raise ConfigError(f"{paths.root} holds no config.yaml", "name the training's: --config C")
    resolved = resolve_config(paths.config, overrides)
    origin = folder_of_run(paths)
    if origin is not None and origin.resolve() != Path.cwd():  # a path is shown as it would be typed here
        resolved = resolved.seen_from(origin)
    if resolved.place(resolved.values.output_dir).resolve() == paths.root.resolve():
        return resolved
    return replace(resolved, values=resolved.values.model_copy(update={"output_dir": str(paths.root)}))


def read_config(config: Path, overrides: Sequence[str] = ()) -> ResolvedConfig:
    """The config of a file, with `overrides` over it; a run's own file is read as `read_run_config` does.

    For what reads a config: a training that is started from a run's config is another run, here. Raises ConfigError.
    """
    paths = RunPaths(config.parent)
    of_a_run = config.name == paths.config.name and read_record(paths) is not None
    return read_run_config(paths, overrides) if of_a_run else resolve_config(config, overrides)


def folder_of_run(paths: RunPaths) -> Path | None:
    """The working directory of the run's first command; None if no record says, or it no longer exists."""
    record = read_record(paths)
    folder = Path(record.cwd) if record and record.cwd else None
    return folder if folder is not None and folder.is_dir() else None
