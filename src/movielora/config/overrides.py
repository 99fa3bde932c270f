"""What `--set key=value` means: YAML, but for keys that hold text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from movielora.config.texts import is_written_as_list, text_kinds, text_of_override, texts_of
from movielora.config.yaml_file import flatten, parse_yaml, scalars_as_written


def read_overrides(overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The values by dotted key, and a problem for each override that cannot be read."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for word in overrides:
        item = _as_utf8(word)
        key, equals, text = (item or "").partition("=")
        key = key.strip()
        if item is None:
            problems.append(f"--set {word}: the value is no UTF-8 text")
        elif not equals or not key:
            problems.append(f"--set {item}: write it as key=value")
        else:
            try:
                values.update(_values(key, text))
            except yaml.YAMLError:
                problems.append(f"--set {item}: the value is not YAML")
    return values, problems


def _values(key: str, text: str) -> dict[str, Any]:
    """What `key=text` sets: the key, or the keys of a block. Raises yaml.YAMLError."""
    if text_kinds(key) and not is_written_as_list(key, text):
        return {key: text_of_override(key, text)}
    value = parse_yaml(text)
    if not isinstance(value, dict):
        return {key: value}
    return {**dict(flatten({key: value})), **texts_of(scalars_as_written(text, f"{key}."))}


def _as_utf8(word: str) -> str | None:
    """A word of the command line as the UTF-8 text that it is, also under `LC_ALL=C`; None if it is none."""
    try:
        return word.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return None
