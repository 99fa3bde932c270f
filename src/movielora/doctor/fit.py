"""`movielora fit`: what a config needs, and how to make it fit, before anything is started."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import psutil

from movielora.config import ResolvedConfig
from movielora.errors import ConfigError
from movielora.machine.gpu import Gpu, read_gpus
from movielora.machine.processor import computes_bf16_fast, cpu_flags
from movielora.model.base import Device
from movielora.model.memory import (
    MEMORIES,
    Estimate,
    Recommendation,
    Setup,
    Shape,
    estimate,
    find_shape,
    recommend,
    setup_of,
)

_UNITS = {"GIB": 1 << 30, "MIB": 1 << 20, "TIB": 1 << 40, "GB": 10**9, "MB": 10**6, "TB": 10**12}
# Ampere is the first that computes bf16.
_BF16_CAPABILITY = (8, 0)


@dataclass(frozen=True)
class Fit:
    """`where` names the memory that `recommended` is for; `table` is for the usual sizes of GPUs, with CUDA's costs."""

    config: str
    device: Device
    setup: Setup
    estimate: Estimate
    where: str
    recommended: Recommendation
    table: tuple[Recommendation, ...]
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
        }


def fit_config(resolved: ResolvedConfig, memory: str | None) -> Fit:
    """Estimate this config's peak and recommend settings for `memory`, the GPU at hand, or this machine's memory.

    Raises ConfigError for a memory that cannot be read, ModelError if the model's config.json is not at hand.
    """
    values = resolved.values
    budget = parse_memory(memory) if memory else None
    gpus = read_gpus()
    device: Device = "cuda" if budget or gpus else "cpu"
    shape = find_shape(resolved)
    setup = setup_of(values, device, bf16_is_fast=_bf16_is_fast(device, gpus))
    if budget:
        where = "a GPU"
    elif gpus and gpus[0].memory_total_bytes:
        budget, where = gpus[0].memory_total_bytes, gpus[0].name
    else:
        budget, where = psutil.virtual_memory().available, "this machine's free memory"
    effective = values.rows_per_step
    found = estimate(shape, setup)
    chosen = recommend(shape, setup, budget, effective)
    on_gpu = setup if device == "cuda" else setup_of(values, "cuda", bf16_is_fast=True)
    table = tuple(recommend(shape, on_gpu, size, effective) for size in MEMORIES)
    notes = (*_unit_notes(memory), *_notes(shape, setup, found, chosen, where))
    return Fit(str(resolved.path or "the defaults"), device, setup, found, where, chosen, table, notes)


def parse_memory(text: str) -> int:
    """`24GiB`, `24 GB`, `512MiB` → bytes. Raises ConfigError without a unit: 24 of what?"""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", text)
    if match and match[2].upper() in _UNITS and float(match[1]) > 0:
        return round(float(match[1]) * _UNITS[match[2].upper()])
    number = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*", text)
    if number:
        raise ConfigError(f"--memory {text.strip()} has no unit", f"write --memory {number[1]}GiB")
    raise ConfigError(f"--memory {text.strip()} is no amount of memory", "write a number and a unit: --memory 24GiB")


def _bf16_is_fast(device: Device, gpus: list[Gpu]) -> bool:
    if device == "cpu":
        return computes_bf16_fast(cpu_flags())
    known = gpus[0].capability if gpus else ""
    return not known or tuple(int(part) for part in known.split(".")) >= _BF16_CAPABILITY


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
