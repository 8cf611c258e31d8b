"""TriDet's pyramid: scalable-granularity perception."""

from __future__ import annotations

from collections.abc import Sequence

from mmaction.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from mmsola.messages.argument_checks import check_argument, check_choice
from mmsola.models.backbones.pyramid_backbone import PyramidBackbone
from mmsola.models.layers.drop_path import drop_path
from mmsola.models.layers.masked_conv import ChannelNorm, Pointwise, max_pool, reduce_mask

_GROUPS = 16  # of the norm before the MLP


@MODELS.register_module()
class SGPPyramid(PyramidBackbone):
    """Depthwise convolutions at two granularities instead of attention (TriDet, CVPR 2023).

    Padded steps carry values here: the mean over time and the group norm count them, so results
    depend on the length that a sequence is padded to, as published.

    Args:
        channels: C, a multiple of 16.
        num_levels: Levels of the pyramid, each at half the rate of the one before.
        num_stem: Blocks at the native rate, of window 1 and without drop path.
        window: Width of the narrow convolutions, odd; one for each level, or one for all. That of
            the first level is not used, since the stem's is 1, but counts for the length divisor.
        k: How much wider the wide one is: ``round((window + 1) * k)``, made odd.
        mlp_channels: Width inside of the MLP; None is ``4 * channels``.
        drop_path: Share of samples that skip a branch in training.
        downsample: ``'max'`` of three, or ``'avg'`` of two and a convolution.
        init_std: Standard deviation that the depthwise weights begin with. 0 (published for
            THUMOS14 and EPIC-Kitchens) is a saddle point: their gradients are zero for ever, and
            the block is norm, pooling and MLP.

    Shapes:
        Input ``(B, C, T)`` and mask ``(B, 1, T)``; output of level l ``(B, C, T / 2**l)``.

    Source: the numbers are those of OpenTAD's port.

    Examples:
        >>> import torch
        >>> pyramid = SGPPyramid(channels=16, num_levels=3)
        >>> features, masks = pyramid(torch.rand(1, 16, 8), torch.ones(1, 1, 8, dtype=torch.bool))
        >>> [tuple(level.shape) for level in features]
        [(1, 16, 8), (1, 16, 4), (1, 16, 2)]
    """

    def __init__(
        self,
        channels: int = 512,
        num_levels: int = 6,
        num_stem: int = 2,
        window: int | Sequence[int] = 1,
        k: float = 5.0,
        mlp_channels: int | None = 768,
        drop_path: float = 0.1,
        downsample: str = 'max',
        init_std: float = 0.0,
    ) -> None:
        windows = self.windows_of_levels(window, num_levels)
        is_multiple, is_odd = channels % _GROUPS == 0, all(w % 2 for w in windows)
        check_argument(is_multiple, self, 'channels', channels, f'a multiple of {_GROUPS}')
        check_argument(is_odd, self, 'window', window, 'odd numbers')
        check_choice(self, 'downsample', downsample, ('max', 'avg'))
        width = mlp_channels or 4 * channels
        super().__init__(
            [
                SGPBlock(channels, 1, 1, k, width, 0.0, downsample, init_std)
                for _ in range(num_stem)
            ],
            [
                SGPBlock(channels, 2, w, k, width, drop_path, downsample, init_std)
                for w in windows[1:]
            ],
            max(2**level * (w if w > 1 else 1) for level, w in enumerate(windows)),
        )


class SGPBlock(nn.Module):
    """``z = instant(u) * phi + (narrow(u) + wide(u)) * psi(u) + u`` with ``u = norm(x)``."""

    def __init__(
        self,
        channels: int,
        stride: int,
        window: int,
        k: float,
        mlp_channels: int,
        drop_path_prob: float,
        downsample: str,
        init_std: float,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.pool_conv = (
            Pointwise(channels, channels) if downsample == 'avg' and stride > 1 else None
        )
        self.norm1 = ChannelNorm(channels)
        self.norm2 = nn.GroupNorm(_GROUPS, channels)
        wide = round((window + 1) * k)  # half to even, as the original rounds
        wide += wide % 2 == 0
        self.instant = _depthwise(channels, 1, init_std)
        self.narrow = _depthwise(channels, window, init_std)
        self.wide = _depthwise(channels, wide, init_std)
        self.psi = _depthwise(channels, window, init_std)
        self.phi = _depthwise(channels, 1, init_std)
        self.expand = Pointwise(channels, mlp_channels)
        self.contract = Pointwise(mlp_channels, channels)
        self.drop_path_out = drop_path(channels, drop_path_prob)
        self.drop_path_mlp = drop_path(channels, drop_path_prob)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, C, T)`` and its mask to ``(B, C, T / stride)`` and its mask."""
        if self.pool_conv is not None:
            x = self.pool_conv(F.avg_pool1d(x, self.stride))
        else:
            x = max_pool(x, self.stride)
        reduced = reduce_mask(mask, self.stride)
        u = self.norm1(x)
        whole = self.phi(u.mean(dim=-1, keepdim=True)).relu()  # B x C x 1
        z = self.instant(u) * whole + (self.narrow(u) + self.wide(u)) * self.psi(u) + u
        x = x * reduced + self.drop_path_out(z)
        change = self.contract(F.gelu(self.expand(self.norm2(x))))
        return x + self.drop_path_mlp(change), reduced


def _depthwise(channels: int, width: int, init_std: float) -> nn.Conv1d:
    conv = nn.Conv1d(channels, channels, width, padding=width // 2, groups=channels)
    nn.init.normal_(conv.weight, 0, init_std)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
