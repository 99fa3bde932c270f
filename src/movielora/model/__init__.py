"""Base weights, attention choice, LoRA, the tiny embedded base, Yes/No scoring."""
