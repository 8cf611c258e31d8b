"""Overlap of ground truth with a localizer's anchors, for any number of segments, none included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

_CACHED_NUMBERS = 2**16  # in double half a megabyte
_OUTSIDE = -10.0  # of every video: a segment there overlaps with nothing


def segment_batches(
    segments: Sequence[Tensor], device: torch.device, num_anchors: int
) -> Iterator[Tensor]:
    """The segments ``(N_i, 2)`` of some videos, in double, as batches ``(B, N, 2)`` in their order.

    Where one video has fewer than another, segments outside of every video stand for the rest. On a
    GPU all come together: few launches, and nothing to wait for. On a CPU as many as stay in
    its cache, each with so many anchors.
    """
    rows = [every.to(device, torch.float64) for every in segments]
    # a video without any gets one that overlaps with nothing
    rows = [every if len(every) else every.new_full((1, 2), _OUTSIDE) for every in rows]
    together = len(rows)
    if device.type == 'cpu':
        together = max(1, _CACHED_NUMBERS // (max(map(len, rows)) * num_anchors))
    for i in range(0, len(rows), together):
        yield pad_sequence(rows[i : i + together], batch_first=True, padding_value=_OUTSIDE)


def greatest_tiou(anchors: Tensor, segments: Tensor) -> Tensor:
    """Greatest tIoU of each anchor ``(A, 2)`` with segments ``(B, N, 2)``; ``(B, A)``."""
    overlap, anchor_length = _overlap(anchors, segments)
    union = anchor_length - overlap + (segments[..., 1:] - segments[..., :1])  # (B, N, A)
    return (overlap / union).amax(dim=1).clamp_min(0)


def greatest_covered(anchors: Tensor, segments: Tensor) -> Tensor:
    """Greatest share of each anchor ``(A, 2)`` that one of ``(B, N, 2)`` covers; ``(B, A)``."""
    overlap, anchor_length = _overlap(anchors, segments)
    return (overlap / anchor_length).amax(dim=1).clamp_min(0)


def segments_at(points: Tensor, width: float | Tensor) -> Tensor:
    """Segments ``(B, N, 2)`` of some width, centred on points ``(B, N)``."""
    return torch.stack([points - width / 2, points + width / 2], dim=-1)


def _overlap(anchors: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
    """Of each pair ``(B, N, A)``, and the lengths of the anchors ``(A,)``."""
    first, last = anchors.T
    overlap = torch.minimum(last, segments[..., 1:])
    overlap = (overlap - torch.maximum(first, segments[..., :1])).clamp_min(0)
    return overlap, last - first
