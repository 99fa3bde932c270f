"""The choice of a flash-attn wheel, over the whole table, its traps and its gaps."""

from __future__ import annotations

import itertools

import pytest

from movielora.doctor.wheels import Machine, choose_wheel, minor, numbers, table, torch_build
from movielora.errors import ConfigError

MODERN_GLIBC = "2.39"


def _minors(span: list[str]) -> list[str]:
    known = ["1.12", "1.13", *(f"2.{number}" for number in range(12))]
    return [version for version in known if numbers(span[0]) <= numbers(version) <= numbers(span[1])]


def _pythons(span: list[str]) -> list[str]:
    return [f"3.{number}" for number in range(numbers(span[0])[1], numbers(span[1])[1] + 1)]


def _row_machines() -> list[tuple[dict, Machine]]:
    """Every combination that a row of the table names."""
    found = []
    for row in table()["releases"]:
        axes = itertools.product(
            _minors(row["torch"]),
            row["cuda"],
            _pythons(row["python"]),
            row.get("abi", [True, False]),
            row.get("machines", ["x86_64"]),
        )
        for torch, cuda, python, abi, machine in axes:
            if {"torch": torch, "abi": abi} not in row.get("broken", []):
                found.append((row, Machine(python, torch, f"{cuda}.0", abi, machine, MODERN_GLIBC)))
    return found


def test_every_combination_of_the_table_gets_a_wheel_no_older_than_its_row() -> None:
    order = [version for row in table()["releases"] for version in row["versions"]]
    for row, machine in _row_machines():
        choice = choose_wheel(machine)
        assert choice.wheel is not None, machine
        assert order.index(choice.wheel.version) <= order.index(row["versions"][0]), machine
        assert f"torch{machine.torch}cxx11abi{'TRUE' if machine.abi else 'FALSE'}" in choice.wheel.file
        assert f"-cp{machine.python.replace('.', '')}-cp" in choice.wheel.file
        assert choice.wheel.file.endswith(f"-linux_{machine.machine}.whl")


def test_every_release_of_the_table_is_offered_to_some_machine() -> None:
    offered = set()
    for _, machine in _row_machines():
        choice = choose_wheel(machine)
        assert choice.wheel is not None
        offered |= {choice.wheel.version, *(wheel.version for wheel in choice.older)}
    assert offered == {version for row in table()["releases"] for version in row["versions"]}


