"""`torch_compile: true`: each decoder layer compiled on its own, so that one compilation serves them all."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from movielora.model.causal_lm import causal_lm_of


def compile_layers(model: Any) -> int:
    """Let torch.compile take every decoder layer of `model` (base or PEFT) at its first call; returns how many.

    Lengths are dynamic: a batch of another length does not compile again. The first training step waits for the
    compiler (29 s of one core were measured).
    """
    causal_lm = causal_lm_of(model)
    layers = causal_lm.get_decoder().layers
    for layer in layers:
        layer.compile(dynamic=True)
    return len(layers)


def uncompiled() -> AbstractContextManager[None]:
    """Inside, layers run uncompiled. Scoring fills a cache, which knows each layer by its number: every layer would
    compile again, up to torch's limit of eight, and after that training's own layers would not compile either.
    """
    import torch

    return torch.compiler.set_stance("force_eager")  # type: ignore[no-any-return]
