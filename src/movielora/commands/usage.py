"""A command line that cannot be read, as one sentence and the command that was meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from movielora.commands.parameters import YAML_ENDINGS
from movielora.commands.table import COMMANDS, load_command
from movielora.errors import MovieloraError, RequestError, shell_command

# The parent of everything that Typer finds wrong with a command line; it exports this child of it only.
TyperUsageError: type[Exception] = typer.BadParameter.__bases__[0]

# What people type → the command that does it.
_MEANT: dict[str, str] = {
    **dict.fromkeys(("eval", "evaluate", "test", "score", "predict", "infer", "inference", "generate"), "compare"),
    **dict.fromkeys(("chat", "ask", "recommend", "benchmark", "bench", "baseline", "baselines"), "compare"),
    **dict.fromkeys(("export", "convert", "publish", "save", "serve", "gguf", "push"), "merge"),
    **dict.fromkeys(("tensorboard", "tb", "plot", "curves", "dashboard"), "board"),
    **dict.fromkeys(("ls", "list", "history"), "runs"),
    **dict.fromkeys(("ps", "top", "jobs", "show", "watch", "progress", "info"), "status"),
    **dict.fromkeys(("kill", "cancel", "abort", "end", "quit"), "stop"),
    **dict.fromkeys(("tail", "log", "output", "follow", "cat"), "logs"),
    **dict.fromkeys(("continue", "restart", "restore"), "resume"),
    **dict.fromkeys(("finetune", "fine-tune", "fine_tune", "sft", "start", "run", "fit-model", "learn"), "train"),
    **dict.fromkeys(("download", "data", "dataset", "preprocess", "import", "convert-data"), "prepare"),
    **dict.fromkeys(("tokens", "tokenize", "lengths"), "audit"),
    **dict.fromkeys(("check", "env", "system", "diagnose", "gpu", "wheel"), "doctor"),
    **dict.fromkeys(("memory", "vram", "estimate", "size", "plan"), "fit"),
    **dict.fromkeys(("errors", "rows", "examples", "inspect", "analyse"), "analyze"),
    **dict.fromkeys(("page", "html", "open"), "report"),
    **dict.fromkeys(("keys", "schema", "explain", "settings", "options"), "config"),
    **dict.fromkeys(("example", "quickstart", "tutorial", "init", "try"), "demo"),
}
_AS_OPTIONS = {"version": "movielora --version", "help": "movielora --help lists the commands"}
_CLOSE = 0.6
_OVERRIDE = re.compile(r"([\w.-]+)=(.*)", re.DOTALL)
_OPTION = re.compile(r"-[A-Za-z-]")  # -4 is a value
_TO_CHANGE = "change a key with: movielora train --config RUN_FOLDER/config.yaml --resume --set KEY=VALUE"


@dataclass(frozen=True)
class _Mistake:
    """`meant` is the whole command line with this mistake put right, empty if that cannot be known: then `advice`."""

    said: str
    meant: tuple[str, ...] = ()
    advice: str = ""


def unknown_command(word: str) -> RequestError:
    """There is no command `word`: the nearest one, by spelling or by meaning."""
    plain = word.lower()
    if plain in _AS_OPTIONS:
        return RequestError(f"there is no command '{word}'", _AS_OPTIONS[plain])
    close = difflib.get_close_matches(plain, COMMANDS, cutoff=_CLOSE)
    meant = [_MEANT[plain]] if plain in _MEANT else close
    if not meant:
        return RequestError(f"there is no command '{word}'", "movielora --help lists the commands")
    offered = ", ".join(f"'{name}'" for name in meant)
    return RequestError(
        f"there is no command '{word}'. Did you mean {offered}?",
        f"movielora {meant[0]} --help: {COMMANDS[meant[0]][1]}",
    )


def usage_error(error: Any, words: Sequence[str]) -> RequestError:
    """What Typer found wrong with `words`, the command line without the program; the next step is what to write."""
    found = _first_mistake(words) or _said_by_typer(error, words)
    if not found.meant:
        return RequestError(found.said, found.advice)
    meant = _put_right(found.meant)
    example = "for example: " if _any_config() in set(meant) - set(words) else ""
    return RequestError(found.said, example + shell_command("movielora", *meant))


def _put_right(words: Sequence[str]) -> Sequence[str]:
    """The command line with its other mistakes put right too, as far as they can be: it is meant to be pasted."""
    for _ in range(len(words)):
        found = _first_mistake(words)
        if found is None or not found.meant:
            break
        words = found.meant
    return words


def _first_mistake(words: Sequence[str]) -> _Mistake | None:
    """What is wrong with the words after a command, without reading their values; None if only Typer can say."""
    if not words or words[0] not in COMMANDS:
        return None
    if (unjoined := _unjoined_override(words)) is not None:
        return unjoined
    command = load_command(words[0])
    context = command.context_class(command, info_name=words[0], **command.context_settings)
    try:
        values, extra, _ = command.make_parser(context).parse_args(args=list(words[1:]))
    except TyperUsageError as error:
        option = _unknown_option_of(error)
        return None if option is None else _unknown_option(option, command, f"movielora {words[0]}", words)
    if not any(parameter.name == "config" for parameter in command.params):
        return None
    arguments = [values.get(each.name) or () for each in command.params if each.param_type_name == "argument"]
    loose = [word for each in arguments for word in ([each] if isinstance(each, str) else each)]
    named = bool(values.get("config"))
    return _loose_override([*loose, *extra], command, words) or _unnamed_config([*loose, *extra], words, named=named)


def _said_by_typer(error: Any, words: Sequence[str]) -> _Mistake:
    command = getattr(getattr(error, "ctx", None), "command", None)
    named = f"movielora {words[0]}" if words[0] in COMMANDS else "movielora"
    path = getattr(getattr(error, "ctx", None), "command_path", named)
    option = _unknown_option_of(error)
    if command is not None and option is not None:
        return _unknown_option(option, command, path, words)
    return _Mistake(error.format_message().strip().rstrip("."), advice=f"{path} --help shows what it takes")


def _unknown_option_of(error: Any) -> str | None:
    """The option that a command does not have, if that is what Typer found."""
    return getattr(error, "option_name", None) if hasattr(error, "possibilities") else None


def _unjoined_override(words: Sequence[str]) -> _Mistake | None:
    """`--set learning_rate 1e-4`, as other programs take it."""
    for place in range(len(words) - 2):
        option, key, value = words[place : place + 3]
        if option == "--set" and "=" not in key and not value.startswith("-"):
            meant = (*words[:place], "--set", f"{key}={value}", *words[place + 3 :])
            return _Mistake(f"--set {key} has no value: join them with =", meant)
    return None


def _loose_override(loose: Sequence[str], command: Any, words: Sequence[str]) -> _Mistake | None:
    """`train … learning_rate=1e-4` without `--set`."""
    if not _takes_overrides(command):
        return None
    for word in loose:
        if (found := _OVERRIDE.fullmatch(word)) is not None:
            override = f"{_key_named(found[1]) or found[1]}={found[2]}"
            return _Mistake(
                f"{word}: keys of the config are given with --set", _instead(words, word, "--set", override)
            )
    return None


def _instead(words: Sequence[str], loose: str, *named: str) -> tuple[str, ...]:
    """The command line with `named` in the place of an argument; without `--`, behind which nothing is an option."""
    kept = [word for word in words if word != "--"]
    place = kept.index(loose)
    return (*kept[:place], *named, *kept[place + 1 :])


def _unnamed_config(loose: Sequence[str], words: Sequence[str], *, named: bool) -> _Mistake | None:
    """A YAML file that stands where no argument is expected, or none at all where one is needed."""
    for word in loose if not named else ():
        if word.endswith(YAML_ENDINGS):
            return _Mistake(f"the config {word} must follow --config", _instead(words, word, "--config", word))
    if words[0] in ("train", "audit", "fit") and not named:
        said = "the option --config is missing: the YAML file of the training"
        return _Mistake(said, (*words, "--config", _any_config()))
    return None


def _any_config() -> str:
    """What stands for the config that is missing."""
    from movielora.config.ready_made import ready_made_config  # the room of config loads pydantic's models

    return ready_made_config("tiny_cpu.yaml")


def _unknown_option(option: str, command: Any, path: str, words: Sequence[str]) -> _Mistake:
    place = next((at for at, word in enumerate(words) if word.startswith(option)), len(words) - 1)
    name, equals, value = words[place].partition("=")
    refused = f"{path} has no option {name}"
    if path == "movielora":
        return _before_the_command(refused, words, place)
    options = [spelling for parameter in command.params for spelling in parameter.opts if spelling.startswith("--")]
    same = name.replace("_", "-").lower()
    if same in options:
        return _Mistake(refused, (*words[:place], same + equals + value, *words[place + 1 :]))
    key = _key_named(name)
    if key is not None and _takes_overrides(command):
        return _Mistake(
            f"{refused}: keys of the config are given with --set", _as_override(key, equals, value, words, place)
        )
    if words[0] == "resume" and (key is not None or same in ("--set", "--config", "-c")):
        return _changed_run(f"{refused}: it continues a run with the config that the run recorded", words)
    close = difflib.get_close_matches(same.strip("-"), [each.strip("-") for each in options], n=1, cutoff=_CLOSE)
    meant = f". Did you mean --{close[0]}?" if close else ""
    return _Mistake(refused + meant, advice=f"{path} --help shows the options")


def _as_override(key: str, equals: str, value: str, words: Sequence[str], place: int) -> tuple[str, ...]:
    """The command line with `--lr 1e-4` written as `--set learning_rate=1e-4`."""
    from movielora.config.explain import values_of

    after = words[place + 1 :]
    if not equals:
        if after and not _OPTION.match(after[0]):
            value, after = after[0], after[1:]
        else:  # as a flag
            value = "true" if "true" in values_of(key) else "VALUE"
    return (*words[:place], "--set", f"{key}={value}", *after)


def _changed_run(refused: str, words: Sequence[str]) -> _Mistake:
    """`movielora resume RUN --set …`: it is `train` that continues a run with another value of a key."""
    from movielora.runs.lookup.find import run_to_resume
    from movielora.runs.lookup.run_config import folder_of_run

    run = words[1] if len(words) > 1 and not words[1].startswith("-") else None
    others = words[2:] if run else words[1:]
    if any(word.startswith(("--config", "-c")) for word in others):
        return _Mistake(refused, () if run else ("train", "--resume", *others), _TO_CHANGE)
    try:
        paths = run_to_resume(run)
    except MovieloraError:
        return _Mistake(refused, advice=_TO_CHANGE)
    meant = ("train", "--config", str(paths.config), "--resume", *others)
    origin = folder_of_run(paths)
    if origin is None or origin.resolve() == Path.cwd():
        return _Mistake(refused, meant)
    return _Mistake(refused, advice=f"in {shell_command(origin)}: {shell_command('movielora', *_put_right(meant))}")


def _takes_overrides(command: Any) -> bool:
    return any(parameter.name == "overrides" for parameter in command.params)


def _key_named(name: str) -> str | None:
    from movielora.config.resolve import known_keys
    from movielora.config.synonyms import key_named

    return key_named(name, known_keys())


def _before_the_command(refused: str, words: Sequence[str], place: int) -> _Mistake:
    """`movielora --json status`: the option belongs behind the command, if that has it."""
    rest = (*words[:place], *words[place + 1 :])
    if rest and rest[0] in COMMANDS:
        known = {spelling for parameter in load_command(rest[0]).params for spelling in parameter.opts}
        if words[place].partition("=")[0] in known:
            return _Mistake(f"{refused}; it belongs behind the command", (*rest, words[place]))
    return _Mistake(refused, advice="movielora --help lists the commands")
