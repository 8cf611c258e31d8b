"""Overlap of ground truth with a localizer's anchors, for any number of segments, none included."""

from __future__ import annotations

import numpy as np


def greatest_tiou(anchors: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Greatest tIoU of each anchor ``(A, 2)`` with segments ``(N, 2)``; ``(A,)``, 0 if N is 0."""
    overlap, anchor_length = _overlap(anchors, segments)
    union = anchor_length - overlap + (segments[:, 1] - segments[:, 0])
    return (overlap / union).max(axis=1, initial=0.0)


def greatest_covered(anchors: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Greatest share of each anchor ``(A, 2)`` that a segment ``(N, 2)`` covers; ``(A,)``."""
    overlap, anchor_length = _overlap(anchors, segments)
    return (overlap / anchor_length).max(axis=1, initial=0.0)


def segments_at(points: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    """Segments ``(N, 2)`` of some width, centred on points ``(N,)``."""
    return np.stack([points - width / 2, points + width / 2], axis=1)


def _overlap(anchors: np.ndarray, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    anchors = anchors[:, None]
    overlap = np.minimum(anchors[..., 1], segments[:, 1])
    overlap = np.maximum(overlap - np.maximum(anchors[..., 0], segments[:, 0]), 0.0)
    return overlap, anchors[..., 1] - anchors[..., 0]
