"""The view of `movielora runs`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from movielora.console.output import stdout, visible
from movielora.console.reporting import format_duration
from movielora.console.training.status_view import STATE_STYLES, format_bytes
from movielora.errors import shell_command
from movielora.runs.checkpoints import folder_size
from movielora.runs.status.status import RunStatus

# As many as a screen holds; `--all` shows the rest.
SHOWN = 20
_COLUMNS = ("state", "step", "best", "age", "size")
_GAP = "  "


def show_runs(here: Sequence[RunStatus], elsewhere: Sequence[RunStatus], *, older: int, others: int) -> None:
    """Print the runs here, then those elsewhere under the folder they are in; `older` and `others` are left out."""
    console = stdout()
    left_out = [f"{older} older" if older else "", f"{others} in other folders" if others else ""]
    more = f"{', '.join(filter(None, left_out))}: movielora runs --all"
    if here or elsewhere:
        for line in _table(here, elsewhere, console.width):
            # A name or folder that is too long goes over the edge in one piece: it is there to be copied.
            console.print(line, soft_wrap=True)
        if any(left_out):
            console.print(f"and {more}", style="dim")
    elif others:
        console.print(f"no runs under output/ here; {more}")
    else:
        from movielora.config.ready_made import ready_made_config  # the room of config loads pydantic's models

        start = shell_command("movielora", "train", "--config", ready_made_config("tiny_cpu.yaml"))
        console.print(f"no runs under output/ yet; start one with: {start}", markup=False, soft_wrap=True)


def runs_json(runs: Sequence[RunStatus], *, left_out: int) -> dict[str, Any]:
    """Return `{"runs": [...], "left_out": N}`; each run has the keys of `_JSON_KEYS`, `age_seconds` (s) and
    `size_bytes` (bytes), and `left_out` counts those that `--all` shows too."""
    return {
        "runs": [
            {key: value for key, value in run.to_json().items() if key in _JSON_KEYS}
            | {"age_seconds": _age(run), "size_bytes": folder_size(Path(run.run_dir))}
            for run in runs
        ],
        "left_out": left_out,
    }


_JSON_KEYS = ("run", "run_dir", "state", "reason", "step", "max_steps", "best")


def _table(here: Sequence[RunStatus], elsewhere: Sequence[RunStatus], width: int) -> Iterator[Text]:
    names = _names([*here, *elsewhere])
    figures = {run.run_dir: _figures(run) for run in (*here, *elsewhere)}
    widths = [max(map(cell_len, column)) for column in zip(_COLUMNS, *figures.values(), strict=True)]
    room = width - sum(widths) - len(_GAP) * len(widths)
    name_width = max(length for length in [3, *map(cell_len, names.values())] if length <= max(3, room))
    yield Text("run".ljust(name_width) + _joined(_COLUMNS, widths), style="dim")
    for run in here:
        yield from _row(names[run.run_dir], run, figures[run.run_dir], widths, name_width)
    for folder in dict.fromkeys(Path(run.run_dir).parent for run in elsewhere):
        yield Text()
        yield Text(f"in {folder}", style="dim")
        for run in elsewhere:
            if Path(run.run_dir).parent == folder:
                yield from _row(names[run.run_dir], run, figures[run.run_dir], widths, name_width)


def _names(runs: Sequence[RunStatus]) -> dict[str, str]:
    """What each run is called, by its folder: the name, or the folder if several have the name."""
    counts = Counter(run.run for run in runs)
    return {run.run_dir: visible(run.run if counts[run.run] == 1 else run.run_dir) for run in runs}


def _row(name: str, run: RunStatus, figures: Sequence[str], widths: Sequence[int], name_width: int) -> Iterator[Text]:
    """One line; two if the name needs the whole width."""
    if cell_len(name) > name_width:
        yield Text(name)
        name = ""
    line = Text(name + " " * (name_width - cell_len(name)))
    line.append(_joined(figures[:1], widths), style=STATE_STYLES.get(run.state, ""))
    yield line.append(_joined(figures[1:], widths[1:]))


def _joined(figures: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(_GAP + figure.rjust(width) for figure, width in zip(figures, widths, strict=False))


def _figures(run: RunStatus) -> tuple[str, ...]:
    age = _age(run)
    return (
        run.state,
        _steps(run),
        _best(run),
        format_duration(age) if age is not None else "?",
        format_bytes(folder_size(Path(run.run_dir))),
    )


def _age(run: RunStatus) -> float | None:
    """Return the seconds since the run began, by the wall clock."""
    return max(0.0, time.time() - run.started) if run.started is not None else None


def _steps(run: RunStatus) -> str:
    if run.step is None:
        return "–"
    over = run.state == "finished"  # early, perhaps: nothing of it is missing
    return f"{run.step:,}/{run.max_steps:,}" if run.max_steps and not over else f"{run.step:,}"


def _best(run: RunStatus) -> str:
    if run.best is None or run.best.value is None:
        return "–"
    return f"{run.best.metric.removeprefix('eval_')} {run.best.value:.4f}".strip()
