"""Focal loss of independent classes."""

from __future__ import annotations

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class SnippetFocalLoss(nn.Module):
    """Sigmoid focal loss of each class of each point, not reduced (Lin et al., ICCV 2017).

    Args:
        alpha: Weight of positives against negatives; below 0 there is none.
        gamma: How little easy ones count.

    Examples:
        >>> import torch
        >>> loss = SnippetFocalLoss()(torch.tensor([4.0, 0.0, -4.0]), torch.ones(3))
        >>> [round(x, 4) for x in loss.tolist()]  # certain, undecided, wrong
        [0.0, 0.0433, 0.9687]
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of ``(..., K)`` logits against targets in [0, 1] of the same shape."""
        return sigmoid_focal_loss(logits, targets, self.alpha, self.gamma)


def sigmoid_focal_loss(
    logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """As :class:`SnippetFocalLoss`."""
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction='none')
    probability = torch.sigmoid(logits)
    # p * t + (1 - p) * (1 - t), subtracted from 1
    miss = probability + targets - 2 * probability * targets
    loss = entropy * miss**gamma
    return loss if alpha < 0 else loss * (alpha * targets + (1 - alpha) * (1 - targets))
