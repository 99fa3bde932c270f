"""On a CUDA GPU: rows laid end to end under flash attention, and Liger's kernels. Skipped where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.gpu

_PROMPTS = (61, 40, 7)


@pytest.fixture(autouse=True)
def _cuda() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")


@pytest.fixture
def flash(tiny_base: Path) -> tuple[Any, Any]:
    """The embedded base in bf16 with sdpa, rows padded, and with flash attention, rows end to end."""
    from movielora.model.base import Placement, load_base
    from movielora.model.kernels.attention import probe_flash_attention

    verdict = probe_flash_attention()
    if not verdict.usable:
        pytest.skip(verdict.reason)
    padded, end_to_end = (
        load_base(str(tiny_base), Placement("cuda", "bfloat16", quantized=False, attention=attention))
        for attention in ("sdpa", "flash_attention_2")
    )
    return padded, end_to_end


def _rows() -> tuple[Any, Any]:
    import torch

    torch.manual_seed(0)
    return torch.randint(3, 900, (3, 62), device="cuda"), torch.tensor(_PROMPTS, device="cuda")


def test_rows_end_to_end_give_the_padded_rows_logits_and_gradients(flash: tuple[Any, Any]) -> None:
    import torch

    from movielora.scoring.answer_position import answer_logits

    ids, prompts = _rows()
    found = []
    for model in flash:
        weight = model.get_decoder().layers[0].self_attn.k_proj.weight.requires_grad_()
        logits = answer_logits(model, ids, prompts, 2).float()
        (gradient,) = torch.autograd.grad(logits.log_softmax(-1)[..., 5].sum(), weight)
        found.append((logits.detach(), gradient.float()))
    for padded, end_to_end in zip(*found, strict=True):
        assert float((padded - end_to_end).abs().max() / padded.abs().max()) < 0.05  # bf16 through two layers


def test_a_row_does_not_see_its_neighbour(flash: tuple[Any, Any]) -> None:
    import torch

    from movielora.scoring.answer_position import answer_logits

    ids, prompts = _rows()
    changed = ids.clone()
    changed[0, : _PROMPTS[0]] = 17
    with torch.inference_mode():
        before, after = (answer_logits(flash[1], each, prompts, 2) for each in (ids, changed))
    assert not torch.equal(before[0], after[0])
    torch.testing.assert_close(after[1:], before[1:], rtol=0, atol=0)


def test_ligers_kernels_agree_with_the_models_own() -> None:
    from movielora.model.kernels.liger import installed_liger, probe_liger

    if installed_liger() is None:
        pytest.skip("liger-kernel is not installed")
    verdict = probe_liger()
    assert verdict.usable, verdict.error or verdict.reason


def test_a_base_on_cuda_leaves_cudnn_attention_out(tiny_base: Path) -> None:
    """It plans anew for each length, which doubled a step's time."""
    import torch

    from movielora.model.base import Placement, load_base

    torch.backends.cuda.enable_cudnn_sdp(True)
    load_base(str(tiny_base), Placement("cuda", "bfloat16", quantized=False, attention="sdpa"))
    assert not torch.backends.cuda.cudnn_sdp_enabled()
