"""Variables of launchers: left over they mean one process; a launcher that started several is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from movielora.errors import RequestError
from movielora.machine.launcher import launcher_variables, refuse_several
from movielora.machine.process_settings import hidden_variables, settings_undone
from tiny_training import make_workplace

RUN_V1 = Path(__file__).parents[1] / "fixtures" / "run_v1"
TORCHRUN = {
    "RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0", "ROLE_RANK": "0", "ROLE_NAME": "default",
    "LOCAL_WORLD_SIZE": "1", "WORLD_SIZE": "1", "GROUP_WORLD_SIZE": "1", "ROLE_WORLD_SIZE": "1",
    "MASTER_ADDR": "10.1.2.3",
    "MASTER_PORT": "29500", "TORCHELASTIC_RESTART_COUNT": "0", "TORCHELASTIC_MAX_RESTARTS": "0",
    "TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_ERROR_FILE": "/nowhere/error",
}  # fmt: skip
ACCELERATE = {
    "ACCELERATE_MIXED_PRECISION": "fp8", "ACCELERATE_USE_FSDP": "true", "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_DYNAMO_BACKEND": "INDUCTOR", "ACCELERATE_TORCH_DEVICE": "cuda:7", "ACCELERATE_USE_CPU": "False",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "9", "FSDP_VERSION": "2", "FSDP_SHARDING_STRATEGY": "FULL_SHARD",
    "PARALLELISM_CONFIG_TP_SIZE": "4", "MEGATRON_LM_TP_DEGREE": "2",
}  # fmt: skip
MPI = {
    "OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_LOCAL_RANK": "0", "PMI_SIZE": "1",
    "PMI_RANK": "0", "MPI_LOCALNRANKS": "1", "MPI_LOCALRANKID": "0", "MV2_COMM_WORLD_LOCAL_RANK": "0",
}  # fmt: skip
# A plain command inside `salloc -n 4`, which started no step.
SLURM = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NTASKS": "4", "SLURM_NPROCS": "4", "SLURM_NODEID": "0"}


@pytest.mark.parametrize(
    "left_over", [{"LOCAL_RANK": "0"}, TORCHRUN, ACCELERATE, MPI, SLURM], ids=lambda names: next(iter(names))
)
def test_every_variable_of_a_launcher_is_hidden_while_a_recipe_runs(
    left_over: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in left_over.items():
        monkeypatch.setenv(name, value)
    assert set(left_over) <= set(launcher_variables(os.environ))
    with settings_undone():
        assert not set(left_over) & set(os.environ)
        assert set(left_over) <= set(hidden_variables())
        child = [sys.executable, "-c", "import os; print(*os.environ)"]
        seen = subprocess.run(child, capture_output=True, text=True, check=True)
        assert not set(left_over) & set(seen.stdout.split())
    assert {name: os.environ.get(name) for name in left_over} == left_over
    assert hidden_variables() == []


def test_what_is_no_launchers_stays() -> None:
    own = {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "8", "CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "2"}
    assert launcher_variables(own | {"MY_RANK": "3", "HF_HOME": "/cache", "MASTER_KEY": "x"}) == []


@pytest.mark.parametrize("name", ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_several_processes_are_refused_by_the_variable(name: str) -> None:
    with pytest.raises(RequestError, match=rf"has started 2 \({name}=2\)") as refused:
        refuse_several({name: "2"})
    assert f"unset {name}" in refused.value.next_step
    for harmless in ("1", "0", "", "two", "-2", "1.5"):
        refuse_several({name: harmless})
        assert launcher_variables({name: harmless}) == [name]


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--config", "tiny.yaml"),
        ("train", "--config", "tiny.yaml", "--detach"),
        ("train", "--config", "tiny.yaml", "--dry-run"),
        ("audit", "--config", "tiny.yaml"),
        ("compare", "--config", "tiny.yaml"),
        ("merge", "./run_v1", "--output-dir", "merged"),
    ],
    ids=lambda words: " ".join(words),
)
def test_each_command_that_loads_a_model_refuses_before_it_loads(tmp_path: Path, words: tuple[str, ...]) -> None:
    """The base does not exist: a command that looked for it would say so instead."""
    shutil.copytree(RUN_V1, tmp_path / "run_v1")
    (tmp_path / "tiny.yaml").write_text("model_name_or_path: /no/such/base\ntrain_file: /no/such/file.json\n")
    told = subprocess.run(
        [sys.executable, "-m", "movielora", *words],
        cwd=tmp_path, env=os.environ | {"WORLD_SIZE": "2", "RANK": "1"}, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert told.returncode == 2, told.stderr
    assert "a launcher has started 2 (WORLD_SIZE=2)" in told.stderr
    assert "Traceback" not in told.stderr
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("variables", "status", "said"),
    [
        ({"WORLD_SIZE": "2", "RANK": "1"}, "failure", "a launcher has started 2 (WORLD_SIZE=2)"),
        ({"SLURM_STEP_NUM_TASKS": "4", **SLURM}, "failure", "a launcher has started 4 (SLURM_STEP_NUM_TASKS=4)"),
        ({"LOCAL_RANK": "0", "RANK": "1"}, "ok", "left over from a launcher, not used: LOCAL_RANK, RANK"),
        (SLURM, "ok", "SLURM_NTASKS"),
        ({}, "ok", "no launcher: one process"),
    ],
)
def test_doctor_reports_what_training_would_refuse(variables: dict[str, str], status: str, said: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in launcher_variables(os.environ)}
    done = subprocess.run(
        [sys.executable, "-m", "movielora", "doctor", "--only", "launcher", "--only", "python", "--json"],
        env=clean | variables, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == (1 if status == "failure" else 0), done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert (checks["launcher"]["status"], checks["python"]["status"]) == (status, "ok")
    assert said in checks["launcher"]["found"]
    assert ("unset" in checks["launcher"]["fix"]) == (status == "failure")


def test_a_training_and_a_comparison_under_left_over_variables_are_those_of_one_process(tmp_path: Path) -> None:
    """Real processes: the same losses as without the variables."""
    place = make_workplace(tmp_path)
    few = ("--set", "max_steps=3", "--set", "eval_steps=3")
    variables = {**TORCHRUN, **ACCELERATE, **MPI, **SLURM}
    plain, left = place.run(*place.train("plain"), *few), place.run(*place.train("left"), *few, **variables)
    assert plain.returncode == 0, plain.stderr
    assert left.returncode == 0, left.stderr
    assert place.losses("left") == place.losses("plain")
    assert place.adapter("left") == place.adapter("plain")
    assert "Left over from a launcher, not used: ACCELERATE_DYNAMO_BACKEND" in left.stderr
    compared = place.run("compare", "output/left", "--json", **variables)
    assert compared.returncode == 0, compared.stderr
    assert 0 <= json.loads(compared.stdout)["adapter"]["accuracy"] <= 1
