"""The view of `movielora audit`."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from movielora.console import output
from movielora.prompt.lengths import CutoffAdvice, LengthSummary
from movielora.training.audit import Audit, WalkedExample

_BAR = 40


def show_audit(found: Audit) -> None:
    console = output.stdout()
    for example in found.examples:
        _show_example(console, example)
    lengths = found.lengths
    console.print(f"[bold]{lengths.samples:,} examples[/] of {escape(found.name)}, in {found.unit}", soft_wrap=True)
    console.print(f"min {lengths.least:,}   mean {lengths.mean:,.1f}   max {lengths.most:,}")
    console.print("   ".join(f"p{name} {value:,.0f}" for name, value in lengths.percentiles.items()))
    console.print()
    _show_histogram(console, lengths, found.advice)
    if found.advice is not None:
        console.print()
        _show_advice(console, found.advice, lengths.samples)


def _show_histogram(console: Console, lengths: LengthSummary, advice: CutoffAdvice | None) -> None:
    most = max(count for *_, count in lengths.histogram)
    width = len(f"{lengths.most:,}")
    for start, end, count in lengths.histogram:
        bar = "█" * round(_BAR * count / most) or ("▏" if count else "")
        over = advice is not None and start > advice.cutoff_len
        console.print(f"{start:>{width},}–{end:<{width},} [{'red' if over else 'cyan'}]{bar:<{_BAR}}[/] {count:>9,}")


def _show_advice(console: Console, advice: CutoffAdvice, samples: int) -> None:
    def lose(count: int) -> str:
        return f"{count:,} examples ({count / samples:.1%}) lose their oldest films" if count else "nothing is cut"

    table = output.plain_table("cutoff_len", "tokens", "")
    table.columns[2].justify, table.columns[2].no_wrap = "left", False
    table.add_row("now", f"{advice.cutoff_len:,}", lose(advice.over_cutoff))
    saved = f"; the longest batch shrinks by {advice.saved_share:.0%}" if advice.saved_share > 0.005 else ""
    table.add_row("[bold]recommended[/]", f"[bold]{advice.recommended:,}[/]", f"{lose(advice.over_recommended)}{saved}")
    table.add_row("cuts nothing", f"{advice.cuts_nothing:,}", "the longest example, answer included")
    console.print(table)


def _show_example(console: Console, example: WalkedExample) -> None:
    console.print(f"[bold]{escape(example.place)}[/]", soft_wrap=True)
    for title, text in (("instruction", example.instruction), ("input", example.input), ("prompt", example.prompt)):
        console.print(f"[cyan]{title}[/]")
        console.print(Text(text), soft_wrap=True)
    console.print(f"[cyan]answer[/] {escape(example.answer)}")
    ids = example.token_ids
    shown = " ".join(map(str, ids[:12])) + " … " + " ".join(map(str, ids[-8:]))
    console.print(f"[cyan]token ids[/] {len(ids):,}: {shown}", soft_wrap=True)
    console.print(
        f"[cyan]answer position[/] {example.answer_position:,}: its next-token logits decide Yes or No; "
        f"only the two tokens after it are trained on",
        soft_wrap=True,
    )
    console.print(f"[cyan]cut[/] {len(example.dropped)} history lines")
    for line in example.dropped:
        console.print(Text(f"  {line}"), soft_wrap=True)
    console.print()