@pytest.mark.parametrize(
    ("machine", "file"),
    [
        # The issue's own example: a C library older than 2.8.x needs.
        (
            Machine("3.11", "2.5.1", "12.4", glibc="2.31", capability="8.6"),
            "flash_attn-2.7.4.post1+cu12torch2.5cxx11abiFALSE-cp311-cp311-linux_x86_64.whl",
        ),
        (
            Machine("3.11", "2.5.1", "12.4", glibc="2.32"),
            "flash_attn-2.8.3.post1+cu12torch2.5cxx11abiFALSE-cp311-cp311-linux_x86_64.whl",
        ),
        # The torch 2.6 trap: the 2.8.x wheels named abiFALSE hold TRUE symbols.
        (
            Machine("3.12", "2.6.0", "12.4", glibc=MODERN_GLIBC),
            "flash_attn-2.7.4.post1+cu12torch2.6cxx11abiFALSE-cp312-cp312-linux_x86_64.whl",
        ),
        # Its cu126 build has the other ABI, and no trap.
        (
            Machine("3.12", "2.6.0", "12.6", glibc=MODERN_GLIBC),
            "flash_attn-2.8.3.post1+cu12torch2.6cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
        ),
        # NVIDIA's container of torch 2.6: TRUE, whatever PyPI's build is.
        (
            Machine("3.12", "2.6.0", "12.4", abi=True, glibc=MODERN_GLIBC),
            "flash_attn-2.8.3.post1+cu12torch2.6cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
        ),
        # Before 2.7.0 the name holds the whole CUDA version of the build.
        (
            Machine("3.10", "2.0.1", "11.8", glibc="2.31"),
            "flash_attn-2.6.3+cu118torch2.0cxx11abiFALSE-cp310-cp310-linux_x86_64.whl",
        ),
        (
            Machine("3.10", "2.0.1", "12.1", glibc="2.31"),
            "flash_attn-2.6.3+cu123torch2.0cxx11abiFALSE-cp310-cp310-linux_x86_64.whl",
        ),
        (
            Machine("3.8", "1.13.1", "11.7", glibc="2.31"),
            "flash_attn-2.5.9.post1+cu118torch1.13cxx11abiFALSE-cp38-cp38-linux_x86_64.whl",
        ),
        # The last with CUDA 11, and the last with Python 3.8.
        (
            Machine("3.11", "2.5.1", "11.8", glibc=MODERN_GLIBC),
            "flash_attn-2.7.3+cu11torch2.5cxx11abiFALSE-cp311-cp311-linux_x86_64.whl",
        ),
        (
            Machine("3.8", "2.4.1", "12.1", glibc=MODERN_GLIBC),
            "flash_attn-2.7.0.post2+cu12torch2.4cxx11abiFALSE-cp38-cp38-linux_x86_64.whl",
        ),
        # Added later: torch 2.9, both CUDA majors, both machines, Python 3.12 alone.
        (
            Machine("3.12", "2.9.1", "13.0", glibc=MODERN_GLIBC, machine="arm64"),
            "flash_attn-2.8.3+cu13torch2.9cxx11abiTRUE-cp312-cp312-linux_aarch64.whl",
        ),
        # Blackwell wants 2.8.x.
        (
            Machine("3.12", "2.7.1", "12.8", glibc=MODERN_GLIBC, capability="12.0"),
            "flash_attn-2.8.3.post1+cu12torch2.7cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
        ),
    ],
)
def test_chosen_wheels(machine: Machine, file: str) -> None:
    choice = choose_wheel(machine)
    assert choice.wheel is not None, choice.reason
    assert choice.wheel.file == file
    version = choice.wheel.version
    assert choice.wheel.url == (
        f"https://github.com/Dao-AILab/flash-attention/releases/download/v{version}/{file.replace('+', '%2B')}"
    )


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (Machine("3.12", "2.11.0", "13.0", glibc=MODERN_GLIBC), "no official wheel is known for torch 2.11"),
        (Machine("3.12", "2.13.0", "13.0"), "no official wheel is known for torch 2.13"),
        (Machine("3.11", "2.13.0+cpu", None), "is a CPU build"),
        (Machine("3.11", None, None), "torch is not installed"),
        (Machine("3.11", "2.5.1", "12.4", capability="7.5"), "needs compute capability 8.0 or more"),
        (Machine("3.11", "2.5.1", "12.4", system="Windows"), "for Linux only"),
        (Machine("3.11", "2.9.0", "12.8", glibc=MODERN_GLIBC), "Python 3.12, not 3.11"),
        (Machine("3.14", "2.8.0", "12.8", glibc=MODERN_GLIBC), "Python 3.9 to 3.13, not 3.14"),
        (Machine("3.11", "2.6.0", "11.8", glibc=MODERN_GLIBC), "CUDA 12, not 11"),
        (Machine("3.12", "2.8.0", "12.8", glibc="2.31"), "needs glibc 2.32 or newer, and this is 2.31"),
        (Machine("3.12", "2.7.0", "12.8", glibc=MODERN_GLIBC, machine="aarch64"), "no wheel for aarch64"),
        (Machine("3.11", "2.5.1", "12.4", glibc="2.31", capability="12.0"), "needs glibc 2.32"),
        (Machine("3.12", "2.9.1", "12.8", abi=False, glibc=MODERN_GLIBC), "no wheel of ABI FALSE"),
    ],
)
def test_gaps_say_why_and_what_instead(machine: Machine, words: str) -> None:
    choice = choose_wheel(machine)
    assert choice.wheel is None
    assert words in choice.reason
    assert choice.reason.endswith("keep flash_attn: auto, which uses sdpa")


def test_an_unknown_c_library_prefers_what_runs_everywhere_and_else_says_the_condition() -> None:
    safe = choose_wheel(Machine("3.11", "2.5.1", "12.4"))
    assert safe.wheel is not None
    assert safe.wheel.version == "2.7.4.post1"
    assert "2.8.3.post1 needs glibc 2.32" in safe.reason
    only = choose_wheel(Machine("3.12", "2.8.0", "12.8"))
    assert only.wheel is not None
    assert only.wheel.version == "2.8.3.post1"
    assert "it needs glibc 2.32 or newer" in only.reason


@pytest.mark.parametrize(
    ("torch", "cuda", "abi", "glibc"),
    [
        ("2.5.1", "12.4", False, "2.17"),
        ("2.6.0", "12.4", False, "2.17"),
        ("2.6.0", "11.8", False, "2.17"),
        ("2.6.0", "12.6", True, "2.28"),
        ("2.7.0", "12.6", True, "2.28"),
        ("2.13.0", "13.0", True, "2.28"),
    ],
)
def test_abi_and_c_library_follow_from_the_torch_build(torch: str, cuda: str, abi: bool, glibc: str) -> None:
    build = torch_build(torch, cuda)
    assert (build["abi"], build["glibc"]) == (abi, glibc)


@pytest.mark.parametrize("text", ["lots", "2..5", "", "v2.5", "2"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        minor(text)


def test_the_table_says_where_it_is_from_and_when() -> None:
    assert table()["source"].startswith("https://github.com/Dao-AILab/flash-attention")
    assert len(table()["date"]) == len("2026-11-22")
