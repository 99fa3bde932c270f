"""The recipe of `movielora train`, in the order a person would describe it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from movielora.config import Config, ResolvedConfig
from movielora.config.on_resume import OTHER_LOSSES
from movielora.dataset.find import TrainingSplits, find_dataset
from movielora.errors import StoppedError, shell_command
from movielora.machine.library_output import quiet_libraries
from movielora.machine.process_settings import hidden_variables, settings_undone
from movielora.model.base import Placement, base_of_config, choose_placement, load_base, require_base
from movielora.model.cpu.allocator import return_freed_memory
from movielora.model.quantization import CPU_SPEED_WARNING
from movielora.model.tokenizer import load_tokenizer
from movielora.progress import Reporter
from movielora.prompt.spec import write_prompt_file
from movielora.runs import run_guard
from movielora.runs.checkpoints import newest_complete
from movielora.runs.log_file import RunLog
from movielora.runs.lookup.index import remember_run
from movielora.runs.paths import RunPaths
from movielora.runs.run_guard import StartMode
from movielora.runs.session import RunSession
from movielora.scoring.kernels import other_kernels
from movielora.training.examples import TrainingExamples, load_examples
from movielora.training.identity import run_identity
from movielora.training.loop.batch import StepDown, settle_batch
from movielora.training.record import describe_training, write_rows
from movielora.training.result import TrainResult
from movielora.training.resume import (
    ResumePlan,
    choose_checkpoint,
    plan_resume,
    recorded_config,
    with_extra_epochs,
)
from movielora.training.run_reporter import RunReporter
from movielora.training.steps import planned_steps, steps_per_epoch

_VERSIONS = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "bitsandbytes", "liger-kernel")


@dataclass(frozen=True)
class TrainRequest:
    """What the user asked for. `checkpoint`: resume from this folder; with `mode` "resume" None means the newest.

    `log` is begun as the run's log once the run has its folder, unless the run is detached: its output is the log.
    """

    resolved: ResolvedConfig
    argv: Sequence[str] = field(default_factory=lambda: tuple(sys.argv))
    mode: StartMode = "new"
    name: str | None = None
    checkpoint: Path | None = None
    extra_epochs: float = 0.0
    clear_cache: bool = False
    log: RunLog | None = None


@settings_undone()
def train_run(request: TrainRequest, reporter: Reporter) -> TrainResult:
    """Load the base, prepare tokens, attach LoRA, train, evaluate, keep the best, save.

    Raises RequestError before anything is written if the request cannot be carried out, StoppedError when asked
    to stop, WorkError when the training itself fails.
    """
    started = time.monotonic()
    files = find_dataset(request.resolved)
    name = request.resolved.values.model_name_or_path
    require_base(name, request.resolved.locate(name))
    for note in request.resolved.no_effect_notes():
        reporter.note(note)
    if hidden := hidden_variables():
        reporter.note(f"Left over from a launcher, not used: {', '.join(hidden)}")
    run_guard.settle_replaced(RunPaths(Path(request.resolved.values.output_dir)), reporter)
    request = replace(request, resolved=settle_batch(request.resolved, _recorded(request), reporter))
    plan = None
    if request.mode == "resume":
        request, plan = _plan_resume(request, files, reporter)
    config = request.resolved.values
    with RunSession.open(
        Path(config.output_dir),
        argv=request.argv,
        config=config.model_dump(),
        config_yaml=request.resolved.to_yaml(),
        name=request.name,
        mode=request.mode,
    ) as session:
        if request.log:
            request.log.leave() if session.detached else request.log.begin(session.paths.log)
        remember_run(session.paths.root, reporter.note)
        reporter = RunReporter(reporter, session)
        if session.kept_config:
            reporter.note(f"The edited {session.paths.config.name} is kept as {session.kept_config}")
        with reporter.phase("Finding the base"):
            base = base_of_config(request.resolved)
            identity = run_identity(config, files, base)
        origin = request.resolved.path
        session.describe(
            base=base,
            data_hash=identity["training data"],
            identity=identity,
            config_path=str(origin.resolve()) if origin else None,
        )
        return _train(_Work(request, files, base, identity, plan, session, reporter, started))


def _recorded(request: TrainRequest) -> ResolvedConfig | None:
    """The config of the run that is resumed, if there is one."""
    paths = RunPaths(Path(request.resolved.values.output_dir))
    known = request.mode == "resume" and paths.config.is_file() and paths.record.is_file()
    return recorded_config(paths) if known else None


def _plan_resume(
    request: TrainRequest, files: TrainingSplits, reporter: Reporter
) -> tuple[TrainRequest, ResumePlan | None]:
    """The request with its extra epochs, and where it continues (None: from the first step); all before anything loads.

    A refusal here leaves the run folder as it was.
    """
    paths = RunPaths(Path(request.resolved.values.output_dir))
    run_guard.refuse_foreign(paths, "resume")
    run_guard.refuse_live(paths)  # a live run's checkpoints come and go
    chosen = choose_checkpoint(paths, request.checkpoint, reporter)
    resolved = with_extra_epochs(request.resolved, request.extra_epochs, chosen.path if chosen else None)
    request = replace(request, resolved=resolved)
    if chosen is None:
        reporter.note(f"{paths.root} holds no checkpoint to resume from: training begins at the first step")
        return request, None
    identity = run_identity(resolved.values, files, base_of_config(resolved))
    return request, plan_resume(resolved, paths, chosen, identity, reporter)


def _versions() -> dict[str, str]:
    """Of the libraries that are installed: bitsandbytes is for Linux alone."""
    found: dict[str, str] = {}
    for name in _VERSIONS:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


@dataclass(frozen=True)
class _Work:
    """What is known once the request has been checked and the run folder is ours."""

    request: TrainRequest
    files: TrainingSplits
    base: str
    identity: dict[str, str]
    plan: ResumePlan | None
    session: RunSession
    reporter: RunReporter
    started: float

    @property
    def config(self) -> Config:
        return self.request.resolved.values


def _train(work: _Work) -> TrainResult:
    _load_libraries(work.reporter)
    placement = _choose_placement(work)
    tokenizer = load_tokenizer(work.base)
    examples = load_examples(
        work.config, work.files, tokenizer, work.reporter, clear_token_cache=work.request.clear_cache
    )
    steps = planned_steps(work.config, len(examples.train_rows))
    with work.session.files() as folder:
        write_prompt_file(folder, examples.spec)
        write_rows(folder, work.session.paths, examples.trained_on.rows, work.base)
    work.session.describe(**describe_training(work.session.paths, examples.trained_on.words, work.files))
    trainer = _build_trainer(work, placement, tokenizer, examples, steps)
    early_stop = _run_trainer(trainer, steps, work)
    if work.session.stop.requested:
        raise _stopped(work.session, trainer.state.global_step)
    return _finish(work, trainer, examples, early_stop)


def _load_libraries(reporter: Reporter) -> None:
    """What takes seconds to import, under a name of its own; the functions below import from there again."""
    with reporter.phase("Loading libraries"):
        quiet_libraries()
        import movielora.training.finish
        import movielora.training.loop.trainer  # noqa: F401


def _choose_placement(work: _Work) -> Placement:
    placement = choose_placement(work.config, base=work.base)
    work.session.describe(placement=placement.to_json(), versions=_versions())
    work.reporter.note(f"Attention: {placement.attention_reason}")
    if work.plan and (other := other_kernels(work.plan.placement, placement)):
        before, now = other
        work.reporter.warn(f"the run was trained with {before} and continues with {now}: {OTHER_LOSSES}")
    if placement.device == "cpu":
        if placement.quantized:
            work.reporter.warn(CPU_SPEED_WARNING)
        return_freed_memory()
    else:
        work.reporter.note(f"Kernels: {placement.liger_reason}")
    return placement


def _build_trainer(work: _Work, placement: Placement, tokenizer: Any, examples: TrainingExamples, steps: int) -> Any:
    """The base on its device with the adapter's plan, in an AnswerTrainer for `steps` optimiser steps."""
    from movielora.model.lora import check_targets, lora_config
    from movielora.training.loop.arguments import training_arguments
    from movielora.training.loop.trainer import AnswerTrainer

    config, paths = work.config, work.session.paths
    with work.reporter.phase("Loading model"):
        model = load_base(work.base, placement)
        check_targets(model, config.target_modules)
    return AnswerTrainer(
        model=model,
        args=training_arguments(config, paths.root, placement, steps),
        train=examples.train,
        train_rows=examples.train_rows,
        evaluation=examples.evaluation,
        eval_rows=examples.eval_rows,
        eval_users=examples.eval_users,
        peft_config=lora_config(config),
        tokenizer=tokenizer,
        paths=paths,
        keep_checkpoints=config.save_total_limit,
        identity=work.identity,
        spec=examples.spec,
        steps_per_epoch=steps_per_epoch(config, len(examples.train_rows)),
        best_by=None if config.eval_strategy == "no" else config.best_metric,
        compiled=config.torch_compile,
    )


