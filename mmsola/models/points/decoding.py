"""From predictions at points to labelled segments."""

from __future__ import annotations

import torch
from torch import Tensor

from mmsola.structures.candidates import Candidates


def decode_points(
    probabilities: Tensor,
    offsets: Tensor,
    points: Tensor,
    score_threshold: float | None,
    top_k: int | None,
    min_length: float,
) -> Candidates:
    """The most likely segments of some points, best first.

    ActionFormer and TemporalMaxer decode each level of a pyramid by itself, and :func:`join` what
    they keep; TriDet decodes all levels together. (With a single class, OpenTAD's port of TriDet
    sets neither a threshold nor ``top_k``.)

    Args:
        probabilities: ``(S, K)``, 0 where a point is padding.
        offsets: Distances to start and end over the point's stride: ``(S, 2)``, or ``(S, K, 2)``
            where each class has its own.
        points: ``(S, 4)`` of time, least reach, greatest reach, stride.
        score_threshold: What a probability must exceed; None keeps all, padding included.
        top_k: How many are kept; None keeps all.
        min_length: What a segment must exceed, in grid units; a negative one keeps all.
    """
    num_classes = probabilities.shape[1]
    scores = probabilities.flatten()  # S * K, the classes of a point side by side
    found = torch.arange(len(scores), device=scores.device)
    if score_threshold is not None:
        found = (scores > score_threshold).nonzero().squeeze(1)
    scores, order = scores[found].sort(descending=True, stable=True)
    scores, found = scores[:top_k], found[order[:top_k]]
    row = found.div(num_classes, rounding_mode='floor')
    labels = found - row * num_classes
    left, right = (offsets[row] if offsets.dim() == 2 else offsets[row, labels]).unbind(1)
    time, _, _, stride = points[row].unbind(1)
    start, end = time - left * stride, time + right * stride
    kept = end - start > min_length
    return Candidates(torch.stack([start, end], dim=1)[kept], scores[kept], labels[kept])
