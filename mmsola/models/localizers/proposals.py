"""From boundary and confidence scores of one video to its ranked proposals."""

from __future__ import annotations

import numpy as np


def boundary_matching_proposals(
    start: np.ndarray, end: np.ndarray, confidence: np.ndarray
) -> np.ndarray:
    """Every pair of a likely start and a likely end, as MMAction2's ``BMN.predict`` lists them.

    A position is likely where its score is a local maximum or above half of the video's greatest;
    the first is always a start and the last always an end.

    Args:
        start: ``(T,)`` scores of a start.
        end: ``(T,)`` scores of an end.
        confidence: ``(2, T, T)``, of regression and classification, over length and start.

    Returns:
        ``(N, 3)`` of start and end in units of the sequence, and score; by length, then start.
    """
    temporal_dim = len(start)
    is_start, is_end = _likely(start), _likely(end)
    is_start[0] = is_end[-1] = True
    is_start[-1] = is_end[0] = False
    length, first = np.indices((temporal_dim, temporal_dim)).reshape(2, -1)
    last = first + length + 1
    inside = last < temporal_dim
    length, first, last = length[inside], first[inside], last[inside]
    likely = is_start[first] & is_end[last]
    length, first, last = length[likely], first[likely], last[likely]
    regression, classification = confidence[:, length, first]
    score = start[first] * end[last] * classification * regression
    return np.stack([first / temporal_dim, last / temporal_dim, score], axis=1)


_OFTEN_ENOUGH = 10  # times as many proposals as are taken


def _likely(score: np.ndarray) -> np.ndarray:
    likely = np.zeros(len(score), bool)
    middle = score[1:-1]
    peak = (middle > score[2:]) & (middle > score[:-2])
    likely[1:-1] = peak | (middle > 0.5 * score.max())
    return likely


def soft_nms(
    proposals: np.ndarray, alpha: float, low_threshold: float, high_threshold: float, top_k: int
) -> np.ndarray:
    """MMAction2's ``soft_nms``, ties included, without its loop over pairs.

    Proposals that overlap the best one by more than ``low + (high - low) * its length`` lose
    ``exp(-tIoU ** 2 / alpha)`` of their score; then the best of the rest is taken, ``top_k + 1``
    times.

    Args:
        proposals: ``(N, >= 3)`` of start, end, ..., score.

    Returns:
        ``(min(N, top_k + 1), 3)`` of start, end and decayed score, in the order taken.
    """
    proposals = proposals[proposals[:, -1].argsort()[::-1]][:, [0, 1, -1]]
    few = _OFTEN_ENOUGH * top_k
    if len(proposals) > few and alpha > 0 and proposals[-1, -1] >= 0:
        # Scores only fall, so that whatever is left out stays behind what was taken before it.
        taken = _taken(proposals[:few], alpha, low_threshold, high_threshold, top_k)
        if taken[-1, -1] >= proposals[few, -1]:
            return taken
    return _taken(proposals, alpha, low_threshold, high_threshold, top_k)


def _taken(
    proposals: np.ndarray, alpha: float, low_threshold: float, high_threshold: float, top_k: int
) -> np.ndarray:
    """The loop of soft-NMS, over proposals ``(N, 3)`` from the best score down."""
    start, end, rest = proposals.T.copy()  # each contiguous
    overlap, union, edge = np.empty((3, len(rest)))
    is_inverted = bool((end < start).any())  # a union may then be negative as well
    taken = []
    for _ in range(min(len(rest), top_k + 1)):
        best = int(rest.argmax())
        best_start, best_end = start[best], end[best]
        width = best_end - best_start
        threshold = low_threshold + (high_threshold - low_threshold) * width
        taken.append((best_start, best_end, rest[best]))
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
        rest[best] = -np.inf  # what was taken can never be the best again
    return np.array(taken).reshape(-1, 3)


def ranked_proposals(
    proposals: np.ndarray,
    video_info: dict,
    soft_nms_alpha: float,
    soft_nms_low_threshold: float,
    soft_nms_high_threshold: float,
    post_process_top_k: int,
    feature_extraction_interval: int,
) -> list[dict]:
    """MMAction2's ``post_processing``: soft-NMS, the best ``post_process_top_k``, in seconds.

    Args:
        proposals: ``(N, >= 3)`` of start, end, ..., score, in units of the sequence.
        video_info: ``duration_frame`` and ``duration_second``. Frames after the last whole
            ``feature_extraction_interval`` are taken to have no feature. Where the sequence is
            longer than its video, ``last_start`` and ``last_end`` in units of it: what starts at or
            after the first is left out before it can suppress others, ends are cut to the second.

    Returns:
        ``[{'score': ..., 'segment': [start_sec, end_sec]}, ...]``, best first.
    """
    last_start, last_end = video_info.get('last_start', 1.0), video_info.get('last_end', 1.0)
    if last_start < 1:
        proposals = proposals[proposals[:, 0] < last_start]
    if len(proposals) > 1:
        proposals = soft_nms(
            proposals,
            soft_nms_alpha,
            soft_nms_low_threshold,
            soft_nms_high_threshold,
            post_process_top_k,
        )
    proposals = proposals[proposals[:, -1].argsort()[::-1]][:post_process_top_k]
    frames, interval = video_info['duration_frame'], feature_extraction_interval
    covered_sec = float(frames // interval * interval) / frames * video_info['duration_second']
    return [
        {
            'score': float(score),
            'segment': [
                float(max(0, start) * covered_sec),
                float(min(1, last_end, end) * covered_sec),
            ],
        }
        for start, end, score in proposals[:, [0, 1, -1]]
    ]
