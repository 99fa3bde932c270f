"""A run without a model: a real process that opens a real session and steps, for tests of everything around it.

python small_run.py RUN_DIR [OPTIONS]    see `_options`
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import time
from pathlib import Path

from movielora.errors import MovieloraError, StoppedError
from movielora.runs.checkpoint_staging import staged_checkpoint
from movielora.runs.lookup.index import remember
from movielora.runs.session import RunSession


def main() -> None:
    options = _options()
    session = RunSession.open(
        options.run_dir,
        argv=sys.argv,
        config={"metric_for_best_model": "auc"},
        config_yaml="metric_for_best_model: auc\n",
        mode=options.mode,
        name=options.name,
    )
    remember(session.paths.root, print)
    with session:
        session.beat(phase="loading model")
        time.sleep(options.load_seconds)
        context = multiprocessing.get_context("fork")
        workers = [context.Process(target=time.sleep, args=(600,), daemon=True) for _ in range(options.workers)]
        for worker in workers:
            worker.start()
        session.training_started()
        if options.deaf:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if options.fail:
            raise ValueError(options.fail)
        if options.loader_workers:
            _load_batches(session, options)
        _steps(session, options)
        if options.adapter:
            with session.files() as folder:
                (folder / "adapter_model.safetensors").write_text(options.adapter)


def _load_batches(session: RunSession, options: argparse.Namespace) -> None:
    """torch's own data loader with worker processes, one batch a step."""
    from torch.utils.data import DataLoader

    numbers = list(range(10**6))
    loader = DataLoader(numbers, batch_size=1, num_workers=options.loader_workers)  # type: ignore[arg-type]
    for step, _ in enumerate(loader, 1):
        session.beat(phase="training", step=step, max_steps=10**6)
        print(f"step {step}", flush=True)
        time.sleep(options.step_seconds)


def _steps(session: RunSession, options: argparse.Namespace) -> None:
    for step in range(1, options.steps + 1):
        time.sleep(options.step_seconds)
        if not options.no_beat:
            session.beat(phase="training", step=step, max_steps=options.steps, loss=1.0 / step)
        session.log_metrics({"step": step, "loss": 1.0 / step})
        print(f"step {step}", flush=True)
        stopping = session.stop.requested
        if step % options.save_every == 0 or (stopping and session.stop.save):
            session.beat(phase="saving")
            with staged_checkpoint(session.paths, step) as folder:
                (folder / "adapter_model.safetensors").write_bytes(bytes(100))
                time.sleep(options.save_seconds)
        if stopping:
            raise StoppedError(f"stopped at step {step}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--mode", default="new")
    parser.add_argument("--name")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--step-seconds", type=float, default=0.05)
    parser.add_argument("--load-seconds", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--loader-workers", type=int, default=0)
    parser.add_argument("--save-every", type=int, default=10**9)
    parser.add_argument("--save-seconds", type=float, default=0.0)
    parser.add_argument("--adapter", default="")
    parser.add_argument("--deaf", action="store_true")
    parser.add_argument("--no-beat", action="store_true")
    parser.add_argument("--fail", default="")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except MovieloraError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
