"""Similarity Matching: the frame interval is the only teacher."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class SimilarityMatchingLoss(nn.Module):
    """Binary cross entropy between a temporal self-similarity matrix and its target.

    The target of two snippets is ``sigmoid(coef / |i - j|^2)``, 1 on the diagonal: near snippets
    should be similar, distant ones less (SoLa, CVPR 2023, Similarity Matching).

    Args:
        coef: How far similarity reaches; larger keeps distant snippets more alike.
        eps: Probabilities are kept inside ``[eps, 1 - eps]``.
        loss_weight: Factor of the loss.

    Examples:
        >>> loss = SimilarityMatchingLoss()
        >>> cosine = 2 * loss.target(8) - 1
        >>> torch.allclose(loss(cosine.expand(4, 8, 8)), loss.floor(8))
        True
    """

    def __init__(self, coef: float = 16.0, eps: float = 1e-5, loss_weight: float = 1.0) -> None:
        super().__init__()
        if coef <= 0 or not 0 < eps < 0.5:
            raise ValueError(
                f'SimilarityMatchingLoss: coef must be positive and eps inside (0, 0.5), '
                f'got coef={coef}, eps={eps}.'
            )
        self.coef = coef
        self.eps = eps
        self.loss_weight = loss_weight

    def target(
        self, num: int, device: torch.device | str | None = None, interval: float = 1.0
    ) -> Tensor:
        """Target TSM of ``num`` evenly gathered snippets, ``(num, num)``, in [0.5, 1].

        Args:
            num: S, how many were gathered.
            device: Where the target lies.
            interval: Interval of two neighbours, in the unit of ``|i - j|``.
        """
        make = _target if torch.compiler.is_compiling() else _remembered_target
        return make(num, self.coef, torch.device(device or 'cpu'), interval)

    def floor(
        self, num: int, device: torch.device | str | None = None, interval: float = 1.0
    ) -> Tensor:
        """The smallest value the loss can take: the target's mean entropy (scalar)."""
        make = _entropy if torch.compiler.is_compiling() else _remembered_entropy
        entropy = make(num, self.coef, self.eps, torch.device(device or 'cpu'), interval)
        return self.loss_weight * entropy

    def constant_guess_kl(self, num: int, intervals: Sequence[float] = (1.0,)) -> float:
        """Loss above its floor of the best guess that looks at nothing: the targets' mean.

        Where several intervals are compared it is one guess for all of them, and the mean of what
        it costs: who looks at nothing does not know the interval either.
        """
        targets = torch.stack([self.target(num, interval=interval) for interval in intervals])
        cosine = 2 * targets.mean().expand(num, num) - 1
        costs = [
            self(cosine, interval) - self.floor(num, interval=interval) for interval in intervals
        ]
        return float(sum(costs) / len(costs))

    def forward(self, cosine: Tensor, interval: float = 1.0) -> Tensor:
        """Compare cosine similarities ``(B, S, S)`` in [-1, 1] with the target; a scalar."""
        # binary cross entropy refuses autocast, and half precision would eat the clamp's 1e-5
        with torch.autocast(cosine.device.type, enabled=False):
            probability = ((1 + cosine.float()) / 2).clamp(self.eps, 1 - self.eps)
            target = self.target(cosine.shape[-1], cosine.device, interval).expand_as(probability)
            return self.loss_weight * F.binary_cross_entropy(probability, target)


# What is remembered must be fit for training, whatever mode it was first asked for in.
@torch.inference_mode(False)
@torch.no_grad()
def _target(num: int, coef: float, device: torch.device, unit: float) -> Tensor:
    index = torch.arange(num, dtype=torch.float32, device=device)
    interval = (index[:, None] - index[None, :]).abs() * unit
    # interval 0 gives coef / 0 = inf, and sigmoid(inf) is the 1 of the diagonal
    return torch.sigmoid(coef / interval.square())


@torch.inference_mode(False)
@torch.no_grad()
def _entropy(num: int, coef: float, eps: float, device: torch.device, unit: float) -> Tensor:
    target = _target(num, coef, device, unit)
    with torch.autocast(device.type, enabled=False):
        return F.binary_cross_entropy(target.clamp(eps, 1 - eps), target)


# They are the same at every step, and a fast GPU waits for nothing as long as for small kernels.
_remembered_target = functools.lru_cache(maxsize=64)(_target)
_remembered_entropy = functools.lru_cache(maxsize=64)(_entropy)
