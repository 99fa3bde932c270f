"""Every YAML key: its type, unit, default and meaning. No other file holds a default of these.

The names are LLaMA-Factory's, so that users keep the files they have. Around its type each key says what a change of
it means for a run that is resumed (`on_resume.py`). A key listed in `NO_EFFECT` (`named_values.py`) is accepted and
named once at start; a key that is not here is an error (`resolve.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from movielora.config.contradictions import ContradictionError, contradictions
from movielora.config.named_values import LORA_TARGETS
from movielora.config.on_resume import (
    BaseModelKey,
    ChangesBest,
    ChangesEvaluationRows,
    ChangesLosses,
    EvaluationData,
    Free,
    LoraShape,
    PromptShape,
    TrainingData,
)

_DEFAULT_ROWS = 2

PositiveInt = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Schedule = Literal["cosine", "linear", "constant", "constant_with_warmup", "polynomial"]
# A space is no name and no path.
Filled = Annotated[str, Field(min_length=1, pattern=r"\S")]


def _no_for_false(value: Any) -> Any:
    """YAML 1.1 reads a bare `no` as false; here the text `no` was meant."""
    return "no" if value is False else value


def _list_of_one(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Keys(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        allow_inf_nan=False,
    )


class InferenceConfig(_Keys):
    """What `compare` reads."""

    test_file: Filled | None = None
    """Rows to compare on, JSON or JSONL; default: `test_raw.jsonl` beside the training file."""
    infer_output_dir: Filled | None = None
    """Where the comparison is written; default: `comparison` inside `output_dir`."""
    adapter_dir: Filled | None = None
    """The adapter to compare; default: `output_dir`."""
    batch_size: PositiveInt | None = None
    """Rows scored at once; default: `per_device_eval_batch_size`."""
    chunk_size: PositiveInt = 512
    """Rows between two writes of `predictions.jsonl`; an interrupted comparison loses at most this many."""
    max_samples: PositiveInt | None = None
    """Compare only so many rows, drawn with a seed and spread over users; default: all."""
    show_examples: Annotated[int, Field(ge=0)] = 10
    """Rows that `compare` shows at its end, the first of the file; 0 shows none."""
    use_peft_directly: bool | None = None
    """No effect."""


class Config(_Keys):
    """A training, its data and its comparison."""

    # what
    stage: Free[Literal["sft"]] = "sft"
    """Supervised fine-tuning; nothing else is offered."""
    do_train: Free[bool | None] = None
    """No effect."""
    do_eval: Free[bool | None] = None
    """No effect."""
    finetuning_type: Free[Literal["lora"]] = "lora"
    """LoRA adapters; nothing else is offered."""
    template: Free[str | None] = None
    """No effect."""

    # model
    model_name_or_path: BaseModelKey[Filled] = "Qwen/Qwen3-0.6B"
    """The base: a folder, a Hugging Face name, or `tiny`, the embedded base that is built when it is first needed."""
    flash_attn: Free[Literal["auto", "flash_attention_2", "sdpa", "eager", False]] = "auto"
    """Attention kernel: `auto` takes the fastest that works here, `false` the library's default. The last
    layer, computed at the answers only, always takes torch's."""
    enable_liger_kernel: Free[Literal["auto", True, False]] = "auto"
    """Liger's fused kernels for a Qwen3's norms and MLPs; rotary positions stay Qwen3's own. `auto` takes them on CUDA
    if liger-kernel is installed and works, and not with `torch_compile`. Not yet run on a GPU."""
    use_qlora: ChangesLosses[bool | None] = None
    """Load the base in 4-bit (nf4); default: true on CUDA, false elsewhere."""
    trust_remote_code: Free[Literal[False]] = False
    """Always false: code that comes with weights is never run."""
    enable_special_tokenization: Free[bool | None] = None
    """No effect."""

    # data
    dataset_dir: TrainingData[Filled] = "data"
    """The folder of `dataset_info.json` and of the dataset folders."""
    dataset: TrainingData[Filled] = "movielens_qwen3_train"
    """The entry of `dataset_info.json`; without that file, `X_train` means `dataset_dir/X/train.json`."""
    eval_dataset: EvaluationData[Filled | None] = None
    """The entry that evaluation reads; default: `file_name_eval` of `dataset`."""
    train_file: TrainingData[Filled | None] = None
    """Training records, JSON or JSONL; wins over `dataset`."""
    eval_file: EvaluationData[Filled | None] = None
    """Evaluation records, JSON or JSONL; wins over `dataset` and `eval_dataset`."""
    max_samples: ChangesLosses[PositiveInt | None] = None
    """Train on this many examples, drawn with `seed`; default: all."""
    max_eval_samples: ChangesEvaluationRows[PositiveInt | None] = 1000
    """Evaluate on this many examples, drawn with `seed`; null: all."""
    cutoff_len: PromptShape[Annotated[int, Field(ge=16)]] = 1024
    """Most tokens of an example, answer included; the oldest history lines go first."""
    allow_truncation: Free[bool] = False
    """Train even if more than a fifth of the examples lose history to `cutoff_len`."""
    packing: Free[bool | None] = None
    """No effect."""
    prompt_history_len: PromptShape[PositiveInt | None] = None
    """Films that the prompt shows of a history, the newest ones; default: as many as the dataset was prepared with."""
    prompt_titles: PromptShape[Literal["natural", "as_given"] | None] = None
    """How the prompt writes titles: `natural`, as `The Matrix (1999)`, or `as_given`, as the data has them (MovieLens:
    `Matrix, The (1999)`); default: as the dataset was prepared, `as_given` for records of other tools."""
    system_prompt: PromptShape[str | None] = None
    """System text of every prompt, also of records that bring their own; default: a record's own, or movielora's."""
    instruction: PromptShape[str | None] = None
    """Instruction of every prompt, also of records that bring their own; default: a record's own, or movielora's."""
    preprocessing_cache_dir: Free[Filled] = ".cache/preprocessed"
    """Where token ids are kept between runs, keyed by content."""
    num_proc: Free[PositiveInt | None] = None
    """No effect."""

    # batches
    per_device_train_batch_size: ChangesLosses[PositiveInt | Literal["auto"]] = _DEFAULT_ROWS
    """Rows of a micro-batch; `auto`: as many as fit, `effective_batch_size` kept."""
    per_device_eval_batch_size: Free[PositiveInt] = 16
    """Rows scored at once in evaluation."""
    gradient_accumulation_steps: ChangesLosses[PositiveInt] = 8
    """Micro-batches of an optimiser step."""
    effective_batch_size: Free[PositiveInt | None] = None
    """Rows of an optimiser step; default: micro-batch times accumulation. With `auto` it sets the accumulation."""

    # optimiser
    learning_rate: ChangesLosses[Annotated[float, Field(gt=0)]] = 1.5e-4
    """Peak learning rate of AdamW."""
    num_train_epochs: ChangesLosses[Annotated[float, Field(gt=0)]] = 3.0
    """Passes over the training examples."""
    max_steps: ChangesLosses[Annotated[int, Field(ge=-1)]] = -1
    """Optimiser steps; above zero it wins over `num_train_epochs`."""
    lr_scheduler_type: ChangesLosses[Schedule] = "cosine"
    """How the learning rate falls."""
    warmup_ratio: ChangesLosses[Annotated[float, Field(ge=0, lt=1)]] = 0.03
    """Share of the steps in which the learning rate rises."""
    weight_decay: ChangesLosses[NonNegative] = 0.0
    """AdamW's decoupled weight decay."""
    adam_beta1: ChangesLosses[Annotated[float, Field(ge=0, lt=1)]] = 0.9
    """AdamW's decay of the gradient's mean."""
    adam_beta2: ChangesLosses[Annotated[float, Field(ge=0, lt=1)]] = 0.999
    """AdamW's decay of the gradient's square."""
    adam_epsilon: ChangesLosses[Annotated[float, Field(gt=0)]] = 1e-8
    """AdamW's guard against division by zero."""
    max_grad_norm: ChangesLosses[NonNegative] = 1.0
    """Gradients are scaled down to this norm; 0: never."""
    seed: ChangesLosses[Annotated[int, Field(ge=0, lt=2**32)]] = 42
    """Seed of data order, adapter weights and dropout."""

    # LoRA
    lora_rank: LoraShape[PositiveInt] = 16
    """Rank of the adapter matrices."""
    lora_alpha: LoraShape[PositiveInt] = 64
    """Scale of the adapter: alpha / rank (alpha / √rank with rsLoRA)."""
    lora_dropout: ChangesLosses[Annotated[float, Field(ge=0, lt=1)]] = 0.05
    """Dropout on the adapter's input."""
    lora_target: LoraShape[str | list[str]] = "all"
    """`all` (q, k, v, o, gate, up, down), `qv`, `fn` (gate, up, down), a comma list or a list of module names."""
    use_rslora: LoraShape[bool] = False
    """Rank-stabilised scale (Kalajdzievski 2023, arXiv:2312.03732)."""

    # memory
    gradient_checkpointing: Free[bool] = False
    """Recompute activations in the backward pass: less memory, a third more time."""
    torch_compile: ChangesLosses[bool] = False
    """Compile the decoder layers for training. The first step waits for the compiler, half a minute or more, and a
    resumed run waits again. No gain was seen on a CPU; a GPU has not been measured."""
    bf16: ChangesLosses[bool | None] = None
    """Base weights in bfloat16; default: if the processor or GPU computes it fast."""
    fp16: ChangesLosses[bool] = False
    """Mixed precision in float16, for GPUs without bfloat16."""
    eval_accumulation_steps: Free[PositiveInt | None] = None
    """No effect."""
    skip_memory_metrics: Free[bool | None] = None
    """No effect."""
    ddp_timeout: Free[PositiveInt] = 1800
    """Seconds a process waits for the others in distributed training."""

    # evaluation
    eval_strategy: Free[Annotated[Literal["steps", "epoch", "no"], BeforeValidator(_no_for_false)]] = "steps"
    """When to evaluate: every `eval_steps`, every epoch, or never."""
    eval_steps: Free[PositiveInt] = 1000
    """Optimiser steps between evaluations."""
    prediction_loss_only: Free[bool | None] = None
    """No effect."""

    # saving
    output_dir: Free[Filled] = "output/qwen3-movielens-qlora"
    """The run folder."""
    save_steps: Free[PositiveInt] = 500
    """Optimiser steps between checkpoints; a new best evaluation is saved as well."""
    save_total_limit: Free[PositiveInt | None] = 2
    """Checkpoints kept: the newest and the best among them; null: all."""
    on_save_error: Free[Literal["continue", "fail"]] = "continue"
    """What happens when a checkpoint cannot be saved (a full disk): continue with the earlier one, or end."""
    load_best_model_at_end: Free[bool] = True
    """The run folder's adapter is the best evaluated one, not the last."""
    metric_for_best_model: ChangesBest[str] = "auc"
    """The evaluation metric that decides what is best. `auc` needs no threshold; `f1` prefers always saying Yes."""

    # stopping early
    early_stopping_patience: Free[PositiveInt | None] = 6
    """Stop after this many evaluations without a better metric; null: never."""
    loss_plateau_patience: Free[PositiveInt | None] = None
    """Stop after this many logs without a better training loss; null: never."""
    loss_plateau_min_delta: Free[NonNegative] = 0.0
    """What counts as a better training loss."""

    # logging
    logging_steps: Free[PositiveInt] = 10
    """Optimiser steps between logs."""
    report_to: Free[Annotated[list[Literal["tensorboard", "none"]], BeforeValidator(_list_of_one)]] = ["tensorboard"]
    """`tensorboard` writes into the run folder's `logs/`; `none` does not."""

    inference: Free[InferenceConfig] = InferenceConfig()
    """What `compare` reads."""

    @property
    def best_metric(self) -> str:
        """`metric_for_best_model` without `eval_`."""
        return self.metric_for_best_model.removeprefix("eval_")

    @property
    def target_modules(self) -> list[str]:
        if isinstance(self.lora_target, list):
            return self.lora_target
        shorthand = LORA_TARGETS.get(self.lora_target)
        return list(shorthand) if shorthand else [name.strip() for name in self.lora_target.split(",")]

    @property
    def micro_batch(self) -> int:
        """Rows of a micro-batch, once they are known: a training settles `auto` before it begins."""
        if self.per_device_train_batch_size == "auto":
            raise ValueError("`per_device_train_batch_size: auto` has not been settled")
        return self.per_device_train_batch_size

    @property
    def rows_per_step(self) -> int:
        """Rows of one optimiser step on one device: the effective batch size."""
        if self.per_device_train_batch_size == "auto":
            return self.effective_batch_size or _DEFAULT_ROWS * self.gradient_accumulation_steps
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    def with_micro_batch(self, rows: int) -> Config:
        """This config with micro-batches of `rows`, which divide `rows_per_step`; the effective batch stays."""
        whole = self.rows_per_step
        if whole % rows:
            raise ValueError(f"{rows} rows do not divide an effective batch of {whole}")
        return self.model_copy(
            update={"per_device_train_batch_size": rows, "gradient_accumulation_steps": whole // rows}
        )

    @model_validator(mode="before")
    @classmethod
    def _accumulation_follows(cls, written: Any) -> Any:
        """`effective_batch_size` sets the accumulation if that is not written and the rows divide it."""
        if not isinstance(written, dict) or "gradient_accumulation_steps" in written:
            return written
        whole, rows = written.get("effective_batch_size"), written.get("per_device_train_batch_size", _DEFAULT_ROWS)
        if isinstance(whole, int) and isinstance(rows, int) and rows > 0 and whole > 0 and whole % rows == 0:
            return {**written, "gradient_accumulation_steps": whole // rows}
        return written

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_best_without_evaluation(cls, written: Any) -> Any:
        """Without evaluations these two cannot apply; their defaults say so, so that a resolved file reads back."""
        if isinstance(written, dict) and written.get("eval_strategy") in ("no", False):
            return {"load_best_model_at_end": False, "early_stopping_patience": None, **written}
        return written

    @model_validator(mode="after")
    def _agree(self) -> Config:
        found = contradictions(self)
        if found:
            raise ContradictionError(found)
        return self
