"""Convolutions and norms over ``(B, C, T)`` sequences of which only the first steps are real."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MaskedConv1d(nn.Conv1d):
    """A convolution whose output is zero where the mask is False.

    Its input is not masked: what stands in padded steps reaches the last real ones through the
    kernel, as in the published networks (ActionFormer, TemporalMaxer). Biases begin at zero.

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        kernel_size: Odd; the length is kept, or divided by ``stride``.
        stride: Steps from one output to the next.
        groups: As in ``torch.nn.Conv1d``.
        bias: Whether there is one.

    Shapes:
        Input ``(B, C, T)`` and mask ``(B, 1, T)``; output ``(B, C', T / stride)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f'{type(self).__name__}: kernel_size must be odd, got {kernel_size}.')
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=bias,
        )
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Convolve ``(B, C, T)``; zeros where ``mask`` (after the stride) is False."""
        return super().forward(x) * reduce_mask(mask, self.stride[0])


class Pointwise(nn.Conv1d):
    """A convolution of width 1, computed as the matrix product that it is.

    PyTorch's own convolution of width 1 is slower on CPUs, in both directions. Input and output may
    lie in memory with the channels of a step side by side, as :class:`ChannelNorm` leaves them;
    then nothing is copied.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 1, bias=bias)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` to ``(B, C', T)``."""
        return F.linear(x.transpose(1, 2), self.weight[:, :, 0], self.bias).transpose(1, 2)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of ``(B, C, T)``, each step by itself.

    In memory its output has the channels of a step side by side.

    Args:
        num_channels: C.
        eps: Added to the variance inside of the root: 1e-5 in ActionFormer, 1e-6 in OpenTAD.
    """

    def __init__(self, num_channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(B, C, T)``."""
        steps_last = x.transpose(1, 2)  # B x T x C
        normed = F.layer_norm(steps_last, self.weight.shape, self.weight, self.bias, self.eps)
        return normed.transpose(1, 2)


def reduce_mask(mask: Tensor, stride: int) -> Tensor:
    """Mask ``(B, 1, T)`` after a stride: every ``stride``-th step of it (nearest)."""
    return mask if stride == 1 else mask[..., ::stride]


def max_pool(x: Tensor, stride: int) -> Tensor:
    """``(B, C, T)`` to ``(B, C, T / stride)``: the greatest of ``stride + 1`` steps.

    Padded steps are not left out: their zeros win over negative values, as published.
    """
    if stride == 1:
        return x
    return F.max_pool1d(x, stride + 1, stride, padding=(stride + 1) // 2)
