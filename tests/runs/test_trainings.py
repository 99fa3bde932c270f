"""Real trainings of the embedded base, interrupted: rows 1, 12, 13, 17 and 21, exact resume, and what it refuses."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from movielora.errors import ConfigError, ModelError
from movielora.runs.checkpoints import list_checkpoints, newest_complete
from movielora.runs.paths import MANIFEST_NAME
from movielora.runs.record import read_record
from movielora.runs.status.heartbeat import read_heartbeat
from movielora.runs.status.history import read_metrics
from movielora.storage.atomic import read_json
from tiny_training import Listener, Workplace, wait_for, wait_until_gone

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def half_done(workplace: Workplace, tmp_path: Path) -> str:
    """The name of a run that was stopped at half its steps, its last checkpoint at step 20."""
    name = tmp_path.name
    stopped_copy = workplace.folder / "output" / "half"
    if not stopped_copy.exists():
        _stop_in_the_middle(workplace, "half")
    shutil.copytree(stopped_copy, workplace.folder / "output" / name)
    return name


def _stop_in_the_middle(place: Workplace, name: str) -> None:
    """Killed when step 20 is saved; the steps after it are lost."""
    child = place.start(*place.train(name, "--set", "save_total_limit=null"))
    assert wait_for(lambda: place.paths(name).checkpoint(20).exists(), 120)
    child.kill()
    child.wait()
    for step in (21, 25, 28, 30, 35, 40):  # what it may have saved before the signal came
        shutil.rmtree(place.paths(name).checkpoint(step), ignore_errors=True)


def _same_as_calm(place: Workplace, name: str) -> bool:
    return place.losses(name) == place.losses("calm") and place.adapter(name) == place.adapter("calm")


def test_row_1_the_terminal_closes_and_the_run_goes_on(workplace: Workplace) -> None:
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(workplace.folder)
        os.environ["OMP_NUM_THREADS"] = "1"
        words = [sys.executable, "-m", "movielora", *workplace.train("terminal", "--detach")]
        os.execv(sys.executable, words)  # noqa: S606 - our own program, in the child of the fork
    run = workplace.living("terminal", 60)
    os.close(master)  # the terminal is gone, the parent with it
    os.waitpid(pid, 0)
    assert wait_for(lambda: (beat := read_heartbeat(workplace.paths("terminal"))) and beat.count("step"), 60)
    told = workplace.status("terminal")
    assert told["state"] in ("running", "finished")
    wait_until_gone(run)
    assert _same_as_calm(workplace, "terminal")
    log = workplace.paths("terminal").log.read_text()
    assert "\r" not in log
    assert log.endswith("\n")
    assert workplace.paths("terminal").log.stat().st_mode & 0o077 == 0


def test_row_12_a_full_disk_leaves_the_earlier_checkpoint_and_training_goes_on(
    workplace: Workplace, monkeypatch
) -> None:
    """From step 7 on the disk has no room; saves are given up before they begin."""
    listener = Listener()
    usage = shutil.disk_usage

    def full(path: Path) -> object:
        late = workplace.paths("full").checkpoint(7).exists()
        return usage(path)._replace(free=0) if late else usage(path)

    monkeypatch.setattr(shutil, "disk_usage", full)
    result = workplace.train_here("full", reporter=listener)
    assert result.state == "finished"
    assert any("checkpoint 10 could not be saved: a checkpoint needs about" in line for line in listener.said)
    assert read_json(workplace.paths("full").record)["save_error"]["step"] == 40
    assert [c.step for c in list_checkpoints(workplace.paths("full")) if c.complete] == [5, 7]
    assert workplace.losses("full") == workplace.losses("calm")


def test_row_12_a_full_disk_ends_the_run_where_that_is_asked(workplace: Workplace) -> None:
    """A limit of 20 kB a file, set in the run once step 5 is saved: Python ignores SIGXFSZ, so writes fail."""
    child = workplace.start(*workplace.train("fail", "--set", "on_save_error=fail", "--set", "report_to=none"))
    assert wait_for(lambda: workplace.paths("fail").checkpoint(5).exists(), 120)
    psutil.Process(child.pid).rlimit(psutil.RLIMIT_FSIZE, (20_000, -1))
    assert child.wait(60) == 1
    told = workplace.status("fail")
    assert (told["state"], "could not be saved" in told["reason"]) == ("failed", True)
    assert [checkpoint["complete"] for checkpoint in told["checkpoints"]] == [True] * len(told["checkpoints"])
    assert workplace.paths("fail").leftovers() == []
    workplace.train_here("fail", mode="resume")
    assert _same_as_calm(workplace, "fail")


def test_row_13_each_damaged_file_is_found_skipped_and_said(workplace: Workplace, half_done: str) -> None:
    """Every file of the newest checkpoint in turn, truncated or missing; then one real resume past it."""
    paths = workplace.paths(half_done)
    newest = paths.checkpoint(20)
    files = [path for path in sorted(newest.iterdir()) if path.name != MANIFEST_NAME]
    assert {"optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"} < {path.name for path in files}
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        chosen, skipped = newest_complete(paths)
        assert chosen.step < 20
        assert path.name in skipped[0].problems[0]
        path.unlink()
        assert newest_complete(paths)[0].step < 20
        path.write_bytes(whole)
    assert newest_complete(paths)[0].step == 20
    (newest / "optimizer.pt").unlink()
    assert not workplace.status(half_done)["checkpoints"][-1]["complete"]
    listener = Listener()
    workplace.train_here(half_done, mode="resume", reporter=listener)
    assert "checkpoint-20 is skipped: optimizer.pt is missing" in listener.said
    assert _same_as_calm(workplace, half_done)


def test_row_17_ctrl_c_leaves_an_evaluation_which_the_resume_makes_good(workplace: Workplace) -> None:
    """Ctrl-C does what `stop` does. Evaluating row by row every other step, most of the time is evaluation."""
    slow = ("per_device_eval_batch_size=1", "max_eval_samples=null", "eval_steps=2", "num_train_epochs=1")
    workplace.train_here("slow-calm", *slow)
    paths = workplace.paths("slow")
    child = workplace.start(*workplace.train("slow", *(word for key in slow for word in ("--set", key))))

    def evaluating() -> bool:
        beat = read_heartbeat(paths)
        return bool(beat and beat.text("phase") == "evaluating" and (beat.count("step") or 0) >= 2)

    assert wait_for(evaluating, 120)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 75
    *_, stopped, what_next = workplace.last_stderr.read_text().splitlines()
    assert stopped.startswith("stopped: at step ")
    assert what_next.startswith("next: ")
    assert "error" not in workplace.last_stderr.read_text()
    assert workplace.paths("slow").log.read_text().endswith(f"{stopped}\n{what_next}\n")
    assert workplace.status("slow")["state"] == "stopped"
    workplace.train_here("slow", *slow, mode="resume")
    assert workplace.losses("slow") == workplace.losses("slow-calm")
    assert workplace.adapter("slow") == workplace.adapter("slow-calm")


def test_a_run_in_a_terminal_has_the_log_and_the_lines_of_a_background_run(workplace: Workplace) -> None:
    paths = workplace.paths("calm")
    rows = read_metrics(paths.metrics).evaluations
    assert len(rows) == 6  # every 7 of 40 steps, and the last
    best, expected = 0.0, []
    for row in rows:
        star = "  ★ best" if row["eval_auc"] > best else ""
        best = max(best, row["eval_auc"])
        three = [f"{row[f'eval_{name}']:.3f}".removeprefix("0") for name in ("auc", "uauc", "f1")]
        expected.append(f"step {row['step']:.0f}  AUC {three[0]}  uAUC {three[1]}  F1 {three[2]}{star}")
    shown = workplace.run("logs", "output/calm").stdout.splitlines()
    assert [line for line in shown if line.startswith("step ")] == expected
    background = workplace.run(*workplace.train("background", "--detach"))
    assert background.returncode == 0, background.stderr
    followed = workplace.run("logs", "-f", "output/background").stdout.splitlines()
    assert [line for line in followed if line.startswith("step ")] == expected
    first_words = [{line.split()[0] for line in lines if line} for lines in (shown, followed)]
    assert first_words[0] ^ first_words[1] <= {
        "Finding",
        "Loading",
        "Reading",
    }  # a phase of less than a second has none
    assert any(line.startswith("eval_uauc ") for line in shown)
    assert sum(line.startswith("movielora ") for line in followed) == 1  # no line is there twice
    assert sum(line.startswith("Training: done") for line in followed) == 1


def test_an_early_stop_gives_its_reason_everywhere(workplace: Workplace) -> None:
    """The loss is never 1,000 below its lowest, so the second log, of step 6, ends the training."""
    changes = ("loss_plateau_patience=1", "loss_plateau_min_delta=1000", "eval_steps=4")
    words = [word for change in changes for word in ("--set", change)]
    told = workplace.run(*workplace.train("early", *words, "--json"))
    assert told.returncode == 0, told.stderr
    best = read_metrics(workplace.paths("early").metrics).evaluations[0]
    value = f"{best['eval_auc']:.3f}".removeprefix("0")
    reason = f"stopped early at step 6 of 40: the training loss has not fallen in 1 log; best {value} at step 4"
    assert json.loads(told.stdout)["reason"] == reason
    assert reason in told.stderr.splitlines()
    assert read_record(workplace.paths("early")).ended.reason == reason
    assert workplace.status("early")["reason"] == reason
    assert reason in workplace.run("logs", "output/early").stdout.splitlines()
    page = workplace.run("status", "output/early").stdout
    assert "stopped early at step 6 of 40" in page
    assert "15.0%" not in page
    again = workplace.run("resume", "output/early")
    assert again.returncode == 2
    assert reason in again.stderr


def test_row_21_a_detached_run_that_dies_at_once_says_why(workplace: Workplace) -> None:
    started = workplace.run(*workplace.train("none", "--detach", "--set", "model_name_or_path=/no/such/model"))
    assert started.returncode == 2, started.stderr
    assert "/no/such/model" in started.stderr
    assert started.stdout == ""
    assert not workplace.paths("none").root.exists()  # refused before it had a folder
    started = workplace.run(*workplace.train("dead", "--detach", "--set", "lora_target=qkv"))
    assert started.returncode == 2, started.stderr
    assert "qkv" in started.stderr
    assert started.stdout == ""
    assert workplace.status("dead")["state"] == "failed"


def test_ctrl_c_while_a_background_run_starts_cancels_it_calmly(workplace: Workplace) -> None:
    child = workplace.start(*workplace.train("cancelled", "--detach"))
    run = workplace.living("cancelled", 60)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    said = workplace.last_stderr.read_text()
    assert f"stopped: the start was cancelled, and PID {run.pid} asked to end" in said
    assert "error" not in said
    wait_until_gone(run)
    assert wait_for(lambda: workplace.status("cancelled")["state"] == "stopped", 30)


def test_stop_saves_and_resume_continues_from_the_record_alone(workplace: Workplace, tmp_path: Path) -> None:
    started = workplace.run(*workplace.train("again", "--detach", "--json", "--name", "my-run"))
    told = json.loads(started.stdout)
    assert set(told) == {"run", "run_dir", "pid", "log"}
    assert told["run"] == "my-run"
    assert wait_for(lambda: (beat := read_heartbeat(workplace.paths("again"))) and (beat.count("step") or 0) >= 1, 60)
    stopped = json.loads(workplace.run("stop", "my-run", "--json").stdout)
    assert set(stopped) == {"run", "state", "checkpoint", "waited_seconds", "forced"}
    assert stopped["state"] == "stopped"
    assert read_record(workplace.paths("again")).ended.exit_code == 75
    elsewhere = Workplace(tmp_path)  # another working directory: the record says where it was
    resumed = elsewhere.run("resume", str(workplace.paths("again").root), "--detach", "--json")
    assert resumed.returncode == 0, resumed.stderr
    followed = workplace.run("logs", "my-run", "-f")
    assert followed.returncode == 0
    assert "Resuming my-run from checkpoint-" in followed.stdout
    assert workplace.status("my-run" if (workplace.folder / "my-run").exists() else "again")["state"] == "finished"
    assert _same_as_calm(workplace, "again")
    nothing = workplace.run("resume", "my-run")
    assert nothing.returncode == 2
    assert "nothing remains of my-run: all 40 steps are done" in nothing.stderr
    assert workplace.status("again")["state"] == "finished"
    assert workplace.run("stop", "my-run").returncode == 3


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("lora_rank=8", "the LoRA shape was LoRA of rank 4"),
        ("cutoff_len=512", "the prompt was"),
        ("train_file=data/d/eval.json", "the training data was"),
        ("model_name_or_path=other-base", "the base model was"),
    ],
)
def test_resume_refuses_what_would_be_another_training(
    workplace: Workplace, half_done: str, change: str, named: str
) -> None:
    before = workplace.paths(half_done).record.read_bytes()
    other = workplace.folder / "other-base"
    if not other.exists():
        base = Path(read_record(workplace.paths(half_done)).raw["base"])
        shutil.copytree(base, other)
        config = json.loads((other / "config.json").read_text())
        (other / "config.json").write_text(json.dumps(config | {"rope_theta": 5000.0}))
    with pytest.raises(ConfigError) as refused:
        workplace.train_here(half_done, change, mode="resume")
    assert named in refused.value.problems[0]
    assert workplace.paths(half_done).record.read_bytes() == before


def test_a_changed_number_is_said_and_allowed(workplace: Workplace, half_done: str) -> None:
    listener = Listener()
    workplace.train_here(half_done, "learning_rate=1.0e-3", mode="resume", reporter=listener)
    said = "learning_rate was 0.004 and is 0.001: the losses will not be an uninterrupted run's"
    assert said in listener.said


@pytest.mark.parametrize(("kernel", "others"), [("eager", 1), ("sdpa", 0)])
def test_other_kernels_are_said(workplace: Workplace, half_done: str, kernel: str, others: int) -> None:
    """What `auto` took is held against what is taken now: the key alone says neither."""
    listener = Listener()
    workplace.train_here(half_done, f"flash_attn={kernel}", mode="resume", reporter=listener)
    said = (
        "the run was trained with sdpa attention and the model's own kernels and continues with eager attention and "
        "the model's own kernels: the losses will not be an uninterrupted run's"
    )
    assert listener.said.count(said) == others
    assert not [line for line in listener.said if line.startswith("flash_attn was")]


def test_another_metric_finds_its_own_best_among_what_is_kept(workplace: Workplace, half_done: str) -> None:
    """AUC of old evaluations, near 0.6, is never compared with a log loss, near 0.7 and better when lower."""
    listener = Listener()
    paths = workplace.paths(half_done)
    before = read_json(paths.checkpoint(20) / "trainer_state.json")
    kept = {row["step"]: row["eval_log_loss"] for row in before["log_history"] if "eval_log_loss" in row}
    assert read_json(paths.checkpoint(20) / "resume_state.json")["metric"] == "auc"
    first = min((step for step in kept if paths.checkpoint(step).is_dir()), key=lambda step: kept[step])
    result = workplace.train_here(
        half_done, "metric_for_best_model=log_loss", "max_eval_samples=12", "save_total_limit=null",
        mode="resume", reporter=listener,
    )  # fmt: skip
    assert f"by log_loss instead of auc, checkpoint {first} is the best so far ({kept[first]:.4f})" in listener.said
    assert any(line.startswith("metric_for_best_model was auc and is log_loss: ") for line in listener.said)
    assert any(line.startswith("max_eval_samples was 16 and is 12: ") for line in listener.said)
    ended = read_json(paths.checkpoint(40) / "trainer_state.json")
    later = {row["step"]: row["eval_log_loss"] for row in ended["log_history"] if row.get("eval_log_loss")}
    candidates = {step: value for step, value in later.items() if step > 20 or step == first}
    assert ended["best_metric"] == min(candidates.values())
    assert candidates[ended["best_global_step"]] == ended["best_metric"]
    assert result.best_checkpoint.name == f"checkpoint-{ended['best_global_step']}"


@pytest.mark.parametrize("metric", ["auc", "f1"])
def test_a_best_whose_checkpoint_is_gone_does_not_count(workplace: Workplace, half_done: str, metric: str) -> None:
    paths = workplace.paths(half_done)
    best = read_json(paths.checkpoint(20) / "trainer_state.json")["best_global_step"]
    for step in (7, 14):
        shutil.rmtree(paths.checkpoint(step), ignore_errors=True)
    listener = Listener()
    result = workplace.train_here(half_done, f"metric_for_best_model={metric}", mode="resume", reporter=listener)
    assert {
        "auc": f"the best checkpoint ({best}) is missing or damaged: the next evaluation is the best",
        "f1": "by f1 instead of auc, no checkpoint that is kept was evaluated: the next evaluation is the best",
    }[metric] in listener.said
    assert int(result.best_checkpoint.name.removeprefix("checkpoint-")) > 20


def test_extra_epochs_go_on_from_the_end(workplace: Workplace) -> None:
    shutil.copytree(workplace.paths("calm").root, workplace.paths("longer").root)
    listener = Listener()
    result = workplace.train_here("longer", mode="resume", extra_epochs=1.0, reporter=listener)
    assert result.global_step == 50
    assert yaml.safe_load(workplace.paths("longer").config.read_text())["num_train_epochs"] == 5.0
    assert any("step 40 is done (epoch 4.00), step 41 is next, 10 of 50 remain" in line for line in listener.said)


def test_a_named_checkpoint_is_taken_and_a_damaged_one_refused(workplace: Workplace, half_done: str) -> None:
    paths = workplace.paths(half_done)
    (paths.checkpoint(15) / "rng_state.pth").write_bytes(b"")
    with pytest.raises(ModelError, match=r"rng_state\.pth"):
        workplace.train_here(half_done, mode="resume", checkpoint=paths.checkpoint(15))
    listener = Listener()
    workplace.train_here(half_done, mode="resume", checkpoint=paths.checkpoint(10), reporter=listener)
    assert any("step 11 is next" in line for line in listener.said)
    assert _same_as_calm(workplace, half_done)
