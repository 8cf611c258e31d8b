"""Overlap of segments in time."""

from __future__ import annotations

import numpy as np

#: Thresholds such as 0.7 are met by a tIoU that only rounding keeps below them.
ROUNDING = 1e-9


def temporal_iou(segments: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of ``(N, 2)`` with ``(M, 2)`` segments; ``(N, M)`` in float64."""
    return paired_iou(segments[:, None], others[None])


def paired_iou(segments: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of each segment ``(..., 2)`` with its partner, broadcast.

    A segment of no length overlaps itself entirely and nothing else at all; such annotations exist.
    """
    start = np.maximum(segments[..., 0], others[..., 0])
    end = np.minimum(segments[..., 1], others[..., 1])
    intersection = np.maximum(end - start, 0.0)
    union = (segments[..., 1] - segments[..., 0]) + (others[..., 1] - others[..., 0]) - intersection
    is_long = union > 0
    if is_long.all():
        return intersection / union
    return np.where(is_long, intersection / np.where(is_long, union, 1), start == end)
