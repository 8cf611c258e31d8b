"""Soft suppression of proposals without a class."""

from __future__ import annotations

import numpy as np

_OFTEN_ENOUGH = 10  # times as many proposals as are kept


def soft_nms(
    proposals: np.ndarray, alpha: float, low_threshold: float, high_threshold: float, top_k: int
) -> np.ndarray:
    """MMAction2's ``soft_nms``, ties included, without its loop over pairs.

    Proposals that overlap the best one by more than ``low + (high - low) * its length`` lose
    ``exp(-tIoU ** 2 / alpha)`` of their score; then the best of the rest is picked, ``top_k + 1``
    times.

    Args:
        proposals: ``(N, >= 3)`` of start, end, ..., score.

    Returns:
        ``(min(N, top_k + 1), 3)`` of start, end and decayed score, in the order of the picks.
    """
    proposals = proposals[proposals[:, -1].argsort()[::-1]][:, [0, 1, -1]]
    few = _OFTEN_ENOUGH * top_k
    if len(proposals) > few and alpha > 0 and proposals[-1, -1] >= 0:
        # Scores only fall, so that whatever is left out stays behind what was picked before it.
        picks = _picked(proposals[:few], alpha, low_threshold, high_threshold, top_k)
        if picks[-1, -1] >= proposals[few, -1]:
            return picks
    return _picked(proposals, alpha, low_threshold, high_threshold, top_k)


def _picked(
    proposals: np.ndarray, alpha: float, low_threshold: float, high_threshold: float, top_k: int
) -> np.ndarray:
    """The loop of soft-NMS, over proposals ``(N, 3)`` from the best score down."""
    start, end, rest = proposals.T.copy()  # each contiguous
    overlap, union, edge = np.empty((3, len(rest)))
    is_inverted = bool((end < start).any())  # a union may then be negative as well
    picks = []
    for _ in range(min(len(rest), top_k + 1)):
        best = int(rest.argmax())
        best_start, best_end = start[best], end[best]
        width = best_end - best_start
        threshold = low_threshold + (high_threshold - low_threshold) * width
        picks.append((best_start, best_end, rest[best]))
        # NumPy takes three times as long for the minimum with a number as for that of two arrays
        edge.fill(best_end)
        np.minimum(end, edge, out=overlap)
        edge.fill(best_start)
        np.maximum(start, edge, out=edge)
        overlap -= edge
        if threshold < 0 or is_inverted:  # else what is apart, of negative overlap, stays below it
            np.maximum(overlap, 0.0, out=overlap)
        # in this order, which decides the last digit
        np.subtract(width, overlap, out=union)
        union += end
        union -= start
        overlap /= union
        (decayed,) = (overlap > threshold).nonzero()
        rest[decayed] *= np.exp(-np.square(overlap[decayed]) / alpha)
        rest[best] = -np.inf  # what was picked can never be the best again
    return np.array(picks).reshape(-1, 3)
