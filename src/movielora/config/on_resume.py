"""What a changed key means for a run that is resumed: declared with each key in `keys.py`, read from there.

Three classes, and a key must have one of them (a test fails with the name of one that has none):

- fixed: with another value it would be another training; the resume is refused. What is compared is a part of the
  run's identity (`training/identity.py`), by content: a file that has moved is still the same data.
- warns: the resume goes on, and says what follows from the change.
- free: nothing that was trained so far depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel

Part = Literal["training data", "evaluation data", "prompt", "base model", "LoRA shape"]

OTHER_LOSSES = "the losses will not be an uninterrupted run's"
_OTHER_ROWS = "evaluations before and after are of different rows"
_OTHER_BEST = "the best is chosen again, among the checkpoints that are kept"


@dataclass(frozen=True)
class OnResume:
    """`part` of the identity that a fixed key belongs to; `consequence`, in words, of changing one that warns."""

    rule: Literal["fixed", "warns", "free"]
    part: Part | None = None
    consequence: str = ""


_Type = TypeVar("_Type")

TrainingData = Annotated[_Type, OnResume("fixed", "training data")]
EvaluationData = Annotated[_Type, OnResume("fixed", "evaluation data")]
PromptShape = Annotated[_Type, OnResume("fixed", "prompt")]
BaseModelKey = Annotated[_Type, OnResume("fixed", "base model")]
LoraShape = Annotated[_Type, OnResume("fixed", "LoRA shape")]

ChangesLosses = Annotated[_Type, OnResume("warns", consequence=OTHER_LOSSES)]
ChangesEvaluationRows = Annotated[_Type, OnResume("warns", consequence=_OTHER_ROWS)]
ChangesBest = Annotated[_Type, OnResume("warns", consequence=_OTHER_BEST)]

Free = Annotated[_Type, OnResume("free")]


def rules(model: type[BaseModel]) -> dict[str, OnResume | None]:
    """Each key of `model` → its rule, in the order of declaration; None for a key that has none."""
    return {
        key: next((item for item in field.metadata if isinstance(item, OnResume)), None)
        for key, field in model.model_fields.items()
    }


def consequences(model: type[BaseModel]) -> dict[str, str]:
    """The keys whose change is allowed and reported → what follows from it."""
    return {key: rule.consequence for key, rule in rules(model).items() if rule and rule.rule == "warns"}
