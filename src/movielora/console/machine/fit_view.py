"""The view of `movielora fit`."""

from __future__ import annotations

from rich.text import Text

from movielora.console.outlook_view import format_about, show_outlook
from movielora.console.output import plain_table, stdout
from movielora.doctor.fit import Fit
from movielora.model.estimates.recommendation import Recommendation

_GIB = 1 << 30
_WORDS = {
    "base_weights": "base weights",
    "adapters": "adapters",
    "gradients": "gradients",
    "optimizer": "optimiser",
    "activations": "activations",
    "logits": "logits at the answer",
    "evaluation": "evaluation, beyond a step",
    "framework": "framework",
}


def show_fit(fit: Fit) -> None:
    """Print the parts and their sum, the settings for this memory and for common GPUs, then what the training costs."""
    console = stdout()
    setup = fit.setup
    device = "a CUDA GPU" if fit.device == "cuda" else "the CPU"
    title = (
        f"{fit.config} on {device}: {setup.rows} row{'s' if setup.rows > 1 else ''} of up to {setup.tokens:,} tokens"
    )
    parts = plain_table(title, "GiB")
    for name, size in fit.estimate.parts.items():
        parts.add_row(_WORDS[name], f"{size / _GIB:.2f}")
    parts.add_row(Text("peak", "bold"), Text(f"{fit.estimate.peak_bytes / _GIB:.2f}", "bold"))
    console.print(parts)
    console.print()
    console.print(Text(f"For {fit.where} of {fit.recommended.memory / _GIB:.1f} GiB:", "bold"))
    console.print(Text(f"  {_settings(fit.recommended)}", "cyan"), soft_wrap=True)
    for note in fit.notes:
        console.print(Text(f"  {note}", "yellow"))
    console.print()
    console.print(_gpu_table(fit.table))
    console.print()
    console.print(Text(f"The training, {fit.outlook.steps:,} steps:", "bold"))
    show_outlook(fit.outlook, with_time=fit.here)
    times = " · ".join(f"{hardware.name} {format_about(seconds)}" for hardware, seconds in fit.times)
    console.print(Text(f"On a GPU with the rows that fit it, estimated, not measured: {times}."))


def _settings(chosen: Recommendation) -> str:
    values = {name: str(value).lower() for name, value in chosen.as_json().items()}
    return "\n  ".join(f"{name}: {value}" for name, value in values.items())


def _gpu_table(recommendations: tuple[Recommendation, ...]) -> object:
    table = plain_table("GPU memory", "rows", "accumulation", "checkpointing", "weights", "peak GiB")
    for each in recommendations:
        table.add_row(
            f"{each.memory // _GIB} GiB",
            *(
                str(each.setup.rows),
                str(each.accumulation),
                "yes" if each.setup.checkpointing else "no",
                "4-bit" if each.setup.quantized else f"{each.setup.base_bytes * 8}-bit",
                f"{each.peak_bytes / _GIB:.1f}" if each.fits else f"{each.peak_bytes / _GIB:.1f}, too much",
            ),
        )
    return table
