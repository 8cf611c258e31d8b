"""Mean average precision of detections at thresholds of tIoU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.structures.temporal_iou import ROUNDING, paired_iou


def average_precision(
    ground_truth: Mapping[str, LabelledSegments],
    detections: Mapping[str, LabelledSegments],
    tiou_thresholds: Sequence[float],
) -> dict[str, np.ndarray]:
    """Average precision of each annotated class, ``(thresholds,)``, as ActivityNet measures it.

    From the best score down, each detection finds the segment of its class and video
    that it overlaps most among those still free, if by at least the threshold. Precision is
    interpolated. Detections of classes without a segment count for nothing; those in a video
    without a segment of their class are wrong.

    Equal to MMAction2's ``ActivityNetLocalization`` and ``average_precision_at_temporal_iou`` but
    for rounding (thresholds are compared in double precision) and the order of equal scores, which
    is that of the file here and an unstable sort's there.
    """
    matched = MatchedDetections(ground_truth, detections, tiou_thresholds)
    return dict(zip(matched.labels, matched.average_precision(np.ones((1, len(ground_truth))))[0]))


class MatchedDetections:
    """Which detections find a segment: what average precision is made of, for any videos.

    Args:
        ground_truth: As for :func:`average_precision`.
        detections: As there.
        tiou_thresholds: As there.

    Attributes:
        labels: The annotated classes.
    """

    def __init__(
        self,
        ground_truth: Mapping[str, LabelledSegments],
        detections: Mapping[str, LabelledSegments],
        tiou_thresholds: Sequence[float],
    ) -> None:
        thresholds = np.asarray(tiou_thresholds, float)
        self.labels = sorted({label for video in ground_truth.values() for label in video.labels})
        class_of = _ClassIndex((label, i) for i, label in enumerate(self.labels))
        names = list(ground_truth)
        truth = _Flat([ground_truth[name] for name in names], class_of)
        found = _Flat([detections.get(name, _NOTHING) for name in names], class_of)
        found.keep(found.label >= 0)
        # by class, then from the best score down; ties stay in the order of the file
        found.keep(np.lexsort((-found.score, found.label)))
        self._hits = _hits(found, truth, len(self.labels), thresholds - ROUNDING)
        self._begin = np.searchsorted(found.label, np.arange(len(self.labels) + 1))
        self._video = found.video
        self._num_segments = np.zeros((len(names), len(self.labels)))
        np.add.at(self._num_segments, (truth.video, truth.label), 1)

    def average_precision(self, times: np.ndarray) -> np.ndarray:
        """Average precision ``(R, classes, thresholds)`` where each video counts so many times.

        It is that of ground truth and detections which hold a video as often.

        Args:
            times: How often each video counts, ``(R, videos)``, in the order of the ground truth.

        Returns:
            NaN for a class without a segment in the videos that count.
        """
        num_segments = times @ self._num_segments
        areas = np.full((len(times), len(self.labels), len(self._hits)), np.nan)
        for i in range(len(self.labels)):
            of_class = slice(self._begin[i], self._begin[i + 1])
            counted = times[:, self._video[of_class]]  # (R, detections of the class)
            so_far = counted.cumsum(axis=1)
            annotated = num_segments[:, i] > 0
            for j, hit in enumerate(self._hits[:, of_class]):
                position = np.flatnonzero(hit)
                area = _area(counted[:, position], so_far[:, position])
                areas[annotated, i, j] = area[annotated] / num_segments[annotated, i]
        return areas


_NOTHING = LabelledSegments(np.zeros((0, 2)), [], np.zeros(0))


class _ClassIndex(dict):
    """Indices of the annotated classes; any other class is -1."""

    def __missing__(self, label: str) -> int:
        return -1


class _Flat:
    """The segments of many videos as arrays, one row a segment."""

    def __init__(self, videos: Sequence[LabelledSegments], class_of: _ClassIndex) -> None:
        sizes = [len(video.labels) for video in videos]
        every_label = chain.from_iterable(video.labels for video in videos)
        self.video = np.repeat(np.arange(len(videos)), sizes)
        self.label = np.fromiter(map(class_of.__getitem__, every_label), int, sum(sizes))
        self.segment = np.concatenate([np.reshape(v.segments, (-1, 2)) for v in videos])
        self.score = np.concatenate(
            [np.zeros(len(v.labels)) if v.scores is None else v.scores for v in videos]
        )

    def keep(self, rows: np.ndarray) -> None:
        """Take these rows, in this order."""
        self.video, self.label = self.video[rows], self.label[rows]
        self.segment, self.score = self.segment[rows], self.score[rows]


def _hits(found: _Flat, truth: _Flat, num_classes: int, thresholds: np.ndarray) -> np.ndarray:
    """Whether each detection finds a free segment of its video and class; ``(thresholds, N)``.

    Detections come from the best score down. A group is what one video has of one class; groups
    with equally many segments are computed together, their n-th detections at once.
    """
    hits = np.zeros((len(thresholds), len(found.label)), bool)
    group_of_truth = truth.video * num_classes + truth.label
    order = np.argsort(group_of_truth, kind='stable')
    groups, first, sizes = np.unique(group_of_truth[order], return_index=True, return_counts=True)
    wanted = found.video * num_classes + found.label
    group = np.minimum(np.searchsorted(groups, wanted), len(groups) - 1)
    rows_with_truth = np.flatnonzero(groups[group] == wanted)
    size_of_row = sizes[group[rows_with_truth]]
    for size in np.unique(size_of_row):
        rows = rows_with_truth[size_of_row == size]
        segments = truth.segment[order[first[group[rows]][:, None] + np.arange(size)]]
        overlap = paired_iou(found.segment[rows][:, None], segments)
        near = overlap.max(axis=1) >= thresholds.min()
        rows, overlap = rows[near], overlap[near]
        members, member = np.unique(group[rows], return_inverse=True)
        by_member = np.argsort(member, kind='stable')  # within one, still from the best score down
        counts = np.bincount(member, minlength=len(members))
        turn = np.arange(len(rows)) - np.repeat(counts.cumsum() - counts, counts)
        free = np.ones((len(members), len(thresholds), size), bool)
        in_turn = by_member[np.argsort(turn, kind='stable')]
        for now in np.split(in_turn, np.bincount(turn).cumsum()[:-1]) if len(rows) else ():
            open_to = np.where(free[member[now]], overlap[now][:, None], -1.0)
            best = open_to.argmax(axis=2)
            hit = np.take_along_axis(open_to, best[..., None], axis=2)[..., 0] >= thresholds
            hits[:, rows[now]] = hit.T
            at, threshold = np.nonzero(hit)
            free[member[now][at], threshold, best[at, threshold]] = False
    return hits


def _area(hits: np.ndarray, so_far: np.ndarray) -> np.ndarray:
    """Sum of interpolated precision over hits, of detections from the best score down; ``(R,)``.

    Args:
        hits: How often each detection that hits counts, ``(R, hits)``.
        so_far: How many detections there are up to it, likewise.
    """
    # precision rises at hits only, so the best one at this recall or any greater is at a hit
    precision = hits.cumsum(axis=1) / np.maximum(so_far, 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)
    return (best * hits[:, ::-1]).sum(axis=1)
