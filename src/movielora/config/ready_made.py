"""The configs that come with the repository, and the one that was meant where a file is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from movielora.errors import shell_command

_FOLDER = "configs"
_ENDINGS = (".yaml", ".yml")
_RATINGS = (".csv", ".dat", ".tsv", ".inter", ".zip")
_SHOWN = 5


def ready_made_config(name: str) -> str:
    """The path of a config that comes with the repository, as it can be typed here; `FILE.yaml` if none is here.

    It is looked for in the working directory and in the clone that movielora is installed from.
    """
    here = Path(_FOLDER, name)
    return next((str(path) for path in (here, Path(__file__).parents[3] / here) if path.is_file()), "FILE.yaml")


def config_instead(path: Path) -> str:
    """What to give `--config` instead of `path`, which is missing, a folder, or something else than a config."""
    if path.is_dir():
        inside = _yaml_files([path])
        return f"name a file in it: {_shown(inside)}" if inside else _how_to_begin()
    if path.suffix.lower() in _RATINGS and path.exists():
        command = shell_command("movielora", "prepare", "--source", path, "--output-dir", f"data/{path.stem}")
        return f"if it holds ratings: {command}"
    others = _yaml_files([path.parent, Path(_FOLDER)])
    if path.exists() or not others:
        return _how_to_begin()
    by_name = {other.stem: other for other in reversed(others)}
    close = difflib.get_close_matches(path.stem, by_name, n=1)
    return f"did you mean {shell_command(by_name[close[0]])}?" if close else f"there are {_shown(others)}"


def _yaml_files(folders: Iterable[Path]) -> list[Path]:
    """Each once, a run's hidden files left out; empty for a folder that is not there or cannot be read."""
    found = (path for folder in folders for path in sorted(folder.glob("[!.]*")) if path.suffix in _ENDINGS)
    return list(dict.fromkeys(path for path in found if path.is_file()))


def _shown(files: list[Path]) -> str:
    more = [f"and {len(files) - _SHOWN} more"] if len(files) > _SHOWN else []
    return ", ".join([*map(shell_command, files[:_SHOWN]), *more])


def _how_to_begin() -> str:
    ready_made = ready_made_config("tiny_cpu.yaml")
    if Path(ready_made).is_file():
        return f"a config to begin with: {shell_command(ready_made)}"
    return "a config is a YAML file of `key: value` lines; movielora config lists the keys"
