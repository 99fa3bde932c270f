"""AdamW with fp32 masters: plain AdamW where weights are fp32, no lost steps where they are bf16, exact resume."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from movielora.training.loop.optimizer import MasterAdamW

OPTIONS = {"lr": 1.5e-4, "betas": (0.9, 0.99), "weight_decay": 0.01}


def _gradients(count: int) -> list[torch.Tensor]:
    return list(torch.randn(count, 8, 4, generator=torch.Generator().manual_seed(2)))


def _start() -> torch.Tensor:
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(1)).mul(0.03).bfloat16()


def _run(optimizer: torch.optim.Optimizer, weight: torch.Tensor, gradients: list[torch.Tensor]) -> None:
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
        optimizer.zero_grad()


def _bf16(weight: torch.Tensor) -> torch.nn.Parameter:
    parameter = torch.nn.Parameter(weight.clone())
    parameter.grad_dtype = torch.float32
    return parameter


def test_bf16_weights_are_the_rounded_fp32_ones() -> None:
    exact = torch.nn.Parameter(_start().float())
    weight = _bf16(_start())
    _run(torch.optim.AdamW([exact], **OPTIONS), exact, _gradients(200))
    _run(MasterAdamW([weight], **OPTIONS), weight, _gradients(200))
    assert torch.equal(weight, exact.bfloat16())


def test_without_masters_steps_would_be_lost() -> None:
    """Why the masters are there: plain AdamW on bf16 stands still at a small learning rate."""
    start = torch.full((8, 4), 0.05, dtype=torch.bfloat16)
    push = [torch.ones(8, 4)] * 50
    plain = torch.nn.Parameter(start.clone())
    ours = _bf16(start)
    _run(torch.optim.AdamW([plain], lr=1e-5, weight_decay=0.0), plain, [g.bfloat16() for g in push])
    _run(MasterAdamW([ours], lr=1e-5, weight_decay=0.0), ours, push)
    assert torch.equal(plain, start)
    assert ours.float().mean().item() == pytest.approx(0.05 - 50 * 1e-5, abs=2e-4)


def test_fp32_weights_are_plain_adamw() -> None:
    plain, ours = (torch.nn.Parameter(_start().float()) for _ in range(2))
    _run(torch.optim.AdamW([plain], **OPTIONS), plain, _gradients(20))
    optimizer = MasterAdamW([{"params": [ours], "weight_decay": 0.01}], **OPTIONS)
    _run(optimizer, ours, _gradients(20))
    assert torch.equal(plain, ours)
    assert optimizer.state_dict()["masters"] == []


def test_a_resumed_optimizer_takes_the_same_steps(tmp_path: Path) -> None:
    gradients = _gradients(30)
    whole = _bf16(_start())
    _run(MasterAdamW([whole], **OPTIONS), whole, gradients)

    first = _bf16(_start())
    optimizer = MasterAdamW([first], **OPTIONS)
    _run(optimizer, first, gradients[:17])
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    second = _bf16(first.detach())
    resumed = MasterAdamW([second], **OPTIONS)
    resumed.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    _run(resumed, second, gradients[17:])
    assert torch.equal(second, whole)


def test_another_training_s_state_is_refused() -> None:
    with pytest.raises(ValueError, match="0 fp32 master weights, not 1"):
        MasterAdamW([_bf16(_start())], **OPTIONS).load_state_dict(
            MasterAdamW([torch.nn.Parameter(_start().float())], **OPTIONS).state_dict()
        )
