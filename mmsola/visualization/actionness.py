"""How much of an action a localizer sees at every moment."""

from __future__ import annotations

import numpy as np


def actionness(segments: np.ndarray, scores: np.ndarray, at_sec: np.ndarray) -> np.ndarray:
    """The score of the best segment that covers each moment; 0 where none does.

    This is read off the proposals, not off a layer of the network, so it works for every
    localizer, also for those that have no actionness of their own.

    Args:
        segments: Start and end in seconds, ``(N, 2)``; both belong to the segment.
        scores: ``(N,)``.
        at_sec: Moments in seconds, ``(M,)``, in any order.

    Returns:
        ``(M,)``.
    """
    at_sec = np.asarray(at_sec, float)
    if not len(segments):
        return np.zeros(len(at_sec))
    best_first = np.argsort(-np.asarray(scores, float), kind='stable')
    start_sec, end_sec = np.asarray(segments, float)[best_first].T[:, :, None]
    covers = (start_sec <= at_sec) & (at_sec <= end_sec)  # N x M
    best = np.asarray(scores, float)[best_first][covers.argmax(axis=0)]  # first True is the best
    return np.where(covers.any(axis=0), best, 0.0)
