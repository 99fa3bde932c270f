"""Score examples with a base and an adapter: one scorer for training's evaluation, `compare` and `merge`.

`ScorerSetup` is everything but the weights: the base's name, where and how it computes, the prompts. It is cheap to
make, so that a request can be checked before anything is loaded; its `load` gives the `Scorer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movielora.config import ResolvedConfig, resolve_config
from movielora.config.paths import literal_path
from movielora.errors import ConfigError
from movielora.examples.example import Example
from movielora.model import tiny
from movielora.model.base import Placement, base_of_config, choose_placement, load_base, require_base
from movielora.model.hub import hash_if_here
from movielora.model.lora import are_one_base, base_identity, base_of_adapter, load_adapter
from movielora.model.tokenizer import load_tokenizer
from movielora.progress import SILENT, Reporter
from movielora.prompt.spec import PromptSpec, read_prompt_file
from movielora.prompt.template import PromptTemplate
from movielora.prompt.text_tokens import tokenize_records
from movielora.prompt.token_sets import PromptTokens
from movielora.runs.lookup.run_config import read_run_config
from movielora.runs.paths import PROMPT_NAME, RunPaths
from movielora.scoring.answer_position import AnswerScores, score
from movielora.scoring.kernels import warn_of_other_kernels

# `Yes<|im_end|>` is two tokens; a model that says more than this is not answering.
_NEW_TOKENS = 8


def _no_listener(rows: int) -> None:
    """For callers that show no progress."""


@dataclass(frozen=True)
class Prompts:
    """How an example becomes token ids: tokenizer, chat template with its prompt spec, longest prompt with answer."""

    tokenizer: Any
    template: PromptTemplate
    cutoff_len: int

    def tokenize(self, examples: Sequence[Example]) -> PromptTokens:
        """Token ids of `examples`. Raises DataError naming one that does not fit `cutoff_len`."""
        return tokenize_records(
            examples, self.template, self.tokenizer, cutoff_len=self.cutoff_len, reporter=SILENT, name="rows"
        )


@dataclass(frozen=True)
class ScorerSetup:
    """`source` is the base's folder or Hugging Face name; a batch holds the tokens of `batch_size` rows of mean
    length."""

    source: str
    placement: Placement
    prompts: Prompts
    batch_size: int

    @classmethod
    def of_config(
        cls,
        resolved: ResolvedConfig,
        *,
        adapter: Path | None = None,
        quantized: bool | None = None,
        system_prompt: str | None = None,
        batch_size: int | None = None,
        own_kernels: bool = True,
    ) -> ScorerSetup:
        """The setup that a config describes, with the prompts that the adapter in folder `adapter` was trained with.

        `quantized` replaces the config's `use_qlora`, `system_prompt` every system text, `batch_size` the config's.
        Without `own_kernels` this machine's attention and kernels are taken if the config asks for a GPU's. Raises
        ModelError if base, tokenizer or device are not what the config asks for, DataError for a damaged prompt.json.
        """
        config = resolved.values
        require_base(config.model_name_or_path, resolved.locate(config.model_name_or_path))
        source = base_of_config(resolved)
        tokenizer = load_tokenizer(source)
        spec = spec_of(resolved, adapter, system_prompt)
        if not own_kernels:
            flash = "auto" if config.flash_attn == "flash_attention_2" else config.flash_attn
            liger = "auto" if config.enable_liger_kernel is True else config.enable_liger_kernel
            config = config.model_copy(update={"flash_attn": flash, "enable_liger_kernel": liger})
        return cls(
            source,
            choose_placement(config, quantized=quantized, base=source),
            Prompts(tokenizer, PromptTemplate(tokenizer, spec), config.cutoff_len),
            batch_size or config.inference.batch_size or config.per_device_eval_batch_size,
        )

    def with_spec(self, spec: PromptSpec) -> ScorerSetup:
        """The same setup with other prompts."""
        return replace(self, prompts=replace(self.prompts, template=PromptTemplate(self.prompts.tokenizer, spec)))

    def with_base(self, source: str) -> ScorerSetup:
        """The same setup on another base that has the same tokenizer."""
        return replace(self, source=source)

    def load(self, adapter: Path | None, reporter: Reporter = SILENT) -> Scorer:
        """Load the base, with the adapter in folder `adapter` on it (None: the base only).

        Warns if the adapter was trained on another base or with other kernels. Raises ModelError if base or adapter
        cannot be loaded or do not fit each other.
        """
        if adapter is not None:
            warn_of_other_kernels(adapter, self.placement, reporter)
            self._warn_of_another_base(adapter, reporter)
        with reporter.phase("Loading model"):
            model = load_base(self.source, self.placement)
            if adapter is not None:
                model = load_adapter(model, adapter)
        return Scorer(model, self.batch_size, self.prompts)

    def _warn_of_another_base(self, adapter: Path, reporter: Reporter) -> None:
        """Two paths may lead to one base: its hash decides, if it is known."""
        named = base_of_adapter(adapter)
        same = are_one_base(base_identity(adapter), hash_if_here(self.source))
        if same is None:
            reporter.warn(
                f"the adapter was trained on {named}; whether {self.source}, on which it is scored, is that base is "
                "not known"
            )
        elif not same:
            reporter.warn(f"the adapter was trained on {named}; it is scored on {self.source}, as the config says")


@dataclass(frozen=True)
class Scorer:
    """A model that scores examples; their answers may be unknown.

    With an adapter, `model` is a PEFT model and the adapter can be switched off. `inside` makes the context of every
    pass through the model. Without `prompts` only examples that are token ids already are scored.
    """

    model: Any
    batch_size: int
    prompts: Prompts | None = None
    inside: Callable[[], AbstractContextManager[Any]] = nullcontext

    @classmethod
    def of_run(cls, run: Path, reporter: Reporter = SILENT) -> Scorer:
        """Load the adapter in folder `run` on the base of the run's config. Raises as `ScorerSetup` does."""
        return ScorerSetup.of_config(config_of_run(run), adapter=run).load(run, reporter)

    @classmethod
    def of_config(cls, resolved: ResolvedConfig, reporter: Reporter = SILENT) -> Scorer:
        """Load the adapter that a config names on the config's base. Raises as `ScorerSetup` does."""
        adapter = adapter_of_config(resolved)
        return ScorerSetup.of_config(resolved, adapter=adapter).load(adapter, reporter)

    @classmethod
    def of_model(
        cls, model: Any, *, batch_size: int, inside: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> Scorer:
        """Use a model that is in memory, as training does; `inside` is its autocast."""
        return cls(model, batch_size, inside=inside)

    def score(
        self, examples: Sequence[Example], *, adapter: bool = True, on_batch: Callable[[int], None] = _no_listener
    ) -> AnswerScores:
        """Score `examples` in their order, with the adapter on or off. Raises DataError as `tokenize` does."""
        return self.score_tokens(self.tokenize(examples), adapter=adapter, on_batch=on_batch)[0]

    def tokenize(self, examples: Sequence[Example]) -> PromptTokens:
        """Token ids of `examples`. Raises DataError naming one that does not fit `cutoff_len`."""
        return self._prompts.tokenize(examples)

    def score_tokens(
        self,
        examples: PromptTokens,
        rows: NDArray[np.int64] | None = None,
        *,
        adapter: bool = True,
        on_batch: Callable[[int], None] = _no_listener,
    ) -> tuple[AnswerScores, float]:
        """Score `rows` (all of them by default) in their order; also return the mean loss, as
        `answer_position.score` does. `on_batch` is called with the rows of each finished batch."""
        chosen = np.arange(len(examples), dtype=np.int64) if rows is None else rows
        with self.inside(), self._switched(on=adapter):
            return score(self.model, examples, chosen, batch_size=self.batch_size, on_batch=on_batch)

    def generate(self, examples: PromptTokens, *, adapter: bool = True) -> list[str]:
        """Decode each answer greedily, row by row, without the prompt: to check scores against text, not for speed."""
        with self.inside(), self._switched(on=adapter):
            return _generate(self.model, self._prompts, examples)

    @property
    def _prompts(self) -> Prompts:
        if self.prompts is None:
            raise ValueError("this scorer was made of a model only: it scores token ids, not examples")
        return self.prompts

    @contextmanager
    def _switched(self, *, on: bool) -> Iterator[None]:
        """The adapter on, or off for a moment: the same weights either way."""
        with nullcontext() if on else self.model.disable_adapter():
            yield


def config_of_run(run: Path) -> ResolvedConfig:
    """The config saved in folder `run`; for a bare adapter the defaults on the base it names."""
    paths = RunPaths(run)
    if paths.config.is_file():
        return read_run_config(paths)
    return resolve_config(None, [f"model_name_or_path={literal_path(base_of_adapter(run))}"])


def spec_of(resolved: ResolvedConfig, adapter: Path | None, system_prompt: str | None = None) -> PromptSpec:
    """The prompt spec that the adapter was trained with: its own prompt.json, else its own config's.

    Without either it is that of a base that `merge` made, else `resolved`'s. `system_prompt` replaces its text. Raises
    ConfigError if `resolved` asks for another prompt than the saved one, DataError if the saved one is damaged or of
    another version.
    """
    has_config = adapter is not None and (adapter / "config.yaml").is_file()
    base = _base_folder(resolved)
    folder = next((each for each in (adapter, None if has_config else base) if each and _has_prompt(each)), None)
    saved = None if folder is None else read_prompt_file(folder)
    if saved is not None and folder is not None:
        _refuse_other_prompt(resolved, saved, folder)
    elif adapter is not None and has_config:
        resolved = config_of_run(adapter)
    spec = saved or PromptSpec.of_config(resolved.values)
    return spec if system_prompt is None else spec.replacing("system", system_prompt)


def _base_folder(resolved: ResolvedConfig) -> Path | None:
    """The base, if it is a folder of the user's."""
    name = resolved.values.model_name_or_path
    return None if name == tiny.NAME else resolved.locate(name)


def _has_prompt(folder: Path) -> bool:
    return (folder / PROMPT_NAME).is_file()


def _refuse_other_prompt(resolved: ResolvedConfig, saved: PromptSpec, folder: Path) -> None:
    """A config file that is a run's own says nothing of another run; `--set` is meant for every adapter."""
    asked = resolved.values
    of_a_run = resolved.path is not None and RunPaths(resolved.path.parent).record.is_file()
    wanted = {
        "prompt_history_len": (asked.prompt_history_len, saved.history_len),
        "prompt_titles": (asked.prompt_titles, saved.titles),
        "system_prompt": (asked.system_prompt, saved.system),
        "instruction": (asked.instruction, saved.instruction),
    }
    other = [
        f"`{key}: {value}`"
        for key, (value, trained) in wanted.items()
        if value not in (None, trained) and (resolved.origins.get(key) == "--set" or not of_a_run)
    ]
    if other:
        raise ConfigError(
            f"{', '.join(other)} is not what the model in {folder} was trained with (its prompt.json)",
            "leave it out; --system-prompt TEXT asks with another system text",
        )


def adapter_of_config(resolved: ResolvedConfig) -> Path:
    """The adapter folder that a config means: `inference.adapter_dir`, else the run itself."""
    config = resolved.values
    return resolved.locate(config.inference.adapter_dir or config.output_dir)


def _generate(model: Any, prompts: Prompts, examples: PromptTokens) -> list[str]:
    import torch
    from transformers import GenerationConfig

    device = next(model.parameters()).device
    end = prompts.template.end_id
    greedy = GenerationConfig(max_new_tokens=_NEW_TOKENS, do_sample=False, eos_token_id=end, pad_token_id=end)
    texts: list[str] = []
    with torch.inference_mode():
        for row in range(len(examples)):
            ids = torch.from_numpy(examples.prompt(row).astype(np.int64)).unsqueeze(0).to(device)
            out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=greedy)
            texts.append(prompts.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=False))
    return [text.removesuffix("<|im_end|>") for text in texts]
