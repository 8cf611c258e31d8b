"""A moving average over time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def moving_average(x: Tensor, width: int, mask: Tensor | None = None) -> Tensor:
    """Mean of each snippet and its neighbours; at the edges, of those that are there.

    Args:
        x: ``(..., C, T)``.
        width: Snippets averaged, odd.
        mask: ``(..., T)``, True where a snippet is real; others count for nothing and become 0.
            None takes all.

    Returns:
        ``(..., C, T)``.
    """
    if mask is None:
        return F.avg_pool1d(x, width, stride=1, padding=width // 2, count_include_pad=False)
    weight = mask.unsqueeze(-2).to(x.dtype)  # (..., 1, T)
    # both averages divide by width, which cancels
    total, count = (
        F.avg_pool1d(value, width, stride=1, padding=width // 2) for value in (x * weight, weight)
    )
    return torch.where(weight > 0, total / count.clamp_min(1e-12), 0.0)
