"""Rows at once: settled by the estimate, halved on a real lack of memory, the effective batch and gradients kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from movielora.config import Config, ResolvedConfig, resolve_config
from movielora.errors import WorkError
from movielora.model.estimates import recommendation
from movielora.progress import SILENT
from movielora.training.loop import batch
from movielora.training.loop.batch import StepDown, is_out_of_memory, rows_of, settle_batch


def _inputs(rows: int) -> dict[str, Any]:
    import torch

    lengths = torch.arange(rows) + 3
    return {
        "input_ids": torch.arange(rows * 40).view(rows, 40),
        "prompt_lengths": lengths,
        "labels": torch.arange(2 * rows).view(rows, 2),
        "tokens": int(lengths.sum()) + rows,
    }


def _step(parameter: Any, most_rows: int, *, breaks_in_backward: bool = False) -> Callable[[dict[str, Any]], Any]:
    """A step whose gradient is the sum of its rows' labels, and whose memory holds `most_rows` rows."""
    import torch

    def step(part: dict[str, Any]) -> Any:
        loss = (parameter * part["labels"].float().sum()).sum()
        if len(part["labels"]) > most_rows:
            if breaks_in_backward:
                (loss / 7).backward()
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        loss.backward()
        return loss.detach()

    return step


@pytest.mark.parametrize("breaks_in_backward", [False, True])
@pytest.mark.parametrize("most_rows", [8, 5, 2, 1])
def test_parts_give_the_whole_gradient_and_loss(most_rows: int, breaks_in_backward: bool) -> None:
    import torch

    said: list[str] = []
    parameter = torch.ones(1, requires_grad=True)
    down = StepDown(8, said.append)
    before = torch.tensor([100.0])
    parameter.grad = before.clone()  # an earlier micro-batch of the same step
    inputs = _inputs(8)
    loss = down.run(_step(parameter, most_rows, breaks_in_backward=breaks_in_backward), inputs, [parameter])
    whole = float(inputs["labels"].sum())
    assert float(loss) == whole
    assert float(parameter.grad) == 100 + whole
    assert down.rows == {8: 8, 5: 4, 2: 2, 1: 1}[most_rows]
    assert len(said) == {8: 0, 5: 1, 2: 2, 1: 3}[most_rows]
    assert all("the effective batch stays the same" in line for line in said)


def test_the_step_down_lasts() -> None:
    import torch

    parameter = torch.ones(1, requires_grad=True)
    said: list[str] = []
    down = StepDown(4, said.append)
    for _ in range(3):
        down.run(_step(parameter, 2), _inputs(4), [parameter])
    assert len(said) == 1


def test_one_row_that_does_not_fit_is_an_error_with_its_cure() -> None:
    import torch

    parameter = torch.ones(1, requires_grad=True)
    with pytest.raises(WorkError, match="one row at a time is too much") as caught:
        StepDown(4, lambda text: None).run(_step(parameter, 0), _inputs(4), [parameter])
    assert "gradient_checkpointing=true" in caught.value.next_step


def test_other_errors_are_not_swallowed() -> None:
    import torch

    def broken(part: dict[str, Any]) -> Any:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        StepDown(4, lambda text: None).run(broken, _inputs(4), [torch.ones(1)])


def test_parts_are_padded_to_their_own_longest_row() -> None:
    part = rows_of(_inputs(4), 1, 3)
    assert part["prompt_lengths"].tolist() == [4, 5]
    assert part["input_ids"].shape == (2, 6)  # prompt and the answer's first token
    assert part["tokens"] == 4 + 5 + 2


_REAL = """
import resource, torch
from movielora.training.loop.batch import StepDown
from pathlib import Path

said = []
parameter = torch.ones(1, requires_grad=True)
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (700 << 20),) * 2)

def step(part):
    block = torch.ones(len(part["labels"]), 50 << 20)  # 200 MiB a row
    loss = (parameter * block[:, 0].sum()).sum()
    loss.backward()
    return loss.detach()

labels = torch.zeros(4, 2)
inputs = {"input_ids": torch.zeros(4, 9), "prompt_lengths": torch.full((4,), 8), "labels": labels, "tokens": 36}
print(float(StepDown(4, said.append).run(step, inputs, [parameter])), float(parameter.grad), len(said))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is Linux's")
def test_a_real_lack_of_memory_on_the_cpu_steps_down() -> None:
    """A limit on the address space makes the CPU's allocator refuse four rows at once, and allow two."""
    found = subprocess.run([sys.executable, "-c", _REAL], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.split() == ["4.0", "4.0", "1"]


def test_out_of_memory_is_known_by_what_is_raised() -> None:
    import torch

    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


AUTO = Config(model_name_or_path="tiny", per_device_train_batch_size="auto", effective_batch_size=12, cutoff_len=512)
GIB = 1 << 30


def _resolved(config: Config) -> ResolvedConfig:
    return ResolvedConfig(config, {}, None)


@pytest.mark.parametrize(("free", "rows"), [(64 * GIB, 12), (880 << 20, 1)])
def test_automatic_rows_fill_the_memory_and_divide_the_batch(
    monkeypatch: pytest.MonkeyPatch, free: int, rows: int
) -> None:
    monkeypatch.setattr(batch, "_free_memory", lambda: ("cuda", free))
    monkeypatch.setattr(batch, "bf16_is_fast", lambda device: True)
    settled = settle_batch(_resolved(AUTO), None, SILENT).values
    assert settled.micro_batch == rows
    assert settled.rows_per_step == 12


def test_written_rows_are_left_alone() -> None:
    resolved = _resolved(Config(per_device_train_batch_size=4))
    assert settle_batch(resolved, None, SILENT) is resolved


def test_a_resumed_run_keeps_its_rows() -> None:
    recorded = _resolved(AUTO.with_micro_batch(3))
    settled = settle_batch(_resolved(AUTO), recorded, SILENT).values
    assert (settled.micro_batch, settled.rows_per_step) == (3, 12)


def _losses(run_dir: Path) -> list[float]:
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_a_training_that_steps_down_learns_as_if_memory_had_been_there(
    tiny_config: Callable[..., ResolvedConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from movielora.training.loop.trainer import AnswerTrainer
    from movielora.training.train import TrainRequest, train_run

    settings = {"max_steps": 6, "eval_steps": 6, "save_steps": 6, "lora_dropout": 0.0, "bf16": False}
    plain = tiny_config(**settings, gradient_accumulation_steps=2, output_dir=tmp_path / "plain")
    expected = train_run(TrainRequest(plain), SILENT)

    original = AnswerTrainer.compute_loss

    def lacking(self: Any, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        loss = original(self, model, inputs, *rest, **named)
        if len(inputs["labels"]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.")
        return loss

    monkeypatch.setattr(AnswerTrainer, "compute_loss", lacking)
    monkeypatch.setattr(batch, "_free_memory", lambda: ("cpu", 64 * GIB))
    monkeypatch.setitem(recommendation._MOST_ROWS, "cpu", 8)
    auto = tiny_config(
        **{**settings, "per_device_train_batch_size": "auto"}, effective_batch_size=16, output_dir=tmp_path / "auto"
    )
    found = train_run(TrainRequest(auto), SILENT)
    assert _losses(found.run_dir) == pytest.approx(_losses(expected.run_dir), rel=1e-4)
    written = resolve_config(found.run_dir / "config.yaml").values
    assert (written.micro_batch, written.rows_per_step) == (8, 16)
