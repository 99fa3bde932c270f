"""Keys that hold text: what `--set key=…` and a YAML file mean for them, so that `dataset: 1e5` is no number."""

from __future__ import annotations

import re
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from movielora.config.keys import Config, InferenceConfig

_NOTHING = ("null", "none")
_QUOTED_NOTHING = re.compile(r"""(["'])(null|none)\1""", re.IGNORECASE)


@cache
def text_kinds(key: str) -> frozenset[type]:
    """What a text key takes: `str`, with `NoneType` if it may be null and `list` if it may be a list of texts.

    Empty for a key that holds anything else, and for one that does not exist.
    """
    group, _, name = key.rpartition(".")
    fields = {"": Config.model_fields, "inference": InferenceConfig.model_fields}.get(group, {})
    kinds = _kinds(fields[name].annotation) if name in fields else frozenset()
    return kinds if str in kinds and kinds <= {str, NoneType, list} else frozenset()


def is_written_as_list(key: str, text: str) -> bool:
    """Whether `text`, given to `--set`, is the YAML list that this text key takes too."""
    return list in text_kinds(key) and text.lstrip().startswith("[")


def text_of_override(key: str, text: str) -> str | None:
    """The value of a text key given to `--set`: what is behind the `=`, as it stands.

    A key that may be null reads `null` and `none` so; there, `"null"` in quotes is the word.
    """
    if NoneType not in text_kinds(key):
        return text
    if text.lower() in _NOTHING:
        return None
    return text[1:-1] if _QUOTED_NOTHING.fullmatch(text) else text


def _kinds(annotation: Any) -> frozenset[type]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return frozenset().union(*(_kinds(part) for part in get_args(annotation)))
    if origin is list and get_args(annotation) == (str,):
        return frozenset({list})
    return frozenset({annotation if isinstance(annotation, type) else object})
