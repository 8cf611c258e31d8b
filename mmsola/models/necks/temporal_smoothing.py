"""A moving average as a neck: the control that knows nothing."""

from __future__ import annotations

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional as F


@MODELS.register_module()
class TemporalSmoothing(BaseModule):
    """Mean of each snippet and its neighbours; at the edges, of those that are there.

    It has SoLa's reach and no parameters, so what it gains needs no learning.

    Args:
        kernel_size: Snippets averaged, odd.

    Shapes:
        Input and output ``(B, C, T)``.

    Examples:
        >>> import torch
        >>> TemporalSmoothing(kernel_size=3)(torch.tensor([[[0.0, 3.0, 6.0, 3.0]]]))
        tensor([[[1.5000, 3.0000, 4.0000, 4.5000]]])
    """

    def __init__(self, kernel_size: int = 5) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f'TemporalSmoothing: kernel_size must be odd and positive, got {kernel_size}.'
            )
        self.kernel_size = kernel_size

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Smooth ``x`` ``(B, C, T)``; ``mask`` ``(B, T)`` is True where a snippet is real."""
        if mask is None:
            mask = torch.ones_like(x[:, 0], dtype=torch.bool)
        weight = mask.unsqueeze(1).to(x.dtype)
        # both averages divide by kernel_size, which cancels
        total, count = (
            F.avg_pool1d(value, self.kernel_size, stride=1, padding=self.kernel_size // 2)
            for value in (x * weight, weight)
        )
        return torch.where(weight > 0, total / count.clamp_min(1e-12), 0.0)
