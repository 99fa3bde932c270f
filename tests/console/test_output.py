"""What reaches the terminal: never a character that it would obey."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from movielora.cli import main
from movielora.console import output, reporting
from movielora.console.output import visible
from movielora.errors import ConfigError

# A title that renames the window, clears the screen by C1, turns the direction of writing, and is half a surrogate.
HOSTILE = "Heat\x1b]0;owned\x07 \x9b2J \u202eevil\u2066 \x7f\ud83c é 七 🎬"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def test_visible_shows_control_and_direction_characters_and_leaves_the_rest() -> None:
    assert visible("a\x1b[1m\x9b\u202e\ud83c") == r"a\x1b[1m\x9b\u202e\ud83c"
    assert visible("line\n\ttab é 七 🎬 👩‍👧 مرحبا \\x1b") == "line\n\ttab é 七 🎬 👩‍👧 مرحبا \\x1b"
    assert visible(visible(HOSTILE)) == visible(HOSTILE)


def test_everything_drawn_is_visible(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(HOSTILE)
    table.add_row(Text(HOSTILE))
    for console in (output.stdout(), output.stderr()):
        console.print(HOSTILE, soft_wrap=True, markup=False)
        console.print(table)
        console.out(HOSTILE)
    told = reporting.reporter()
    told.note(HOSTILE)
    told.warn(HOSTILE)
    with told.phase(HOSTILE, 1, HOSTILE) as phase:
        phase.advance()
    output.show_error(ConfigError(HOSTILE, HOSTILE, (HOSTILE,)))
    said = capsys.readouterr()
    for stream in said:
        assert not OBEYED.search(stream)
        assert r"Heat\x1b]0;owned" in stream
    assert said.err.count(r"Heat\x1b]0;owned") >= 8


def test_a_terminal_still_gets_colours_and_bars(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    console = output.stdout()
    console.print("[red]x[/]")
    assert "\x1b[31mx\x1b[0m" in capsys.readouterr().out
    with reporting.TerminalReporter(console).phase(HOSTILE, 2, "rows") as phase:
        phase.advance(2)
    drawn = capsys.readouterr().out
    assert "\x1b]0;" not in drawn
    assert r"\x1b]0;owned" in drawn


def test_json_says_the_same_in_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit_json({HOSTILE: [HOSTILE, float("nan")]})
    said = capsys.readouterr().out
    assert not OBEYED.search(said)
    assert json.loads(said) == {HOSTILE: [HOSTILE, None]}


@pytest.mark.parametrize("arguments", [("--show-examples", "1"), ("--show-examples", "1", "--json")])
def test_a_title_through_the_program(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    rows = [{"instruction": HOSTILE, "input": f"1. {HOSTILE}\nCandidate film: {HOSTILE}", "output": "Yes"}]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    config = tmp_path / "c.yaml"
    config.write_text(f"model_name_or_path: {tiny_base}\ntrain_file: {tmp_path}/train.json\n")
    with pytest.raises(SystemExit) as ended:
        main(["audit", "--config", str(config), *arguments])
    said = capsys.readouterr()
    assert not ended.value.code, said.err
    assert not OBEYED.search(said.out + said.err)
    assert "]0;owned" in said.out


def test_a_file_name_in_an_error_through_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.yaml"
    config.write_text('train_file: "\\e]0;owned\\a"\n')
    with pytest.raises(SystemExit) as ended:
        main(["audit", "--config", str(config)])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert r"\x1b]0;owned" in said.err
    assert not OBEYED.search(said.err)


@pytest.mark.parametrize("columns", [20, 60, 80, 100, None], ids=lambda columns: f"{columns} columns")
def test_no_figure_is_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int) -> None:
    """On a narrow terminal, and in a pipe (None), which has 80 columns: a name folds, a figure does not."""
    if columns is not None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
    figures = ["1.000*", "1.00–1.00", *["1.000*"] * 5, "12,345,678", "+.180 (.16 to .20)"]
    table = output.plain_table("", "AUC", "95%", "acc.", "F1", "uAUC", "log loss", "mass", "rows", "minus the base")
    table.add_row("popularity and the mean of the user", *figures)
    output.stdout().print(table)
    printed = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    lines = [re.split(r"\s{2,}", line.strip()) for line in printed.splitlines()]
    assert lines[0] == ["AUC", "95%", "acc.", "F1", "uAUC", "log loss", "mass", "rows", "minus the base"]
    assert lines[1][1:] == figures
    assert " ".join(line[0] for line in lines[1:]) == "popularity and the mean of the user"


def test_every_table_of_the_program_keeps_its_figures() -> None:
    """`Table` itself cuts what does not fit: only sentences are in one."""
    sources = Path(output.__file__).parents[1]
    used = [
        path.name for path in sources.rglob("*.py") if re.search(r"(?<!\w)Table\(", path.read_text(encoding="utf-8"))
    ]
    assert used == ["compare_view.py"]
