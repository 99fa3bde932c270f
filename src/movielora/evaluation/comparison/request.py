"""What `compare` is asked for: one of three kinds of comparison, and the options that all of them have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from movielora.config import ResolvedConfig, resolve_config
from movielora.errors import ConfigError, ModelError, shell_command
from movielora.model.lora import are_one_base, base_identity, base_of_adapter
from movielora.runs.lookup.run_config import read_config, read_run_config
from movielora.runs.paths import RunPaths
from movielora.scoring.predict import Mode
from movielora.scoring.scorer import adapter_of_config

BasePrecision = Literal["4bit", "16bit"]


@dataclass(frozen=True)
class AdapterAndBase:
    """One adapter, compared with its base. `folder` is where the comparison goes by default.

    `controls` also asks the adapter with the history shuffled and left out. `base_precision` replaces the config's
    `use_qlora`, and what the other precision would change is measured too; None leaves the config's.
    """

    resolved: ResolvedConfig
    adapter: Path
    folder: Path
    controls: bool = False
    base_precision: BasePrecision | None = None


@dataclass(frozen=True)
class TwoRuns:
    """Two runs on the same base, compared with each other, both scored as `resolved` says."""

    resolved: ResolvedConfig
    reference: Path
    candidate: Path
    base_precision: BasePrecision | None = None

    @property
    def folder(self) -> Path:
        return self.candidate / f"comparison-with-{self.reference.resolve().name}"

    def names(self) -> tuple[str, str]:
        """The two folder names; the paths if the names are the same."""
        first, second = self.reference.resolve().name, self.candidate.resolve().name
        return (first, second) if first != second else (str(self.reference), str(self.candidate))


@dataclass(frozen=True)
class ExternalOnly:
    """A file of external scores of the rows of `test_file`, compared with the strongest baseline, without a model."""

    scores: Path
    test_file: Path

    @property
    def folder(self) -> Path:
        return self.scores.with_name(f"{self.scores.stem}-comparison")


@dataclass(frozen=True)
class CompareRequest:
    """What the user asked for; None takes the default: the dataset's test rows, the folder of the kind, all rows, the
    config's batch. `beside` is a file of external scores that are shown beside the models. `allow_overlap` and
    `as_they_are` insist on rows that a run was trained on, and on rows in words that it was not trained with."""

    kind: AdapterAndBase | TwoRuns | ExternalOnly
    beside: Path | None = None
    test_file: Path | None = None
    output_dir: Path | None = None
    max_samples: int | None = None
    batch_size: int | None = None
    system_prompt: str | None = None
    mode: Mode = "score"
    overwrite: bool = False
    calibrate: bool = True
    allow_overlap: bool = False
    as_they_are: bool = False

    @property
    def folder(self) -> Path:
        return self.output_dir or self.kind.folder

    @property
    def most_rows(self) -> int | None:
        """How many rows are compared, a sample over users; None: all."""
        if self.max_samples or isinstance(self.kind, ExternalOnly):
            return self.max_samples
        return self.kind.resolved.values.inference.max_samples


def config_to_compare(
    config: Path | None, overrides: Sequence[str] = (), runs: Sequence[Path] = ()
) -> ResolvedConfig | None:
    """The config of a file, else the last run's own, with `overrides` over it; None if nothing names one.

    Raises ConfigError.
    """
    if config is not None:
        return read_config(config, overrides)
    if runs and (RunPaths(runs[-1]).config.is_file() or not overrides):
        return read_run_config(RunPaths(runs[-1]), overrides)
    return resolve_config(None, overrides) if overrides else None


def kind_of_comparison(
    resolved: ResolvedConfig | None,
    *,
    runs: Sequence[Path] = (),
    adapter: Path | None = None,
    scores: Path | None = None,
    test_file: Path | None = None,
    controls: bool = False,
    base_precision: BasePrecision | None = None,
) -> AdapterAndBase | TwoRuns | ExternalOnly:
    """Which comparison these options mean: `runs` are no, one or two folders, `scores` is a file of external scores.

    Run folders bring their own config if `resolved` is None; of two, the candidate's. Raises ConfigError if the
    options contradict each other or name nothing to compare, ModelError if two runs are on different bases.
    """
    if len(runs) > 2 or (runs and adapter):
        raise ConfigError("compare takes one run, or two, and then no --adapter", "movielora compare RUN_A RUN_B")
    if resolved is None and not runs:
        return _external_only(scores, test_file, needs_model=bool(adapter or controls or base_precision))
    config = resolved or read_run_config(RunPaths(runs[-1]))
    if len(runs) == 2:
        if controls:
            raise ConfigError("--controls asks one adapter, not two runs", "movielora compare RUN --controls")
        _require_one_base(runs)
        return TwoRuns(config, runs[0], runs[1], base_precision)
    if runs:
        return AdapterAndBase(config, runs[0], runs[0] / "comparison", controls, base_precision)
    named = config.values.inference.infer_output_dir
    folder = config.place(named) if named else config.place(config.values.output_dir) / "comparison"
    return AdapterAndBase(config, adapter or adapter_of_config(config), folder, controls, base_precision)


def _external_only(scores: Path | None, test_file: Path | None, *, needs_model: bool) -> ExternalOnly:
    if scores is None or test_file is None or needs_model:
        raise ConfigError(
            "compare needs a config, run folders, or both --predictions and --test-file for external scores only",
            "movielora compare --config C, or movielora compare RUN",
        )
    return ExternalOnly(scores, test_file)


def _require_one_base(runs: Sequence[Path]) -> None:
    """Two paths may lead to one base: the weights decide."""
    one, two = runs
    same = are_one_base(base_identity(one), base_identity(two))
    if same:
        return
    why = "" if same is False else "; whether they are the same cannot be known, because not both are on this machine"
    raise ModelError(
        f"{one} and {two} are adapters of different bases ({base_of_adapter(one)}, {base_of_adapter(two)}){why}",
        f"compare each with its own base: {shell_command('movielora', 'compare', one)}",
    )
