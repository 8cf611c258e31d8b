"""ActionFormer's pyramid: transformer blocks whose attention stays near."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from mmsola.models.backbones.pyramid_backbone import PyramidBackbone
from mmsola.models.layers.drop_path import drop_path
from mmsola.models.layers.local_attention import full_attention, local_attention
from mmsola.models.layers.masked_conv import ChannelNorm, Pointwise, max_pool, reduce_mask


@MODELS.register_module()
class LocalTransformer(PyramidBackbone):
    """A pyramid of pre-norm transformer blocks with local attention (ActionFormer, ECCV 2022).

    Args:
        channels: C.
        num_levels: Levels of the pyramid, each at half the rate of the one before.
        num_stem: Blocks at the native rate.
        num_heads: Of the attention.
        window: Steps that a step attends to, half of them on either side; an even number counts as
            the next odd one; 1 or less attends to all. One for each level, or one for all.
        drop_path: Share of samples that skip a branch in training; 0 leaves out its scale as well.
        dropout: Of the MLP and of what attention puts out.
        attention_dropout: Of the attention's weights.
        relative_bias: Learn a bias for each distance inside of the window.

    Shapes:
        Input ``(B, C, T)`` and mask ``(B, 1, T)``; output of level l ``(B, C, T / 2**l)``.

    Examples:
        >>> import torch
        >>> pyramid = LocalTransformer(channels=4, num_levels=3, num_heads=2, window=5)
        >>> features, masks = pyramid(torch.rand(1, 4, 16), torch.ones(1, 1, 16, dtype=torch.bool))
        >>> [tuple(level.shape) for level in features]
        [(1, 4, 16), (1, 4, 8), (1, 4, 4)]
    """

    def __init__(
        self,
        channels: int = 512,
        num_levels: int = 6,
        num_stem: int = 2,
        num_heads: int = 4,
        window: int | Sequence[int] = 19,
        drop_path: float = 0.1,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        relative_bias: bool = False,
    ) -> None:
        windows = self.windows_of_levels(window, num_levels)
        if channels % num_heads:
            raise ValueError(
                f'{type(self).__name__}: {channels} channels cannot be shared by {num_heads} heads.'
            )

        def block(stride: int, of_level: int) -> TransformerBlock:
            return TransformerBlock(
                channels,
                num_heads,
                stride,
                of_level,
                drop_path,
                dropout,
                attention_dropout,
                relative_bias,
            )

        super().__init__(
            [block(1, windows[0]) for _ in range(num_stem)],
            [block(2, window) for window in windows[1:]],
            max(2**level * max(1, 2 * (w // 2)) for level, w in enumerate(windows)),
        )


class TransformerBlock(nn.Module):
    """``y = pool(x) + attention(norm(x))``, then ``y + mlp(norm(y))``.

    Padded steps pass the norms and the MLP; only what is added is masked.

    Args:
        stride: 2 halves the rate: queries, keys and values are convolved with it, and ``pool`` is
            the greatest of three.
        window: As in :class:`LocalTransformer`.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        stride: int,
        window: int,
        drop_path_prob: float,
        dropout: float,
        attention_dropout: float,
        relative_bias: bool,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.norm1 = ChannelNorm(channels)
        self.norm2 = ChannelNorm(channels)
        self.attention = MaskedAttention(
            channels, num_heads, stride, window, dropout, attention_dropout, relative_bias
        )
        self.expand = Pointwise(channels, 4 * channels)
        self.contract = Pointwise(4 * channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.drop_path_attention = drop_path(channels, drop_path_prob)
        self.drop_path_mlp = drop_path(channels, drop_path_prob)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, C, T)`` and its mask to ``(B, C, T / stride)`` and its mask."""
        reduced = reduce_mask(mask, self.stride)
        attended = self.attention(self.norm1(x), mask)
        x = max_pool(x, self.stride) * reduced + self.drop_path_attention(attended)
        hidden = self.dropout(F.gelu(self.expand(self.norm2(x))))
        change = self.dropout(self.contract(hidden)) * reduced
        return x + self.drop_path_mlp(change), reduced


class MaskedAttention(nn.Module):
    """Multi-head attention whose queries, keys and values were convolved with their neighbours."""

    def __init__(
        self,
        channels: int,
        num_heads: int,
        stride: int,
        window: int,
        dropout: float,
        attention_dropout: float,
        relative_bias: bool,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.stride = stride
        self.reach = window // 2 if window > 1 else None
        self.attention_dropout = attention_dropout
        for name in ('query', 'key', 'value'):
            conv = nn.Conv1d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
            setattr(self, f'{name}_conv', conv)
            setattr(self, f'{name}_norm', ChannelNorm(channels))
            setattr(self, name, Pointwise(channels, channels))
        self.project = Pointwise(channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.relative_bias = None
        if relative_bias and self.reach is not None:
            table = torch.empty(num_heads, 2 * self.reach + 1)
            self.relative_bias = nn.Parameter(
                nn.init.trunc_normal_(table, std=(2.0 / channels) ** 0.5)
            )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(B, C, T)`` to ``(B, C, T / stride)``, zeros where nothing is real."""
        reduced = reduce_mask(mask, self.stride)
        x = x.contiguous()  # once, for three convolutions
        query, key, value = (
            self._heads(self._convolved(name, x, reduced)) for name in ('query', 'key', 'value')
        )
        dropout = self.attention_dropout if self.training else 0.0
        if self.reach is None:
            out = full_attention(query, key, value, reduced[:, 0], dropout)
        else:
            out = local_attention(
                query, key, value, reduced[:, 0], self.reach, self.relative_bias, dropout
            )
        out = out.transpose(2, 3).flatten(1, 2)  # B x H x T x D to B x C x T
        return self.dropout(self.project(out)) * reduced

    def _convolved(self, name: str, x: Tensor, mask: Tensor) -> Tensor:
        conv, norm, pointwise = (getattr(self, f'{name}{part}') for part in ('_conv', '_norm', ''))
        return pointwise(norm(conv(x) * mask))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.num_heads, -1)).transpose(2, 3)  # B x H x T x D