def _finish(work: _Work, trainer: Any, examples: TrainingExamples, early_stop: str) -> TrainResult:
    """Keep the best adapter, score its saved files, and close the run's record."""
    from movielora.training.finish import save_best, score_saved

    session, reporter = work.session, work.reporter
    session.training_ended()
    saved = save_best(trainer, work.config, session, reporter)
    metrics = score_saved(trainer, saved, examples, session.paths, reporter)
    last, _ = newest_complete(session.paths)
    session.finish(
        "finished",
        early_stop,
        metrics=metrics,
        best_checkpoint=saved.checkpoint.name if saved.checkpoint else None,
        checkpoint=last.path.name if last else None,
    )
    return TrainResult(
        session.paths.root,
        "finished",
        early_stop,
        trainer.state.global_step,
        saved.checkpoint,
        metrics,
        time.monotonic() - work.started,
        trainer.rates,
    )


def _run_trainer(trainer: Any, steps: int, work: _Work) -> str:
    """Train; returns why it was over early, or ""."""
    from movielora.training.loop.callbacks import RunCallback, TrainingOver, tensorboard_callback

    config, session, reporter = work.config, work.session, work.reporter
    reporter.note(
        f"Training {trainer.trainable_parameters():,} of {trainer.all_parameters():,} parameters on "
        f"{len(trainer.train_dataset):,} examples: {steps:,} steps of {config.rows_per_step}"
    )
    if config.torch_compile:
        reporter.note("The first step waits for torch.compile")
    trainer.step_down = StepDown(config.micro_batch, reporter.warn)
    with reporter.phase("Training", steps, "steps") as phase:
        trainer.add_callback(callback := RunCallback(session, phase, config, trainer, work.plan, reporter))
        if "tensorboard" in config.report_to:
            trainer.add_callback(tensorboard_callback(session.paths.tensorboard))
        with suppress(TrainingOver):
            trainer.train(resume_from_checkpoint=str(work.plan.checkpoint) if work.plan else None)
    return callback.early_stop


def _stopped(session: RunSession, step: int) -> StoppedError:
    saved = session.paths.checkpoint(step).is_dir()
    where = f"its checkpoint-{step} is complete" if saved else "without saving this step"
    return StoppedError(
        f"at step {step:,}, on request; {where}",
        shell_command("movielora", "resume", session.call_name),
    )
