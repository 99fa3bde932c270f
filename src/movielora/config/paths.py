"""What `~`, `$HOME` and `${SCRATCH}` mean in a path: the same in a config, in `--set` and in an option."""

from __future__ import annotations

import os
import re
from pathlib import Path

from movielora.errors import ConfigError

# Looked for from the working directory, then from the folder above the config's.
INPUT_PATHS = frozenset(
    {"model_name_or_path", "dataset_dir", "train_file", "eval_file", "inference.test_file", "inference.adapter_dir"}
)
# Written as seen from the working directory.
OUTPUT_PATHS = frozenset({"output_dir", "preprocessing_cache_dir", "inference.infer_output_dir"})

# `$$` first: it is how a dollar sign is written.
_DOLLAR = re.compile(r"\$(?:(\$)|(\w+)|\{([^}]*)\})", re.ASCII)


def expand_path(text: str) -> str:
    """Return `text` with a leading `~` and every `$NAME` and `${NAME}` written out; `$$` is a dollar sign.

    Raises ConfigError naming a variable that is not set (or blank), or a user who does not exist: a folder called
    `$SCRATCH` is never what was meant.
    """
    if text.startswith("~"):
        home = os.path.expanduser(text)  # noqa: PTH111 (Path's raises where there is no such user)
        if home == text:
            user = text.partition("/")[0]
            raise ConfigError(f"there is no home folder {user}", f"write ./{text} for a folder of that name")
        rest = text.partition("/")[2]
        start = home[: len(home) - len(rest)] if rest else home
        return start + _expand_variables(rest)
    return _expand_variables(text)


def expand_argument(text: str) -> str:
    """A path as a shell handed it over: what exists as it stands is meant, everything else is expanded.

    Raises what `expand_path` raises.
    """
    return text if os.path.lexists(text) else expand_path(text)


def literal_path(path: str | Path) -> str:
    """Return `path` as a config must hold it, so that reading it back changes nothing."""
    text = str(path).replace("$", "$$")
    return f"./{text}" if text.startswith("~") else text


def _expand_variables(text: str) -> str:
    return _DOLLAR.sub(_value, text)


def _value(found: re.Match[str]) -> str:
    if found[1]:
        return "$"
    name = found[2] or found[3] or ""
    value = os.environ.get(name, "")
    if not value.strip():
        raise ConfigError(
            f"the environment variable {name or found[0]} is not set", "export it, or write $$ for a dollar sign"
        )
    return value
