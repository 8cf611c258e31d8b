"""From boundary and confidence scores of one video to its ranked proposals."""

from __future__ import annotations

import numpy as np

from mmsola.structures.proposal_nms import soft_nms


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


def subgraph_proposals(
    confidence: np.ndarray,
    boundaries: tuple[np.ndarray, np.ndarray] | None = None,
    strict_end: bool = True,
    longest: int | None = None,
) -> np.ndarray:
    """Every proposal of G-TAD's map.

    Args:
        confidence: ``(2, D, T)``, of regression and classification, over length and start.
        boundaries: Scores ``(T,)`` of a start and of an end; only likely ones are paired then, as
            in :func:`boundary_matching_proposals`. They are no part of a proposal's score.
        strict_end: Leave out those that end with the sequence.
        longest: Leave out those of this many cells and more.

    Returns:
        ``(N, 3)`` of start and end in units of the sequence, and score; by length, then start.
    """
    max_duration, temporal_dim = confidence.shape[1:]
    length, first = np.indices((max_duration, temporal_dim)).reshape(2, -1)
    last = first + length + 1
    kept = last < temporal_dim if strict_end else last <= temporal_dim
    if longest is not None:
        kept &= length + 1 < longest
    if boundaries is not None:
        is_start, is_end = map(_likely, boundaries)
        is_start[0] = is_end[-1] = True
        kept &= is_start[first] & is_end[last.clip(max=temporal_dim - 1)]
    length, first, last = length[kept], first[kept], last[kept]
    regression, classification = confidence[:, length, first]
    score = classification * regression
    return np.stack([first / temporal_dim, last / temporal_dim, score], axis=1)


def _likely(score: np.ndarray) -> np.ndarray:
    likely = np.zeros(len(score), bool)
    middle = score[1:-1]
    peak = (middle > score[2:]) & (middle > score[:-2])
    likely[1:-1] = peak | (middle > 0.5 * score.max())
    return likely


def ranked_proposals(
    proposals: np.ndarray,
    video_info: dict,
    soft_nms_alpha: float,
    soft_nms_low_threshold: float,
    soft_nms_high_threshold: float,
    post_process_top_k: int,
    feature_extraction_interval: int,
    keep_scores: bool = False,
) -> list[dict]:
    """MMAction2's ``post_processing``: soft-NMS, the best ``post_process_top_k``, in seconds.

    Args:
        proposals: ``(N, >= 3)`` of start, end, ..., score, in units of the sequence.
        video_info: ``duration_frame`` and ``duration_second``. Frames after the last whole
            ``feature_extraction_interval`` are taken to have no feature. Where the sequence is
            longer than its video, ``last_start`` and ``last_end`` in units of it: what starts at or
            after the first is left out before it can suppress others, ends are cut to the second.
        keep_scores: Soft-NMS says which are picked, but they keep the scores that they had.

    Returns:
        ``[{'score': ..., 'segment': [start_sec, end_sec]}, ...]``, best first.
    """
    last_start, last_end = video_info.get('last_start', 1.0), video_info.get('last_end', 1.0)
    if last_start < 1:
        proposals = proposals[proposals[:, 0] < last_start]
    if len(proposals) > 1:
        picked = soft_nms(
            proposals,
            soft_nms_alpha,
            soft_nms_low_threshold,
            soft_nms_high_threshold,
            post_process_top_k,
        )
        if keep_scores:
            picked = picked[:post_process_top_k]
            score_of = {(start, end): score for start, end, score in proposals.tolist()}
            picked[:, 2] = [score_of[start, end] for start, end, _ in picked.tolist()]
        proposals = picked
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
