"""What names in metrics.jsonl mean, if two of them sound alike."""

from __future__ import annotations

# Printed wherever both are, and on the page beside the curves.
LOSSES_EXPLAINED = (
    "eval_loss: mean −ln P of each token of the answer, its end included, among all words; training minimises it. "
    "eval_log_loss: mean −ln P of the true answer, of Yes against No only."
)
