"""Rows laid end to end instead of padded, for flash attention's kernels that take rows of different lengths.

The form is that of TRL's padding-free collator and transformers' flash attention: one row of tokens whose positions
start from zero at each row, and the rows' bounds, so that no layer has to ask the GPU for them.
"""

from __future__ import annotations

from typing import Any

import torch


def lay_end_to_end(input_ids: torch.Tensor, lengths: torch.Tensor) -> tuple[dict[str, Any], torch.Tensor]:
    """What a decoder takes for the first `lengths` (rows,) tokens of each row of `input_ids` (rows, longest), and
    where each row starts (rows,)."""
    rows, longest = input_ids.shape
    places = torch.arange(longest, device=input_ids.device).expand(rows, -1)
    kept = (places < lengths.unsqueeze(1)).flatten().nonzero().squeeze(1)  # found once: on a GPU this waits
    bounds = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))  # (rows + 1,)
    laid = {
        "input_ids": input_ids.flatten()[kept].unsqueeze(0),  # (1, tokens)
        "position_ids": places.flatten()[kept].unsqueeze(0),
        "cu_seq_lens_q": bounds.to(torch.int32),
        "cu_seq_lens_k": bounds.to(torch.int32),
        "max_length_q": longest,
        "max_length_k": longest,
    }
    return laid, bounds[:-1]
