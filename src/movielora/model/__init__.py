"""Base weights, 4-bit, LoRA, the tiny embedded base, the answer layer, the prefix cache, the memory estimate."""
