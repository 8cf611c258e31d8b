"""How alike the snippets of one video are: the task discrepancy in one number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmsola.evaluation.host_copy import each_on_host


@METRICS.register_module()
class SelfSimilarity(BaseMetric):
    """Mean cosine similarity between different snippets of a video, averaged over videos.

    Features of a frozen encoder hardly change inside a video (near 1). Only videos with
    ``role='score'`` count where roles are given. Where SoLa puts out another scale than its input's
    (``standardize``), ``self_similarity_scaled`` is for the features on that scale: scaling alone
    lowers it.

    Examples:
        >>> metric = SelfSimilarity()
        >>> raw, after = torch.ones(2, 2), torch.eye(2)  # two channels, two snippets
        >>> metric.process({'inputs': [raw]}, [{'sola_feature': after}])
        >>> {name: round(value, 4) for name, value in metric.evaluate(size=1).items()}
        {'tsm/self_similarity': 0.0, 'tsm/self_similarity_untouched': 1.0}
    """

    default_prefix = 'tsm'

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep one number a video, before and after SoLa."""
        by_video = []
        for raw, sample in zip(data_batch['inputs'], data_samples):
            kinds = {
                '': sample['sola_feature'],
                '_untouched': raw,
                '_scaled': sample.get('scaled_feature'),
            }
            by_video.append({k: _mean_similarity(x.T) for k, x in kinds.items() if x is not None})
        for sample, similarities in zip(data_samples, each_on_host(by_video, torch.float64)):
            self.results.append(
                (sample.get('role'), {kind: float(x) for kind, x in similarities.items()})
            )

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """``self_similarity``, ``self_similarity_untouched``, perhaps ``..._scaled``."""
        scored = [r for r in results if r[0] == 'score'] or results
        return {
            f'self_similarity{kind}': float(np.nanmean([r[1][kind] for r in scored]))
            for kind in scored[0][1]
        }


def temporal_self_similarity(feature: Tensor, most_cells: int | None = None) -> Tensor:
    """Cosine similarity ``(T, T)`` in [-1, 1] of a sequence ``(T, C)``.

    Args:
        feature: The sequence.
        most_cells: Where T is greater, ``(most_cells, most_cells)`` means over blocks of snippets
            as equal as can be. They take no memory for ``(T, T)``: the mean over all pairs of two
            blocks is the product of the blocks' means.
    """
    unit = F.normalize(feature.float(), dim=-1)
    if most_cells is not None and len(unit) > most_cells:
        edges = np.linspace(0, len(unit), most_cells + 1).round().astype(int)
        unit = torch.stack([unit[a:b].mean(0) for a, b in zip(edges[:-1], edges[1:])])
    return unit @ unit.T


def mean_similarity(feature: Tensor) -> float:
    """Mean of the TSM of ``(T, C)`` without its diagonal; NaN for a single snippet."""
    return float(_mean_similarity(feature))


def _mean_similarity(feature: Tensor) -> Tensor:
    """The same where the feature lies, without waiting for it."""
    num = len(feature)
    unit = F.normalize(feature.float(), dim=-1)
    # |sum of unit vectors|^2 is the sum over all pairs: no (T, T) matrix for long videos
    total = unit.double().sum(0).square().sum() - unit.double().square().sum()
    return total / (num * (num - 1)) if num > 1 else torch.full_like(total, torch.nan)
