"""Stochastic depth with a learned scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ScaledDropPath(nn.Module):
    """Scale each channel of a residual branch, and leave the branch out of some samples.

    The scale begins at 1e-4, so a new branch hardly changes anything; it acts in evaluation too.
    Source: ActionFormer's ``AffineDropPath``, after "Going deeper with image transformers".

    Args:
        num_channels: C.
        drop_prob: Share of the samples in training that skip the branch.
    """

    def __init__(self, num_channels: int, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob
        self.scale = nn.Parameter(torch.full((num_channels, 1), 1e-4))

    def forward(self, x: Tensor) -> Tensor:
        """Scale and drop ``(B, C, T)``."""
        x = x * self.scale
        if not self.training or self.drop_prob == 0:
            return x
        keep_prob = 1 - self.drop_prob
        kept = torch.rand(len(x), 1, 1, dtype=x.dtype, device=x.device) < keep_prob
        return x * (kept / keep_prob)


def drop_path(num_channels: int, drop_prob: float) -> nn.Module:
    """Its scale exists only where something is dropped, as in the published checkpoints."""
    return ScaledDropPath(num_channels, drop_prob) if drop_prob > 0 else nn.Identity()
