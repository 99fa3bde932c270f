"""A YAML file and `--set` overrides become one resolved config that knows where each value came from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any

import yaml
from pydantic import ValidationError

from movielora.config.contradictions import ContradictionError
from movielora.config.keys import Config, InferenceConfig
from movielora.config.named_values import NO_EFFECT
from movielora.config.paths import INPUT_PATHS, OUTPUT_PATHS, expand_path, literal_path
from movielora.config.synonyms import ELSEWHERE, nearest_key, plain_name
from movielora.config.texts import is_written_as_list, text_kinds, text_of_override
from movielora.config.yaml_file import YamlFile, dump_inline, dump_yaml, flatten, parse_yaml, read_yaml_file
from movielora.errors import ConfigError, shell_command


@dataclass(frozen=True)
class ResolvedConfig:
    """`origins` maps every dotted key to `default`, `file` or `--set`. `folder` is where relative paths are seen from,
    None: the working directory."""

    values: Config
    origins: dict[str, str]
    path: Path | None
    folder: Path | None = None

    def seen_from(self, folder: Path) -> ResolvedConfig:
        """This config with the relative paths of its file seen from `folder`; those of `--set` stay what they are."""
        here = {
            key: os.path.abspath(value)  # noqa: PTH100 - keeps symlinks
            for key, value in flatten(self.values.model_dump())
            if self.origins.get(key) == "--set" and _is_path_here(key, value)
        }
        inside = {key.partition(".")[2]: value for key, value in here.items() if "." in key}
        changed: dict[str, Any] = {key: value for key, value in here.items() if "." not in key}
        changed["inference"] = self.values.inference.model_copy(update=inside)
        return replace(self, values=self.values.model_copy(update=changed), folder=folder)

    def place(self, path: str) -> Path:
        """Where a path of this config points as it is written, whether something is there or not."""
        return self.folder / path if self.folder else Path(path)

    def locate(self, path: str) -> Path:
        """Where an input path points: from the working directory (`folder`), then from the folder above the config's.

        Nothing needs to exist; what exists in neither place is given as seen from the working directory.
        """
        given, written = self.place(path), Path(path)
        if written.is_absolute() or os.path.exists(given) or self.path is None:  # noqa: PTH110 (Path's raises)
            return given
        beside = self.path.resolve().parent.parent / written
        return beside if os.path.exists(beside) else given  # noqa: PTH110

    def _pinned(self, key: str, value: Any) -> Any:
        """A value as `to_yaml` writes it: one that reads back as this value, from another folder too."""
        if not isinstance(value, str) or key not in INPUT_PATHS | OUTPUT_PATHS:
            return value
        found = self.locate(value) if key in INPUT_PATHS else self.place(value)
        return literal_path(found if found != self.place(value) else value)

    def no_effect_notes(self) -> list[str]:
        """One line for each key the user wrote that cannot change anything."""
        flat = dict(flatten(self.values.model_dump()))
        return [
            f"`{key}: {dump_inline(flat[key])}` has no effect: {reason}"
            for key, reason in NO_EFFECT.items()
            if self.origins.get(key, "default") != "default" and flat[key] is not None
        ]

    def with_origins(self) -> dict[str, tuple[Any, str]]:
        """Every dotted key → its value and where it came from."""
        flat = dict(flatten(self.values.model_dump()))
        return {key: (flat[key], origin) for key, origin in self.origins.items()}

    def to_json(self) -> dict[str, Any]:
        return {"config": self.values.model_dump(), "origins": self.origins}

    def to_yaml(self) -> str:
        """The whole resolved config; `--config` takes it back. Keys without effect are left out.

        An input that was found beside the config file is written as an absolute path: this text will be in another
        folder.
        """
        dumped = _nest({key: self._pinned(key, value) for key, value in flatten(self.values.model_dump())})
        kept = {key: value for key, value in dumped.items() if key not in NO_EFFECT}
        kept["inference"] = {k: v for k, v in dumped["inference"].items() if f"inference.{k}" not in NO_EFFECT}
        return dump_yaml(kept)


def resolve_config(path: Path | None, overrides: Sequence[str] = ()) -> ResolvedConfig:
    """Read `path` (None: only the defaults), apply `key=value` overrides, check everything at once.

    Raises ConfigError naming the file and every problem found: unknown key with the nearest known one, wrong type,
    contradiction, doubled key.
    """
    source = str(path) if path else "the defaults"
    file = read_yaml_file(path) if path else YamlFile()
    from_set, set_problems = _read_overrides(overrides)
    origins = dict.fromkeys(file.values, "file") | dict.fromkeys(from_set, "--set")
    written = {**_values_of_file(file), **from_set}
    path_problems = _expand_paths(written, lambda key: _place(key, origins[key], source, file.lines))

    known = set(known_keys())
    strange = [key for key in origins if key not in known]
    unknown = [
        f"{_place(key, origins[key], source, file.lines)}: {not_a_key(key, written[key], known)}" for key in strange
    ]
    merged = _nest({key: value for key, value in written.items() if key in known})
    values, wrong = _validate(merged, origins, source, file.lines)
    problems = [*file.problems, *set_problems, *path_problems, *unknown, *wrong]
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(
            f"{source} has {count}" if path else f"the config has {count}",
            _next_step(strange, known),
            tuple(problems),
        )
    return ResolvedConfig(values, {key: origins.get(key, "default") for key in known_keys()}, path)


def _next_step(unknown: Sequence[str], known: set[str]) -> str:
    """How to read about the keys: the one that was meant, if there is one."""
    meant = {nearest_key(key, known) for key in unknown} - {None}
    key = str(meant.pop()) if len(meant) == 1 else "KEY"
    return f"{shell_command('movielora', 'config', '--explain', key)} says what it means; --schema prints every key"


def _validate(
    merged: Mapping[str, Any], origins: Mapping[str, str], source: str, lines: Mapping[str, int]
) -> tuple[Config, list[str]]:
    """The config and the problems of its values.

    pydantic looks for contradictions only among values of the right type, so wrong ones are reported, taken out, and
    the rest is checked again: the user reads all problems at once.
    """
    try:
        return Config.model_validate(merged), []
    except ValidationError as error:
        problems = list(_explain(error, origins, source, lines))
        wrong = {".".join(str(part) for part in found["loc"][:2]) for found in error.errors(include_url=False)}
    left = {
        key: value
        for key, value in flatten(merged)
        if key not in wrong and key.partition(".")[0] not in wrong and not _is_list_item_of(key, wrong)
    }
    if left != dict(flatten(merged)) and left:
        problems += _validate(_nest(left), origins, source, lines)[1]
    return Config(), problems


def _is_list_item_of(key: str, wrong: set[str]) -> bool:
    """pydantic locates a problem in a list or union as `key.0`, `key.str`."""
    return any(name.startswith(f"{key}.") for name in wrong)


def _values_of_file(file: YamlFile) -> dict[str, Any]:
    """The file's values; a key that holds text gets it as it is written, also if YAML reads a number there."""
    as_text = {key: text for key, text in file.written.items() if text_kinds(key) - {NoneType} == {str}}
    return {**file.values, **as_text}


