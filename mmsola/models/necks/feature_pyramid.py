"""A feature pyramid over time."""

from __future__ import annotations

from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmsola.models.layers.masked_conv import ChannelNorm, MaskedConv1d


@MODELS.register_module()
class FeaturePyramid(BaseModule):
    """Add each level, at twice its length, to the one before it (FPN; ActionFormer's ``fpn``).

    Args:
        channels: C of all levels.
        num_levels: Levels of the pyramid.
        norm_eps: Of the norm at the end.

    Examples:
        >>> import torch
        >>> neck = FeaturePyramid(channels=4, num_levels=2)
        >>> levels = [torch.rand(1, 4, 8), torch.rand(1, 4, 4)]
        >>> masks = [torch.ones(1, 1, length, dtype=torch.bool) for length in (8, 4)]
        >>> [tuple(level.shape) for level in neck(levels, masks)]
        [(1, 4, 8), (1, 4, 4)]
    """

    def __init__(self, channels: int, num_levels: int, norm_eps: float = 1e-5) -> None:
        super().__init__()
        levels = range(num_levels)
        self.laterals = nn.ModuleList(
            MaskedConv1d(channels, channels, 1, bias=False) for _ in levels
        )
        self.convs = nn.ModuleList(
            MaskedConv1d(channels, channels, groups=channels, bias=False) for _ in levels
        )
        self.norms = nn.ModuleList(ChannelNorm(channels, norm_eps) for _ in levels)

    def forward(self, features: list[Tensor], masks: list[Tensor]) -> list[Tensor]:
        """Features ``(B, C, T_l)`` of each level."""
        sums = [lateral(x, mask) for lateral, x, mask in zip(self.laterals, features, masks)]
        for level in range(len(sums) - 1, 0, -1):
            sums[level - 1] = sums[level - 1] + sums[level].repeat_interleave(2, dim=-1)
        return [
            norm(conv(x, mask)) for conv, norm, x, mask in zip(self.convs, self.norms, sums, masks)
        ]
