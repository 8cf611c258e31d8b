"""Sinusoidal positions of snippets."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def position_table(num_positions: int, num_channels: int) -> Tensor:
    """Sines on even channels, cosines on odd ones, ``(1, C, T)`` float32, divided by sqrt(C)."""
    channel = np.arange(num_channels)
    period = np.power(10000, 2 * (channel // 2) / num_channels)
    angle = np.arange(num_positions)[:, None] / period  # T x C
    table = np.where(channel % 2 == 0, np.sin(angle), np.cos(angle))
    rounded = torch.from_numpy(table).float().T[None]  # 1 x C x T
    return rounded / num_channels**0.5


def positions_of(table: Tensor, num_snippets: int, training: bool) -> Tensor:
    """The table's first rows; in evaluation, all of them stretched over a longer sequence."""
    if training or num_snippets < table.shape[-1]:
        return table[..., :num_snippets]
    return F.interpolate(table, num_snippets, mode='linear', align_corners=False)
