"""Predictions for windows of a video become those of the video."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.structures.proposal_nms import soft_nms


class PredictionError(ValueError):
    """What a localizer predicted is no segment with a score."""


def predicted_segments(result: Mapping[str, Any]) -> LabelledSegments:
    """What a localizer predicted for a video or a window of it; the label of one without is ``''``.

    Args:
        result: ``video_name`` and ``proposal_list``, as MMAction2's localizers return them.

    Raises:
        PredictionError: A proposal is no segment with a score.
    """
    name, proposal_list = result['video_name'], result['proposal_list']
    rows = np.array([[*p['segment'], p['score']] for p in proposal_list], float).reshape(-1, 3)
    bad = ~np.isfinite(rows).all(axis=1) | (rows[:, 1] < rows[:, 0])
    if bad.any():
        raise PredictionError(
            f'{name}: {bad.sum()} of {len(rows)} proposals are no segments with a score, such as '
            f'start, end, score = {rows[bad][0].tolist()}; expected numbers and start <= end. A '
            'training that diverged gives such.'
        )
    labels = [str(p.get('label', '')) for p in proposal_list]
    return LabelledSegments(rows[:, :2], labels, rows[:, 2])


def merge_windows(
    windows: Iterable[tuple[str, LabelledSegments]], alpha: float, tiou: float, max_segments: int
) -> dict[str, LabelledSegments]:
    """The best ``max_segments`` of each video, of all its windows.

    Where a video has several windows, soft-NMS runs over the segments of each label.

    Args:
        windows: The name of a video, and what was found in a window of it, with scores.
        alpha: Of soft-NMS; a smaller one lowers scores more.
        tiou: Overlap above which scores are lowered.
        max_segments: Of a video, all labels together.
    """
    videos: dict[str, list[LabelledSegments]] = {}
    for name, found in windows:
        videos.setdefault(name, []).append(found)
    return {name: _merge(parts, alpha, tiou, max_segments) for name, parts in videos.items()}


def _merge(
    parts: list[LabelledSegments], alpha: float, tiou: float, max_segments: int
) -> LabelledSegments:
    segments = np.concatenate([part.segments for part in parts])
    scores = np.concatenate([part.scores for part in parts if part.scores is not None])
    rows = np.concatenate([segments, scores[:, None]], axis=1)  # (N, 3)
    labels = [label for part in parts for label in part.labels]
    if len(parts) > 1:
        kept = []
        for label in sorted(set(labels)):
            chosen = rows[[i for i, other in enumerate(labels) if other == label]]
            kept += [(row, label) for row in soft_nms(chosen, alpha, tiou, tiou, max_segments)]
        rows = np.array([row for row, _ in kept]).reshape(-1, 3)
        labels = [label for _, label in kept]
    order = np.argsort(-rows[:, 2], kind='stable')[:max_segments]
    return LabelledSegments(rows[order, :2], [labels[i] for i in order], rows[order, 2])