def _expand_paths(written: dict[str, Any], place: Callable[[str], str]) -> list[str]:
    """Write out `~` and variables in the paths among `written`; give a problem for each that cannot be."""
    problems = []
    for key in (INPUT_PATHS | OUTPUT_PATHS) & written.keys():
        if isinstance(written[key], str):
            try:
                written[key] = expand_path(written[key])
            except ConfigError as error:
                problems.append(f"{place(key)}: `{key}: {written[key]}`: {error}; {error.next_step}")
    return problems


def _is_path_here(key: str, value: Any) -> bool:
    """Whether the value of a key is a path that means something here; a base's or dataset's name may be no path."""
    if not isinstance(value, str):
        return False
    return key in OUTPUT_PATHS or (key in INPUT_PATHS and os.path.exists(value))  # noqa: PTH110 (Path's raises)


def known_keys() -> list[str]:
    """Every key, those of the block `inference` as `inference.batch_size`."""
    top = [key for key in Config.model_fields if key != "inference"]
    return top + [f"inference.{key}" for key in InferenceConfig.model_fields]


def _read_overrides(overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    problems: list[str] = []
    for item in overrides:
        if (given := _as_utf8(item)) is None:
            problems.append(f"--set {item}: the value is no UTF-8 text")
            continue
        item = given
        key, equals, text = item.partition("=")
        key = key.strip()
        if not equals or not key:
            problems.append(f"--set {item}: write it as key=value")
            continue
        if text_kinds(key) and not is_written_as_list(key, text):
            values[key] = text_of_override(key, text)
            continue
        try:
            value = parse_yaml(text)
        except yaml.YAMLError:
            problems.append(f"--set {item}: the value is not YAML")
            continue
        values.update(flatten({key: value}) if isinstance(value, dict) else {key: value})
    return values, problems


def _as_utf8(word: str) -> str | None:
    """A word of the command line as the UTF-8 text that it is, also under `LC_ALL=C`; None if it is none."""
    try:
        return word.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return None


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        head, _, tail = key.partition(".")
        if tail:
            tree.setdefault(head, {})[tail] = value
        else:
            tree[head] = value
    return tree


def not_a_key(key: str, value: Any, known: set[str]) -> str:
    """Say what is wrong with a key that is not known, and the nearest one that is."""
    if key == "inference":
        return f"`inference` is a block of keys such as `inference.test_file`, not `{dump_inline(value)}`"
    if plain_name(key) in ELSEWHERE:
        return f"unknown key `{key}`: {ELSEWHERE[plain_name(key)]}"
    close = nearest_key(key, known)
    return f"unknown key `{key}`" + (f"; did you mean `{close}`?" if close else "")


def _place(key: str, origin: str, source: str, lines: Mapping[str, int]) -> str:
    if origin == "--set":
        return f"--set {key}"
    return f"{source} line {lines[key]}" if key in lines else source


def _explain(
    error: ValidationError, origins: Mapping[str, str], source: str, lines: Mapping[str, int]
) -> Iterator[str]:
    """pydantic's findings in one line each; a union's several complaints about one key become one."""
    seen: set[str] = set()
    for found in error.errors(include_url=False):
        if not found["loc"]:
            contradictions: ContradictionError = found["ctx"]["error"]
            for key, text in contradictions.found:
                yield f"{_place(key, origins.get(key, 'default'), source, lines)}: {text}"
            continue
        parts = [str(part) for part in found["loc"]]
        key = ".".join(parts[:2]) if parts[0] == "inference" and len(parts) > 1 else parts[0]
        if key in seen:
            continue
        seen.add(key)
        place = _place(key, origins.get(key, "file"), source, lines)
        yield f"{place}: `{key}: {dump_inline(found['input'])}` {_complaint(key, found)}"


def _complaint(key: str, found: Any) -> str:
    if key == "trust_remote_code":
        return "is refused: movielora never runs code that comes with weights"
    schema = Config.model_json_schema()
    group, _, name = key.rpartition(".")
    field = (schema["$defs"]["InferenceConfig"] if group else schema)["properties"].get(name, {})
    return f"is not valid: {allowed(field) or found['msg'].lower()}"


def allowed(field: Mapping[str, Any]) -> str:
    """Say what a key takes, in words, from its JSON Schema."""
    if "anyOf" in field:
        return " or ".join(filter(None, (allowed(option).removeprefix("only ") for option in field["anyOf"])))
    if "enum" in field:
        return "one of " + ", ".join(dump_inline(value) for value in field["enum"])
    if "items" in field:
        return f"a list of {allowed(field['items']).removeprefix('one of ')}"
    if "const" in field:
        return f"only {dump_inline(field['const'])}"
    names = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text"}
    names |= {"null": "null"}
    bounds = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = [f"{words} {dump_inline(field[bound])}" for bound, words in bounds.items() if bound in field]
    if "minLength" in field:
        limits.append("that is not empty")
    return " ".join([names.get(field.get("type", ""), ""), " and ".join(limits)]).strip()
