"""Mean average precision of detections at thresholds of tIoU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmsola.evaluation.temporal_iou import ROUNDING, temporal_iou


@dataclass(frozen=True)
class LabelledSegments:
    """Segments of one video, with a class each, and a score where they are detections."""

    segments: np.ndarray  # (N, 2)
    labels: Sequence[str]
    scores: np.ndarray | None = None  # (N,)


def average_precision(
    ground_truth: Mapping[str, LabelledSegments],
    detections: Mapping[str, LabelledSegments],
    tiou_thresholds: Sequence[float],
) -> dict[str, np.ndarray]:
    """Average precision of each annotated class, ``(thresholds,)``, as ActivityNet measures it.

    Detections are taken from the best score down; each one finds the segment of its class and video
    that it overlaps most among those still free, if by at least the threshold. Precision is
    interpolated. Detections of classes without a segment count for nothing; those in a video
    without a segment of their class are wrong.

    Equal to MMAction2's ``ActivityNetLocalization`` and ``average_precision_at_temporal_iou`` but
    for rounding (thresholds are compared in double precision) and the order of equal scores, which
    is that of the file here and an unstable sort's there.
    """
    thresholds = np.asarray(tiou_thresholds, float)
    classes = sorted({label for video in ground_truth.values() for label in video.labels})
    index = {label: i for i, label in enumerate(classes)}
    num_segments = np.zeros(len(classes), int)
    scores: list[list[np.ndarray]] = [[] for _ in classes]
    hits: list[list[np.ndarray]] = [[] for _ in classes]
    for name, truth in ground_truth.items():
        truth_class = np.array([index[label] for label in truth.labels], int)
        num_segments += np.bincount(truth_class, minlength=len(classes))
        found = detections.get(name)
        if found is None or not len(found.segments):
            continue
        assert found.scores is not None
        found_class = np.array([index.get(label, -1) for label in found.labels])
        for i in np.unique(found_class[found_class >= 0]):
            of_class = np.flatnonzero(found_class == i)
            of_class = of_class[np.argsort(-found.scores[of_class], kind='stable')]
            wanted = truth.segments[truth_class == i]
            scores[i].append(found.scores[of_class])
            hits[i].append(_hits(found.segments[of_class], wanted, thresholds))
    return {
        label: _interpolated(scores[i], hits[i], num_segments[i], len(thresholds))
        for i, label in enumerate(classes)
    }


def _hits(detections: np.ndarray, segments: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Whether each detection ``(N, 2)``, best first, finds a free segment; ``(thresholds, N)``."""
    hits = np.zeros((len(thresholds), len(detections)), bool)
    if not len(segments):
        return hits
    overlap = temporal_iou(detections, segments)
    thresholds = thresholds - ROUNDING
    if len(segments) == 1:  # the first one that is good enough
        good = overlap[:, 0] >= thresholds[:, None]
        hits[np.arange(len(thresholds)), good.argmax(axis=1)] = good.any(axis=1)
        return hits
    free = np.ones((len(thresholds), len(segments)), bool)
    every = np.arange(len(thresholds))
    for k in np.flatnonzero(overlap.max(axis=1) >= thresholds.min()):
        open_to = np.where(free, overlap[k], -1.0)
        best = open_to.argmax(axis=1)
        hits[:, k] = open_to[every, best] >= thresholds
        free[every[hits[:, k]], best[hits[:, k]]] = False
    return hits


def _interpolated(
    scores: list[np.ndarray], hits: list[np.ndarray], num_segments: int, num_thresholds: int
) -> np.ndarray:
    if not scores:
        return np.zeros(num_thresholds)
    order = np.argsort(-np.concatenate(scores), kind='stable')
    hit = np.concatenate(hits, axis=1)[:, order]
    true = hit.cumsum(axis=1)
    precision = true / np.arange(1, hit.shape[1] + 1)
    # the best precision at this recall or any greater one
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return (best * hit).sum(axis=1) / num_segments
