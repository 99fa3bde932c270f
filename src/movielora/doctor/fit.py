"""`movielora fit`: what a config needs, and how to make it fit, before anything is started."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psutil

from movielora.config import ResolvedConfig
from movielora.errors import ConfigError, shell_command
from movielora.machine.gpu import Gpu, visible_gpus
from movielora.model.base import Device
from movielora.model.estimates.memory import Estimate, Setup, Shape, estimate, find_shape, setup_here, setup_of
from movielora.model.estimates.recommendation import MEMORIES, Recommendation, largest_batch, recommend
from movielora.model.estimates.speed import Hardware
from movielora.progress import SILENT, Reporter
from movielora.training.outlook import Outlook, find_work, look_ahead, on_shown_gpus

_UNITS = {"GIB": 1 << 30, "MIB": 1 << 20, "TIB": 1 << 40, "GB": 10**9, "MB": 10**6, "TB": 10**12}


@dataclass(frozen=True)
class Fit:
    """`where` names the memory that `recommended` is for; `table` is for the usual sizes of GPUs, with CUDA's costs.

    `outlook` is for the config as it is written on the processor at hand, which `here` says is the one asked about;
    `times` are estimated seconds on some GPUs, each with what is recommended for its memory.
    """

    config: str
    device: Device
    setup: Setup
    estimate: Estimate
    where: str
    here: bool
    recommended: Recommendation
    table: tuple[Recommendation, ...]
    outlook: Outlook
    times: tuple[tuple[Hardware, float], ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "peak_bytes": self.estimate.peak_bytes,
            "parts": self.estimate.parts,
            "recommended": self.recommended.as_json(),
            "fits": self.estimate.peak_bytes <= self.recommended.usable,
            "recommended_peak_bytes": self.recommended.peak_bytes,
            "recommended_fits": self.recommended.fits,
            "memory_bytes": self.recommended.memory,
            "device": self.device,
            "tokens": self.setup.tokens,
            "notes": list(self.notes),
            "by_memory": [
                {"memory_bytes": each.memory, "fits": each.fits, "peak_bytes": each.peak_bytes, **each.as_json()}
                for each in self.table
            ],
            "outlook": self.outlook.to_json(),
            "seconds_by_gpu": {hardware.name: seconds for hardware, seconds in self.times},
        }


def fit_config(resolved: ResolvedConfig, memory: str | None, reporter: Reporter = SILENT) -> Fit:
    """Estimate this config's peak and cost; recommend settings for `memory`, the GPU here, or this machine's memory.

    `per_device_train_batch_size: auto` is taken as the rows that are estimated to fit. Raises ConfigError for a memory
    that cannot be read, ModelError if the model's config.json is not at hand, DataError if the data is damaged.
    """
    budget = None if memory is None else parse_memory(memory)
    gpus = visible_gpus()
    shape = find_shape(resolved)
    on_gpu = setup_of(resolved.values, "cuda", bf16_is_fast=True)
    setup = on_gpu if budget and not gpus else setup_here(resolved.values, gpus)
    size, where = _memory_to_fit(budget, gpus)
    resolved, setup = _settled(resolved, shape, setup, size)
    values = resolved.values
    effective = values.rows_per_step
    found = estimate(shape, setup)
    chosen = recommend(shape, setup, size, effective)
    work = find_work(resolved, reporter)
    return Fit(
        str(resolved.path or "the defaults"),
        setup.device,
        setup,
        found,
        where,
        budget is None,
        chosen,
        tuple(recommend(shape, on_gpu, each, effective) for each in MEMORIES),
        look_ahead(resolved, work, shape, setup, gpus),
        tuple(on_shown_gpus(values, work, shape)),
        (*_unit_notes(memory), *_notes(shape, setup, found, chosen, where)),
    )


def outlook_of(resolved: ResolvedConfig, reporter: Reporter = SILENT) -> Outlook:
    """What the config's training costs on this machine. Raises ModelError and DataError as `fit_config`."""
    return fit_config(resolved, None, reporter).outlook


def _memory_to_fit(budget: int | None, gpus: Sequence[Gpu]) -> tuple[int, str]:
    """Bytes, and what has them."""
    if budget:
        return budget, "a GPU"
    if gpus and gpus[0].memory_total_bytes:
        return gpus[0].memory_total_bytes, gpus[0].name
    return psutil.virtual_memory().available, "this machine's free memory"


def _settled(resolved: ResolvedConfig, shape: Shape, setup: Setup, memory: int) -> tuple[ResolvedConfig, Setup]:
    """`auto` as the rows that fit `memory`; anything else as it is written."""
    values = resolved.values
    if values.per_device_train_batch_size != "auto":
        return resolved, setup
    setup = largest_batch(shape, setup, memory, values.rows_per_step).setup
    return replace(resolved, values=values.with_micro_batch(setup.rows)), setup


def parse_memory(text: str) -> int:
    """`24GiB`, `24 GB`, `512MiB` → bytes. Raises ConfigError without a unit: 24 of what?"""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", text)
    if match and match[2].upper() in _UNITS and float(match[1]) > 0:
        return round(float(match[1]) * _UNITS[match[2].upper()])
    number = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*", text)
    if number:
        raise ConfigError(f"--memory {text.strip()} has no unit", f"write --memory {number[1]}GiB")
    said = shell_command(text.strip())
    raise ConfigError(f"--memory {said} is no amount of memory", "write a number and a unit: --memory 24GiB")


def _unit_notes(memory: str | None) -> list[str]:
    """Cards are sold as 24 GB and hold 24 GiB."""
    match = re.fullmatch(r"\s*([\d.]+)\s*(GB|MB|TB)\s*", memory or "", re.IGNORECASE)
    if not match:
        return []
    binary = f"{match[1]}{match[2][0].upper()}iB"
    return [f"{match[0].strip()} is read as decimal; for a card sold by that name write --memory {binary}"]


def _notes(shape: Shape, setup: Setup, found: Estimate, chosen: Recommendation, where: str) -> list[str]:
    notes = []
    if found.peak_bytes > chosen.usable:
        notes.append(f"this config does not fit {where}; the recommended settings {'do' if chosen.fits else 'neither'}")
    if setup.quantized:
        plain = estimate(shape, replace(setup, quantized=False)).peak_bytes
        if plain <= chosen.usable:
            notes.append(f"16-bit fits as well ({plain / (1 << 30):.1f} GiB): here use_qlora: true only costs speed")
    if not chosen.fits:
        notes.append("even one row in 4-bit with checkpointing is too much: lower cutoff_len or take a smaller model")
    return notes
