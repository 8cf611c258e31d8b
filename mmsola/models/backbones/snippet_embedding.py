"""From snippet features to the width of a localizer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmsola.models.layers.masked_conv import ChannelNorm, MaskedConv1d
from mmsola.models.layers.position_table import position_table, positions_of


@MODELS.register_module()
class SnippetEmbedding(BaseModule):
    """Convolutions with a norm and ReLU, and positions if wanted (ActionFormer).

    Args:
        in_channels: C of the features; several where they are joined streams, each of which
            then has a projection of its own.
        channels: C of the result; with several streams, ``split_channels`` of the projections.
        num_convs: Convolutions.
        kernel_size: Of each, odd.
        split_channels: Width of each stream's projection.
        positions: Length of a table of sinusoidal positions; None adds none.
        noise: Standard deviation of noise that is added to the features in training (TriDet).
        feature_dropout: Share of whole channels that are dropped in training (OpenTAD).
        norm_eps: Of the norms.
        mask_activations: Set padded steps to zero after each ReLU as well (OpenTAD, TriDet). In
            ActionFormer they hold the ReLU of the norm's bias, which the next convolution sees.

    Shapes:
        Input ``(B, C, T)``, mask ``(B, 1, T)``; output ``(B, channels, T)``.

    Examples:
        >>> embedding = SnippetEmbedding(in_channels=8, channels=4)
        >>> embedding(torch.rand(2, 8, 30), torch.ones(2, 1, 30, dtype=torch.bool)).shape
        torch.Size([2, 4, 30])
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        num_convs: int = 2,
        kernel_size: int = 3,
        split_channels: Sequence[int] | None = None,
        positions: int | None = None,
        noise: float = 0.0,
        feature_dropout: float = 0.0,
        norm_eps: float = 1e-5,
        mask_activations: bool = False,
    ) -> None:
        super().__init__()
        self.noise = noise
        self.feature_dropout = feature_dropout
        self.mask_activations = mask_activations
        self.streams = None if isinstance(in_channels, int) else list(in_channels)
        self.splits = nn.ModuleList()
        if self.streams is not None:
            if split_channels is None or len(split_channels) != len(self.streams):
                raise ValueError(
                    f'{type(self).__name__}: {len(self.streams)} streams of {self.streams} '
                    f'channels need as many split_channels, got {split_channels}.'
                )
            for width, out in zip(self.streams, split_channels):
                self.splits.append(MaskedConv1d(width, out, 1))
            in_channels = sum(split_channels)
        assert isinstance(in_channels, int)
        widths = [in_channels] + [channels] * num_convs
        self.convs = nn.ModuleList(
            MaskedConv1d(*pair, kernel_size, bias=False) for pair in zip(widths, widths[1:])
        )
        self.norms = nn.ModuleList(ChannelNorm(channels, norm_eps) for _ in range(num_convs))
        self.register_buffer(
            'positions',
            None if positions is None else position_table(positions, channels),
            persistent=False,
        )
        self.positions: Tensor | None

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Embed a masked batch."""
        if self.training and self.noise:
            x = x + self.noise * torch.randn_like(x)
        x = F.dropout1d(x, self.feature_dropout, self.training)
        if self.streams is not None:
            x = torch.cat(
                [split(part, mask) for split, part in zip(self.splits, x.split(self.streams, 1))],
                dim=1,
            )
        for conv, norm in zip(self.convs, self.norms):
            x = norm(conv(x, mask)).relu()
            if self.mask_activations:
                x = x * mask
        if self.positions is not None:
            x = x + positions_of(self.positions, x.shape[-1], self.training) * mask
        return x
