"""Overlap of segments in time."""

from __future__ import annotations

import numpy as np

#: Thresholds such as 0.7 are met by a tIoU that only rounding keeps below them.
ROUNDING = 1e-9


def temporal_iou(segments: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of ``(N, 2)`` with ``(M, 2)`` segments; ``(N, M)`` in float64.

    A segment of no length overlaps itself entirely and nothing else at all; such annotations exist.
    """
    start = np.maximum(segments[:, None, 0], others[None, :, 0])
    end = np.minimum(segments[:, None, 1], others[None, :, 1])
    intersection = np.maximum(end - start, 0.0)
    union = (segments[:, 1] - segments[:, 0])[:, None] + (others[:, 1] - others[:, 0])
    union = union - intersection
    same = (union == 0) & (start == end)
    return np.where(union > 0, intersection / np.where(union > 0, union, 1), same)
