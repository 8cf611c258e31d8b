"""TemporalMaxer's pyramid: nothing to learn."""

from __future__ import annotations

from mmaction.registry import MODELS
from torch import Tensor, nn

from mmsola.models.backbones.pyramid_backbone import PyramidBackbone
from mmsola.models.layers.masked_conv import max_pool, reduce_mask


@MODELS.register_module()
class MaxPoolPyramid(PyramidBackbone):
    """Each level is the maximum over three steps of the one before (TemporalMaxer, 2023).

    Args:
        channels: C; nothing here depends on it.
        num_levels: Levels of the pyramid, each at half the rate of the one before.

    Shapes:
        Input ``(B, C, T)`` and mask ``(B, 1, T)``; output of level l ``(B, C, T / 2**l)``.

    Examples:
        >>> import torch
        >>> pyramid = MaxPoolPyramid(num_levels=2)
        >>> x = torch.tensor([[[0.0, 1.0, 2.0, 3.0]]])
        >>> features, masks = pyramid(x, torch.ones(1, 1, 4, dtype=torch.bool))
        >>> features[1]
        tensor([[[1., 3.]]])
    """

    def __init__(self, channels: int = 512, num_levels: int = 6) -> None:
        super().__init__([], [_Halve() for _ in range(num_levels - 1)], 2 ** (num_levels - 1))


class _Halve(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        reduced = reduce_mask(mask, 2)
        return max_pool(x, 2) * reduced, reduced
