"""A command line that cannot be read, as one sentence and the command that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from movielora.commands.parameters import YAML_ENDINGS
from movielora.commands.table import COMMANDS, load_command
from movielora.errors import RequestError, shell_command

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
_CLOSE = 0.6


def unknown_command(word: str) -> RequestError:
    """There is no command `word`: the nearest one, by spelling or by meaning."""
    plain = word.lower()
    if plain == "version":
        return RequestError(f"there is no command '{word}'", "movielora --version")
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
    command = getattr(getattr(error, "ctx", None), "command", None)
    named = f"movielora {words[0]}" if words[0] in COMMANDS else "movielora"
    path = getattr(getattr(error, "ctx", None), "command_path", named)
    if (unjoined := _unjoined_override(words)) is not None:
        return unjoined
    if command is not None:
        option = getattr(error, "option_name", None)
        if option is not None and hasattr(error, "possibilities"):
            return _unknown_option(option, command, path, list(words))
        if any(parameter.name == "config" for parameter in command.params):
            unnamed = _unnamed_config(words)
            if unnamed is not None:
                return unnamed
    said = error.format_message().strip().rstrip(".")
    return RequestError(said, f"{path} --help shows what it takes")


def _unjoined_override(words: Sequence[str]) -> RequestError | None:
    """`--set learning_rate 1e-4`, as other programs take it."""
    for place in range(len(words) - 2):
        option, key, value = words[place : place + 3]
        if option == "--set" and "=" not in key and not value.startswith("-"):
            meant = [*words[:place], "--set", f"{key}={value}", *words[place + 3 :]]
            return RequestError(f"--set {key} has no value: join them with =", shell_command("movielora", *meant))
    return None


def _unnamed_config(words: Sequence[str]) -> RequestError | None:
    """A YAML file that stands where no argument is expected, or none at all where one is needed."""
    named = any(word.startswith(("--config", "-c")) for word in words)
    for place, word in enumerate(words if not named else ()):
        if word.endswith(YAML_ENDINGS) and place > 0:
            meant = [*words[:place], "--config", *words[place:]]
            return RequestError(f"the config {word} must follow --config", shell_command("movielora", *meant))
    if words[0] == "train" and not named:
        from movielora.config.ready_made import ready_made_config

        example = shell_command("movielora", *words, "--config", ready_made_config("tiny_cpu.yaml"))
        return RequestError("the option --config is missing: the YAML file of the training", f"for example: {example}")
    return None


def _unknown_option(option: str, command: Any, path: str, words: list[str]) -> RequestError:
    place = next((at for at, word in enumerate(words) if word.startswith(option)), len(words) - 1)
    name, equals, value = words[place].partition("=")
    refused = f"{path} has no option {name}"
    if path == "movielora":
        return _before_the_command(refused, words, place)
    options = [spelling for parameter in command.params for spelling in parameter.opts if spelling.startswith("--")]
    same = name.replace("_", "-").lower()
    if same in options:
        return RequestError(
            refused, shell_command("movielora", *words[:place], same + equals + value, *words[place + 1 :])
        )
    if any(parameter.name == "overrides" for parameter in command.params):
        found = _as_override(name, equals, value, words, place)
        if found is not None:
            return RequestError(f"{refused}: keys of the config are given with --set", found)
    close = difflib.get_close_matches(same, options, n=1, cutoff=_CLOSE)
    meant = f" Did you mean {close[0]}?" if close else ""
    return RequestError(f"{refused}.{meant}" if meant else refused, f"{path} --help shows the options")


def _as_override(name: str, equals: str, value: str, words: list[str], place: int) -> str | None:
    """The command line with `--lr 1e-4` written as `--set learning_rate=1e-4`; None if no key is meant."""
    from movielora.config.resolve import known_keys
    from movielora.config.synonyms import key_named

    key = key_named(name, known_keys())
    if key is None:
        return None
    after = words[place + 1 :]
    if not equals:
        value, after = (after[0], after[1:]) if after and not after[0].startswith("--") else ("VALUE", after)
    return shell_command("movielora", *words[:place], "--set", f"{key}={value}", *after)


def _before_the_command(refused: str, words: list[str], place: int) -> RequestError:
    """`movielora --json status`: the option belongs behind the command, if that has it."""
    rest = [*words[:place], *words[place + 1 :]]
    if rest and rest[0] in COMMANDS:
        known = {spelling for parameter in load_command(rest[0]).params for spelling in parameter.opts}
        if words[place].partition("=")[0] in known:
            return RequestError(
                f"{refused}; it belongs behind the command", shell_command("movielora", *rest, words[place])
            )
    return RequestError(refused, "movielora --help lists the commands")
