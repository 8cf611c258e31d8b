"""What G-TAD learns from: overlap of every proposal and of every snippet with ground truth."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from mmsola.models.localizers.anchor_overlap import greatest_covered, greatest_tiou, segments_at

_BOUNDARY_CELLS = 3  # width of the stretch that counts as a boundary


def subgraph_labels(
    segments: Tensor, temporal_dim: int, max_duration: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Labels of sequences of T cells, in double.

    Args:
        segments: ``(B, N, 2)`` in units of the sequence.
        temporal_dim: T.
        max_duration: D.

    Returns:
        Greatest tIoU ``(B, D, T)`` of each proposal with a segment, over length and start, also of
        proposals that end after the sequence; and the greatest share ``(B, T)`` of each cell that
        lies within one and a half cells of a start, and of an end.
    """
    anchors, cells = _anchors(temporal_dim, max_duration, segments.device)
    tiou = greatest_tiou(anchors, segments.clamp(0, 1))
    width = _BOUNDARY_CELLS / temporal_dim
    start, end = (
        greatest_covered(cells, segments_at(segments[..., side], width)) for side in (0, 1)
    )
    return tiou.unflatten(1, (max_duration, temporal_dim)), start, end


@functools.lru_cache(maxsize=8)
def _anchors(temporal_dim: int, max_duration: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Every proposal ``(D * T, 2)``, over length and start, and every cell ``(T, 2)``."""
    with torch.inference_mode(False):  # fit for training, whoever asks first
        first = torch.arange(temporal_dim, dtype=torch.float64, device=device)
        length = torch.arange(1, max_duration + 1, dtype=torch.float64, device=device)[:, None]
        ends = (first + length).flatten()
        anchors = torch.stack([first.repeat(max_duration), ends], dim=1)
        cells = torch.stack([first, first + 1], dim=1)
        return anchors / temporal_dim, cells / temporal_dim
