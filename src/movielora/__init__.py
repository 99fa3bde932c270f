"""movielora: LoRA adapters of Qwen3 that answer "will this user like this film?", measured honestly."""

__version__ = "0.1.0"
