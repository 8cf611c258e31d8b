"""The convolutions of one prediction, shared by all levels of a pyramid."""

from __future__ import annotations

from torch import Tensor, nn

from mmsola.models.layers.masked_conv import ChannelNorm, MaskedConv1d


class PointTower(nn.Module):
    """Convolutions with norm and ReLU, then one that predicts.

    Args:
        in_channels: C of the pyramid.
        channels: Width of the convolutions.
        out_channels: What is predicted of each point.
        num_convs: Convolutions before the last one.
        kernel_size: Of all, odd.
        norm_eps: Of the norms.
        mask_activations: OpenTAD's arithmetic: padded steps are set to zero after each ReLU, so
            nothing of them reaches real ones, and what is predicted is not masked. ActionFormer
            masks what the convolutions put out, and nothing after the norm.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        out_channels: int,
        num_convs: int = 2,
        kernel_size: int = 3,
        norm_eps: float = 1e-5,
        mask_activations: bool = False,
    ) -> None:
        super().__init__()
        self.mask_activations = mask_activations
        widths = [in_channels] + [channels] * num_convs
        self.convs = nn.ModuleList(
            MaskedConv1d(*pair, kernel_size, bias=False) for pair in zip(widths, widths[1:])
        )
        self.norms = nn.ModuleList(ChannelNorm(channels, norm_eps) for _ in range(num_convs))
        self.out: nn.Conv1d
        if mask_activations:
            self.out = nn.Conv1d(widths[-1], out_channels, kernel_size, padding=kernel_size // 2)
        else:
            self.out = MaskedConv1d(widths[-1], out_channels, kernel_size)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(B, C, T)`` and mask ``(B, 1, T)`` to ``(B, T, out_channels)``."""
        for conv, norm in zip(self.convs, self.norms):
            x = norm(conv(x, mask)).relu()
            if self.mask_activations:
                x = x * mask
        out = self.out(x) if self.mask_activations else self.out(x, mask)
        return out.transpose(1, 2)
