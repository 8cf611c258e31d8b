"""Distance-IoU of segments given by the distances to their ends."""

from __future__ import annotations

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn

_EPS = 1e-8


@MODELS.register_module()
class OffsetDIoULoss(nn.Module):
    """One minus tIoU, plus the squared distance of the centres over what encloses both.

    Zheng et al., AAAI 2020, for segments that share a point: both are given by their distances
    from it, so they always overlap. Not reduced.

    Examples:
        >>> import torch
        >>> found = torch.tensor([[1.0, 2.0], [1.0, 1.0]])
        >>> OffsetDIoULoss()(found, torch.tensor([[1.0, 2.0], [1.0, 3.0]]))
        tensor([0.0000, 0.5625])
    """

    def forward(self, offsets: Tensor, targets: Tensor) -> Tensor:
        """Loss ``(...)`` of offsets ``(..., 2)`` to start and end, none negative."""
        return centred_diou_loss(offsets, targets)


def centred_diou_loss(offsets: Tensor, targets: Tensor) -> Tensor:
    """As :class:`OffsetDIoULoss`."""
    overlap = torch.minimum(offsets, targets).sum(dim=-1)
    union = offsets.sum(dim=-1) + targets.sum(dim=-1) - overlap
    hull = torch.maximum(offsets, targets).sum(dim=-1)
    left, right = (offsets - targets).unbind(-1)
    distance = 0.5 * (right - left)
    return 1 - overlap / union.clamp(min=_EPS) + (distance / hull.clamp(min=_EPS)) ** 2


def offset_giou(offsets: Tensor, targets: Tensor) -> Tensor:
    """Generalised IoU of two segments that share a point; their hull is nearly their union."""
    overlap = torch.minimum(offsets, targets).sum(dim=-1)
    union = offsets.sum(dim=-1) + targets.sum(dim=-1) - overlap
    hull = torch.maximum(offsets, targets).sum(dim=-1).clamp(min=1e-7)
    return overlap / union.clamp(min=1e-6) - (hull - union) / (hull + 1e-6)
