"""One Markdown table of all reports in bench/results/: what was measured, against whom, and which goals are reached.

usage: python bench/table.py            print it
       python bench/table.py --write    put it into README.md, in place of the one there
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from places import PROJECT, RESULTS
from report import goals_of, measure_words

_COLUMNS = ("bench", "work", "movielora", "peer", "ratio", "memory", "goal", "reached")
_ALIGNMENT = ("---", "---", "---:", "---:", "---:", "---:", "---", "---")
_HEADING = "## Is it fast?"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into README.md")
    options = parser.parse_args()
    table = make_table(RESULTS)
    if options.write:
        readme = PROJECT / "README.md"
        readme.write_text(replace_table(readme.read_text(encoding="utf-8"), table), encoding="utf-8")
    else:
        print(table, end="")


def make_table(folder: Path) -> str:
    """A line for each JSON in `folder` that `build_report` made, by file name; memory and GPU checks are no such."""
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    rows = [_COLUMNS, _ALIGNMENT, *(_cells(report) for report in reports if "measures" in report)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def replace_table(text: str, table: str) -> str:
    """`text` with the first table after the heading "Is it fast?" exchanged for `table`."""
    before, heading, after = text.partition(f"{_HEADING}\n")
    exchanged, count = re.subn(r"(?m)(?:^\|.*\n)+", lambda found: table, after, count=1)
    if not count:
        raise ValueError(f"no table after {_HEADING!r}")
    return before + heading + exchanged


def _cells(report: dict[str, Any]) -> tuple[str, ...]:
    (_, ours), *peers = report["sides"].items()
    measures = report["measures"]
    return (
        report["name"],
        _work(report),
        _seconds(ours, report["unit"]),
        f"{peers[0][0]}: {_seconds(peers[0][1], report['unit'])}" if peers else "–",
        f"{measures['ratio']:.2f}×" if "ratio" in measures else "–",
        _memory(report),
        ", ".join(goal.words() for goal in goals_of(report)),
        _reached(report),
    )


def _work(report: dict[str, Any]) -> str:
    facts = [f"{value:,} {key}" if isinstance(value, int) else value for key, value in report.get("work", {}).items()]
    return report["question"] + (f" ({', '.join(facts)})" if facts else "")


def _seconds(side: dict[str, Any], unit: str) -> str:
    seconds = side["seconds"]
    return f"{seconds:,.0f} {unit}" if seconds >= 100 else f"{seconds:.3g} {unit}"


def _memory(report: dict[str, Any]) -> str:
    """Ours as a share of the peer's, and what else of memory a goal is about."""
    measures = report["measures"]
    said = [f"{measures['memory_ratio']:.2f}×"] if "memory_ratio" in measures else []
    others = [goal.measure for goal in goals_of(report) if goal.measure in ("peak_bytes", "memory_growth")]
    return ", ".join([*said, *(measure_words(measure, measures[measure]) for measure in others)]) or "–"


def _reached(report: dict[str, Any]) -> str:
    if report["quick"]:
        return "not judged"
    missed = [goal.words() for goal in goals_of(report) if not goal.is_reached(report["measures"])]
    return f"no: {', '.join(missed)}" if missed else "yes"


if __name__ == "__main__":
    main()
