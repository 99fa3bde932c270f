"""A storm over a detached training: signals at random moments, and after each the run is resumed.

MOVIELORA_STORM_ROUNDS sets the rounds (5 without it), MOVIELORA_STORM_SEED the moments.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from movielora.runs.record import read_record
from movielora.storage import process
from tiny_training import Workplace, end_everything, make_workplace, wait_for, wait_until_gone

ROUNDS = int(os.environ.get("MOVIELORA_STORM_ROUNDS", "5"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
SEED = int(os.environ.get("MOVIELORA_STORM_SEED", str(time.time_ns() % 100_000)))


@pytest.mark.timeout(120 + 60 * ROUNDS)
def test_a_storm_of_signals_never_needs_repair_and_loses_nothing(tmp_path: Path) -> None:
    moments = random.Random(SEED)  # noqa: S311 - chance, not secrecy
    print(f"storm: {ROUNDS} rounds, MOVIELORA_STORM_SEED={SEED}")
    place = make_workplace(tmp_path)
    undisturbed = place.run(*place.train("calm"))
    assert undisturbed.returncode == 0, undisturbed.stderr
    training_seconds = _training_seconds(place)
    try:
        going_on = "--resume"
        for number in range(ROUNDS):
            # Loading takes longer than training here: one strike in four falls there, the others where more can break.
            while_training, delay = moments.random() < 0.75, moments.uniform(0, training_seconds)
            state = _round(place, number, going_on, delay, moments.choice(SIGNALS), while_training=while_training)
            going_on = "--resume"
            if state == "finished":
                _same_as_undisturbed(place)
                going_on = "--overwrite"
        _finish(place)
    finally:
        end_everything(tmp_path)


def _training_seconds(place: Workplace) -> float:
    """From the first logged step to the last one of the undisturbed training."""
    times = [json.loads(line)["time"] for line in place.paths("calm").metrics.read_text().splitlines()]
    return times[-1] - times[0]


def _round(
    place: Workplace, number: int, going_on: str, delay: float, chosen: signal.Signals, *, while_training: bool
) -> str:
    """Go on, strike `delay` seconds after the run took its folder or began to train, and hold `status` against it."""
    parent = place.start(*place.train("storm", going_on, "--detach"))
    assert wait_for(lambda: place.owner("storm") or parent.poll() is not None), "no process took the folder"
    said = place.last_stderr.read_text()
    assert place.owner("storm") or parent.returncode == 0 or "nothing remains" in said, said
    if while_training:
        parent.wait(timeout=120)  # it waits for the first step itself
    time.sleep(delay)
    victim = place.owner("storm")
    if victim is not None:
        process.send_signal(victim, chosen)
        if chosen == signal.SIGHUP:
            _hangup_is_ignored(place)
            process.send_signal(victim, signal.SIGKILL)
        wait_until_gone(victim)
    parent.wait(timeout=60)
    told = place.status("storm")
    print(
        f"round {number}: {chosen.name} {delay:.1f} s into {'training' if while_training else 'loading'}"
        f" → {told['state']} at step {told['step']}: {told['reason']}"
    )
    expected = {"finished"} if victim is None else {"finished", "stopped" if chosen == signal.SIGTERM else "killed"}
    assert told["state"] in expected, told
    if told["state"] == "stopped":
        assert read_record(place.paths("storm")).ended.exit_code == 75
    assert not told["process"]["alive"]
    assert all(checkpoint["complete"] for checkpoint in told["checkpoints"]), told["checkpoints"]
    return str(told["state"])


def _hangup_is_ignored(place: Workplace) -> None:
    time.sleep(0.3)
    told = place.status("storm")
    assert told["state"] in ("starting", "running", "finished"), told
    second = place.run(*place.train("storm", "--resume"))
    assert second.returncode == 2
    assert "is alive in" in second.stderr or "nothing remains" in second.stderr, second.stderr


def _finish(place: Workplace) -> None:
    last = place.run(*place.train("storm", "--resume"))
    assert last.returncode == 0 or "nothing remains" in last.stderr, last.stderr
    assert place.status("storm")["state"] == "finished"
    _same_as_undisturbed(place)


def _same_as_undisturbed(place: Workplace) -> None:
    assert place.losses("storm") == place.losses("calm")
    assert place.adapter("storm") == place.adapter("calm")
