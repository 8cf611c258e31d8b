"""A pyramid of plain residual convolutions."""

from __future__ import annotations

from mmaction.registry import MODELS
from torch import Tensor, nn

from mmsola.models.backbones.pyramid_backbone import PyramidBackbone
from mmsola.models.layers.masked_conv import MaskedConv1d, reduce_mask


@MODELS.register_module()
class ConvPyramid(PyramidBackbone):
    """ResNet's basic block at each level (ActionFormer's ``conv`` backbone).

    Args:
        channels: C.
        num_levels: Levels of the pyramid, each at half the rate of the one before.
        num_stem: Blocks at the native rate.
        kernel_size: Odd.
        expansion: Width inside of a block over C.

    Shapes:
        Input ``(B, C, T)`` and mask ``(B, 1, T)``; output of level l ``(B, C, T / 2**l)``.

    Examples:
        >>> import torch
        >>> pyramid = ConvPyramid(channels=4, num_levels=3)
        >>> features, masks = pyramid(torch.rand(1, 4, 16), torch.ones(1, 1, 16, dtype=torch.bool))
        >>> [tuple(level.shape) for level in features]
        [(1, 4, 16), (1, 4, 8), (1, 4, 4)]
    """

    def __init__(
        self,
        channels: int = 512,
        num_levels: int = 6,
        num_stem: int = 2,
        kernel_size: int = 3,
        expansion: int = 2,
    ) -> None:
        super().__init__(
            [ConvBlock(channels, kernel_size, 1, expansion) for _ in range(num_stem)],
            [ConvBlock(channels, kernel_size, 2, expansion) for _ in range(num_levels - 1)],
            2 ** (num_levels - 1),
        )


class ConvBlock(nn.Module):
    """Two masked convolutions and what they are added to."""

    def __init__(self, channels: int, kernel_size: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = MaskedConv1d(channels, channels * expansion, kernel_size, stride)
        self.conv2 = MaskedConv1d(channels * expansion, channels, kernel_size)
        self.downsample = MaskedConv1d(channels, channels, 1, stride) if stride > 1 else None

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, C, T)`` and its mask to ``(B, C, T / stride)`` and its mask."""
        reduced = reduce_mask(mask, self.stride)
        change = self.conv2(self.conv1(x, mask).relu(), reduced)
        x = x if self.downsample is None else self.downsample(x, mask)
        return (change + x).relu(), reduced
