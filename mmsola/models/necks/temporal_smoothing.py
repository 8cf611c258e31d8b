"""A moving average as a neck: the control that knows nothing."""

from __future__ import annotations

from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from mmsola.messages.argument_checks import check_argument
from mmsola.models.layers.moving_average import moving_average


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
        is_odd = kernel_size > 0 and kernel_size % 2 == 1
        check_argument(is_odd, self, 'kernel_size', kernel_size, 'an odd number, 1 or more')
        self.kernel_size = kernel_size

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Smooth ``x`` ``(B, C, T)``; ``mask`` ``(B, T)`` is True where a snippet is real."""
        return moving_average(x, self.kernel_size, mask)
