"""Overlap of ground truth with a localizer's anchors, for any number of segments, none included."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

_CACHED_NUMBERS = 2**16  # in double half a megabyte
_OUTSIDE = -10.0  # of every video: a segment there overlaps with nothing


def batched_labels(
    segments: Sequence[Tensor],
    num_anchors: int,
    labels_of: Callable[[Tensor], tuple[Tensor, ...]],
) -> tuple[Tensor, ...]:
    """Labels of videos with segments ``(N_i, 2)``, made of them where they lie.

    On a GPU all videos come together: few launches, and nothing to wait for. On a CPU as many as
    stay in its cache.

    Args:
        segments: Of each video.
        num_anchors: That each segment is compared with.
        labels_of: Makes labels ``(B, ...)`` in double of segments ``(B, N, 2)``. Where one video
            has fewer than another, segments outside of every video stand for the rest.

    Returns:
        The labels of all videos, in their order, in single precision.
    """
    device = segments[0].device
    rows = [every.to(device, torch.float64) for every in segments]
    # a video without any gets one that overlaps with nothing
    rows = [every if len(every) else every.new_full((1, 2), _OUTSIDE) for every in rows]
    together = len(rows)
    if device.type == 'cpu':
        together = max(1, _CACHED_NUMBERS // (max(map(len, rows)) * num_anchors))
    found = [
        labels_of(pad_sequence(rows[i : i + together], True, _OUTSIDE))
        for i in range(0, len(rows), together)
    ]
    return tuple(torch.cat(column).float() for column in zip(*found))


def on_device(
    kept: tuple[Tensor, ...] | None, arrays: Sequence[np.ndarray], device: torch.device
) -> tuple[Tensor, ...]:
    """Anchors as tensors on a device: those ``kept`` from before, where they lie there.

    To copy them at each step would be to wait for the GPU.
    """
    if kept is None or kept[0].device != device:
        kept = tuple(torch.from_numpy(array).to(device) for array in arrays)
    return kept


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
