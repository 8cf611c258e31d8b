"""G-TAD's three losses: of boundaries, and of proposals by regression and by classification.

The published numbers, but for batches that have no positive at all, where the published code
divides by 0 and these are finite.
"""

from __future__ import annotations

import torch
from torch import Tensor

_EPSILON = 1e-6


def boundary_loss(score: Tensor, label: Tensor) -> Tensor:
    """Balanced cross-entropy of scores of a start or an end; positive where the label is over 0.5.

    Args:
        score: ``(B, T)`` in 0 to 1.
        label: ``(B, T)``.
    """
    positive = (label > 0.5).to(_precise(score))
    return _balanced(score, positive, 1 - positive)


def proposal_classification_loss(score: Tensor, tiou: Tensor, valid: Tensor) -> Tensor:
    """Balanced cross-entropy of proposals; positive where their tIoU is over 0.9.

    Ten more of either kind are counted than there are, so that few positives do not weigh too much.

    Args:
        score: ``(B, D, T)`` in 0 to 1.
        tiou: ``(B, D, T)``, 0 where a proposal is not valid.
        valid: ``(D, T)``, 1 where it is.
    """
    positive = (tiou > 0.9).to(_precise(score))
    return _balanced(score, positive, (1 - positive) * valid, extra=10)


def proposal_regression_loss(score: Tensor, tiou: Tensor, draws: Tensor | None = None) -> Tensor:
    """Half the mean squared error of proposals, as many of middle and low tIoU as of high.

    Those over 0.7 all count. Those over 0.3, and those over 0, are drawn with a probability that
    makes them as many. Where the high ones outnumber the middle or the low ones, the published rule
    takes every cell of the map instead, once more; that is kept.

    Args:
        score: ``(B, D, T)`` in 0 to 1.
        tiou: ``(B, D, T)``, 0 where a proposal is not valid.
        draws: ``(2, B, D, T)`` uniform in 0 to 1, for the middle and the low ones; drawn here where
            not given.
    """
    score = score.to(_precise(score))
    if draws is None:
        draws = torch.rand(2, *tiou.shape, device=tiou.device)
    # compared in the precision of the labels, in which 0.3 is no more than 0.3
    high = (tiou > 0.7).to(score)
    middle = ((tiou > 0.3) & (tiou <= 0.7)).to(score)
    low = ((tiou > 0) & (tiou <= 0.3)).to(score)
    weight = high
    for kind, draw in zip((middle, low), draws.to(score)):
        # a ratio that is no number, of no high ones and none of a kind, draws nothing
        weight = weight + (kind * draw > 1 - high.sum() / kind.sum()).to(score)
    squares = (weight * (score - tiou.to(score))).square().sum()
    return 0.5 * squares / weight.sum().clamp(min=1)


def _balanced(score: Tensor, positive: Tensor, negative: Tensor, extra: float = 0) -> Tensor:
    """Cross-entropy in which positives weigh as much as negatives."""
    score = score.to(positive)
    of_positives = ((score + _EPSILON).log() * positive).sum() / _count(positive, extra)
    of_negatives = ((1 - score + _EPSILON).log() * negative).sum() / _count(negative, extra)
    return -0.5 * (of_positives + of_negatives)


def _count(chosen: Tensor, extra: float) -> Tensor:
    return (chosen.sum() + extra).clamp(min=1)


def _precise(score: Tensor) -> torch.dtype:
    """Single precision, or double: in half, 1 - score and its epsilon are lost."""
    return torch.promote_types(score.dtype, torch.float32)
