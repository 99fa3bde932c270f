"""YAML as this program reads it: text in, plain values and the line of every key out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from movielora.config.ready_made import config_instead
from movielora.errors import ConfigError

_MAX_CONFIG_BYTES = 1 << 20
_ANOTHER = "name a YAML file that can be read"
_CORRECT = "correct it there; a text that holds `: ` or ` #` goes into quotes"
_NOT_TEXT = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool"})


@dataclass(frozen=True)
class YamlFile:
    """`values` by dotted key, `lines` (from 1) of the same keys, and the keys that are set twice.

    `written`: the texts of values that YAML reads as numbers or as yes and no, for keys that hold text.
    """

    values: dict[str, Any] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class _Loader(yaml.SafeLoader):
    """YAML in which `3e-4` is a number, as YAML 1.2 says and every user expects, and a date is text."""


class _Dumper(yaml.SafeDumper):
    """Puts in quotes what `_Loader` would not read as text."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Line separators that are no newline would be read back as spaces: they are written as escapes."""
        style = '"' if _OTHER_LINE_ENDS.search(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_OTHER_LINE_ENDS = re.compile("[\x85\u2028\u2029\ufeff\r]")
_Dumper.add_representer(str, _Dumper.represent_text)
_EXPONENT = re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$")
for _Side in (_Loader, _Dumper):
    _Side.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _Side.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))


def read_yaml_file(path: Path) -> YamlFile:
    """Raises ConfigError if the file is missing, unreadable, no YAML, or no mapping."""
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            text = f"{path} is larger than {_MAX_CONFIG_BYTES:,} bytes: this is no config file"
            raise ConfigError(text, config_instead(path))
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"config file {path} does not exist", config_instead(path)) from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder, and a config is a YAML file", config_instead(path)) from None
    except UnicodeDecodeError:
        raise ConfigError(f"config file {path} is not UTF-8 text", config_instead(path)) from None
    except OSError as error:
        raise ConfigError(f"config file {path} cannot be read: {error.strerror or error}", _ANOTHER) from None
    try:
        tree = parse_yaml(text)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise ConfigError(f"{path}{where} is not YAML: {reason}", _CORRECT) from None
    if tree is None:
        return YamlFile()
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} must hold `key: value` lines", config_instead(path))
    found = YamlFile(dict(flatten({key: value for key, value in tree.items() if not _is_empty_block(key, value)})))
    _note_lines(node, found, path)
    return found


def parse_yaml(text: str) -> Any:
    """Raises yaml.YAMLError, whatever is wrong with `text`."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader with other forms of numbers and dates)
    except ValueError as error:  # a number that Python refuses
        raise yaml.YAMLError(str(error)) from None
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None


def scalars_as_written(text: str, prefix: str) -> dict[str, str]:
    """The texts of numbers and of yes and no in a YAML mapping, by `prefix` and key. Raises yaml.YAMLError."""
    found = YamlFile()
    _note_lines(yaml.compose(text, Loader=_Loader), found, Path(), prefix)
    return found.written


def dump_yaml(value: Any) -> str:
    """YAML of one key a line, which `parse_yaml` reads back the same."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def dump_inline(value: Any) -> str:
    """`[q_proj, v_proj]`, `null`, `3.0e-05`: a value as it would be written behind its key."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("...\n").strip()


def flatten(tree: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """`{"inference": {"batch_size": 8}}` → `("inference.batch_size", 8)`; one level, for no key lies deeper."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from ((f"{key}.{inner}", deeper) for inner, deeper in value.items())
        else:
            yield str(key), value


def _is_empty_block(key: Any, value: Any) -> bool:
    """`inference:` with nothing under it."""
    return key == "inference" and (value is None or value == {})


def _note_lines(node: Any, found: YamlFile, path: Path, prefix: str = "") -> None:
    for key_node, value_node in node.value:
        key = f"{prefix}{getattr(key_node, 'value', '?')}"
        line = key_node.start_mark.line + 1
        if key in found.lines:
            found.problems.append(f"{path} line {line}: `{key}` is set twice, first on line {found.lines[key]}")
        found.lines[key] = line
        if value_node.tag in _NOT_TEXT:
            found.written[key] = value_node.value
        if not prefix and isinstance(value_node, yaml.MappingNode):
            _note_lines(value_node, found, path, f"{key}.")
