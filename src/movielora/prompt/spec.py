"""The prompt spec: everything that decides what a model is shown of an example. Saved with every adapter.

`prompt.json` in a run folder holds it; whatever asks the adapter later reads it there, so that no adapter is asked in
other words than those it was trained with.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from movielora.config import Config
from movielora.errors import DataError
from movielora.runs.paths import PROMPT_NAME
from movielora.sources.titles import Titles
from movielora.storage.atomic import write_json_atomically

if TYPE_CHECKING:
    from movielora.examples.load import ExampleLoader

SCHEMA = 1

SYSTEM = "You predict whether a person will like a film. Answer with one word: Yes or No."
INSTRUCTION = (
    "Below are films a user rated, oldest first, each with the user's rating from 0.5 to 5 stars. "
    "Decide whether the same user will like the candidate film."
)

History = Literal["recent"]
OwnTextName = Literal["system", "instruction"]
_NEWER = "update movielora, or give the adapter's own version"


@dataclass(frozen=True)
class Wording:
    """The fixed words of the user's text around films and candidate; `candidate_head` ends in a space.

    Raises ValueError for words that cannot stand there.
    """

    history_head: str = "Rated films:"
    candidate_head: str = "Candidate film: "
    question: str = "Will this user like the candidate film? Answer Yes or No."

    def __post_init__(self) -> None:
        if "\n" in self.history_head + self.candidate_head or not self.candidate_head.endswith(" "):
            raise ValueError("history_head and candidate_head are one line each, and the latter ends in a space")
        if self.question[:1].isspace() or not self.question:
            raise ValueError("question starts with a word")


@dataclass(frozen=True)
class PromptSpec:
    """What is shown of an example, and in which words.

    `history_len`: films shown at most, None for all that an example brings. `history`: how they are chosen; `recent` is
    the last ones before the question. `titles`: `as_given` shows a title as the data has it, `natural` with its
    articles in front (`natural_title`). `system` and `instruction` stand in the prompts of examples that bring no text
    of their own; `replaces` names those that replace such text too.
    """

    history_len: int | None = None
    history: History = "recent"
    titles: Titles = "as_given"
    system: str = SYSTEM
    instruction: str = INSTRUCTION
    replaces: tuple[OwnTextName, ...] = ()
    wording: Wording = Wording()

    @classmethod
    def of_split(cls, config: Config, loader: ExampleLoader, path: Path) -> PromptSpec:
        """The spec that a config asks for; what it does not say is as the dataset of `path` was prepared.

        Raises DataError as the loader does.
        """
        return cls.of_config(config, loader.dataset_history_len(path), loader.dataset_titles(path))

    @classmethod
    def of_config(
        cls, config: Config, dataset_history_len: int | None = None, dataset_titles: Titles = "as_given"
    ) -> PromptSpec:
        """The spec that a config asks for; the others are what a prepared dataset was made with."""
        spec = cls(
            history_len=config.prompt_history_len or dataset_history_len, titles=config.prompt_titles or dataset_titles
        )
        for name, text in (("system", config.system_prompt), ("instruction", config.instruction)):
            if text is not None:
                spec = spec.replacing(name, text)  # type: ignore[arg-type]
        return spec

    def replacing(self, name: OwnTextName, text: str) -> PromptSpec:
        """This spec with another system text or instruction, for examples with a text of their own too."""
        changed = replace(self, replaces=tuple(sorted({*self.replaces, name})))
        return replace(changed, system=text) if name == "system" else replace(changed, instruction=text)

    def to_json(self) -> dict[str, Any]:
        """What `prompt.json` holds; `line` and `bare_line` say how a film is written, for other programs."""
        lines = {"line": "{number}. {title}: {stars}", "bare_line": "{number}. {title}"}
        return {"schema": SCHEMA, **asdict(self), "wording": asdict(self.wording) | lines}


def write_prompt_file(folder: Path, spec: PromptSpec, *, private: bool = True) -> None:
    """Write `prompt.json` in `folder`, complete or not at all; `private`: for this user only. Raises OSError."""
    write_json_atomically(folder / PROMPT_NAME, spec.to_json(), private=private)


def read_prompt_file(folder: Path) -> PromptSpec | None:
    """The spec in `folder`, None if there is none.

    Raises DataError if the file is damaged, or of a version that asks for what this one cannot render.
    """
    path = folder / PROMPT_NAME
    if not path.is_file():
        return None
    try:
        return _from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is no prompt spec that this version can read: {error}", _NEWER) from None


def _from_json(raw: dict[str, Any]) -> PromptSpec:
    """Raises ValueError, KeyError or TypeError naming what is wrong."""
    if raw["schema"] != SCHEMA:
        raise ValueError(f"schema {raw['schema']} is not {SCHEMA}")
    spec = PromptSpec(
        history_len=_length(raw["history_len"]),
        history=_one_of(raw, "history", get_args(History)),
        titles=_one_of(raw, "titles", get_args(Titles)),
        system=_text(raw, "system"),
        instruction=_text(raw, "instruction"),
        replaces=tuple(_one_of({"replaces": name}, "replaces", get_args(OwnTextName)) for name in raw["replaces"]),
        wording=Wording(*(_text(raw["wording"], name) for name in ("history_head", "candidate_head", "question"))),
    )
    written = spec.to_json()
    unknown = [key for key in raw if key not in written]
    unknown += [f"wording.{key}" for key, text in raw["wording"].items() if written["wording"].get(key, text) != text]
    if unknown:
        raise ValueError(f"it asks for {', '.join(unknown)}")
    return spec


def _length(value: Any) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError("history_len is no whole number from 1")
    return value


def _one_of(raw: dict[str, Any], name: str, choices: tuple[Any, ...]) -> Any:
    if raw[name] not in choices:
        raise ValueError(f"{name} is {raw[name]!r}, not one of {', '.join(choices)}")
    return raw[name]


def _text(raw: dict[str, Any], name: str) -> str:
    value = raw[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value
