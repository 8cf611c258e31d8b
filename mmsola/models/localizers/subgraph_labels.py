"""What G-TAD learns from: overlap of every proposal and of every snippet with ground truth."""

from __future__ import annotations

import numpy as np

from mmsola.models.localizers.anchor_overlap import greatest_covered, greatest_tiou, segments_at

_BOUNDARY_CELLS = 3  # width of the stretch that counts as a boundary


def subgraph_labels(
    segments: np.ndarray, temporal_dim: int, max_duration: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of a sequence of T cells.

    Args:
        segments: ``(N, 2)`` in units of the sequence.
        temporal_dim: T.
        max_duration: D.

    Returns:
        Greatest tIoU ``(D, T)`` of each proposal with a segment, over length and start, also of
        proposals that end after the sequence; and the greatest share ``(T,)`` of each cell that
        lies within one and a half cells of a start, and of an end.
    """
    length, first = np.indices((max_duration, temporal_dim)).reshape(2, -1)
    anchors = np.stack([first, first + length + 1], axis=1) / temporal_dim
    tiou = greatest_tiou(anchors, segments.clip(0, 1)).reshape(max_duration, temporal_dim)
    cells = np.stack([np.arange(temporal_dim), np.arange(1, temporal_dim + 1)], axis=1)
    width = _BOUNDARY_CELLS / temporal_dim
    start, end = (
        greatest_covered(cells / temporal_dim, segments_at(segments[:, side], width))
        for side in (0, 1)
    )
    return tiou, start, end
