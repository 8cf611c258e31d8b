"""AR@AN and its AUC: how many segments the first few proposals of each video find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.structures.temporal_iou import ROUNDING, temporal_iou

ACTIVITYNET_GRID = tuple(np.linspace(0.5, 0.95, 10).round(2))


@dataclass(frozen=True)
class AverageRecall:
    """Recall over the average number of proposals a video (AN).

    Attributes:
        average_numbers: ``(100,)``, AN in hundredths of its greatest value.
        recall: ``(thresholds, 100)``, in [0, 1].
        recall_at: From any AN ``(N,)`` to its recall ``(thresholds, N)``.
    """

    average_numbers: np.ndarray
    recall: np.ndarray
    recall_at: Callable[[np.ndarray], np.ndarray]

    def at(self, average_number: float) -> float:
        """AR@AN in percent, a mean over tIoU thresholds, at just this AN.

        Raises:
            ValueError: It is not above 0, or above the greatest AN.
        """
        greatest = self.average_numbers[-1]
        if not 0 < average_number <= greatest + ROUNDING:
            raise ValueError(
                f'average recall: AN are above 0 and up to {greatest:g}, got {average_number:g}; '
                'raise max_avg_proposals to go beyond.'
            )
        return 100 * float(self.recall_at(np.array([average_number], float)).mean())

    @property
    def auc(self) -> float:
        """Area under AR over AN, in percent of the greatest possible, as ActivityNet has it."""
        return float(_area(self.recall[None], self.average_numbers)[0])


def distinct_proposals(found: LabelledSegments) -> np.ndarray:
    """Proposals ``(N, 3)`` of start, end, score; one with several classes counts once, its best."""
    assert found.scores is not None
    rows = np.concatenate([found.segments, found.scores[:, None]], axis=1)
    if len(set(found.labels)) < 2:
        return rows
    seen: Counter[tuple] = Counter()
    best: dict[tuple, int] = {}
    for i, (start, end, score) in enumerate(rows.tolist()):
        # the second time of one class it is another proposal
        key = (start, end, seen[start, end, found.labels[i]])
        seen[start, end, found.labels[i]] += 1
        if key not in best or score > rows[best[key], 2]:
            best[key] = i
    return rows[list(best.values())]


def average_recall(
    ground_truth: Mapping[str, np.ndarray],
    proposals: Mapping[str, np.ndarray],
    tiou_thresholds: Sequence[float] = ACTIVITYNET_GRID,
    max_avg_proposals: int = 100,
) -> AverageRecall:
    """Recall of ActivityNet's proposal task, equal to MMAction2's where that is right.

    For each AN, every video gives the same share of its proposals, so that AN are given on average.

    MMAction2's ``average_recall_at_avg_proposals`` differs from this in four ways: it counts 28
    proposals of 100 for AN = 29 (100 * 0.29 is a hair below 29); it compares in single precision,
    where 0.7 is below 0.7; it stops at a video without proposals or without segments, or with no
    proposals at all; and its order of equal scores is that of an unstable sort.

    Args:
        ground_truth: Segments ``(N, 2)`` of each video. One without any is not part of this task.
        proposals: ``(M, 3)`` of start, end, score of each video; a video that is missing has none.
        tiou_thresholds: A segment is found by a proposal of at least this tIoU.
        max_avg_proposals: The greatest AN.

    Raises:
        ValueError: There is no segment at all.
    """
    found = FoundSegments(ground_truth, proposals, tiou_thresholds, max_avg_proposals)
    once = np.ones((1, len(ground_truth)))

    def recall_at(numbers: np.ndarray) -> np.ndarray:
        return found.recall_at(numbers, once)[0]

    return AverageRecall(found.average_numbers, recall_at(found.average_numbers), recall_at)


class FoundSegments:
    """How many segments the first proposals find: what average recall is made of, for any videos.

    Args:
        ground_truth: As for :func:`average_recall`.
        proposals: As there.
        tiou_thresholds: As there.
        max_avg_proposals: As there.

    Attributes:
        average_numbers: ``(100,)``, AN in hundredths of its greatest value.

    Raises:
        ValueError: There is no segment at all.
    """

    def __init__(
        self,
        ground_truth: Mapping[str, np.ndarray],
        proposals: Mapping[str, np.ndarray],
        tiou_thresholds: Sequence[float],
        max_avg_proposals: int,
    ) -> None:
        self._num_segments = np.array([len(segments) for segments in ground_truth.values()])
        if not self._num_segments.any():
            raise ValueError('average recall: there is no annotated segment in any video.')
        self.average_numbers = np.arange(1, 101) / 100 * max_avg_proposals
        self._greatest = max_avg_proposals
        self._num_proposals = np.array([len(proposals.get(name, ())) for name in ground_truth])
        least = np.asarray(tiou_thresholds, float) - ROUNDING
        # of a video, how many segments its first n proposals find, (thresholds, 1 + proposals)
        self._found: list[np.ndarray] = []
        for name, segments in ground_truth.items():
            rows = np.asarray(proposals.get(name, ()), float).reshape(-1, 3)
            ranked = rows[np.argsort(-rows[:, 2], kind='stable')]
            overlap = temporal_iou(np.asarray(segments, float).reshape(-1, 2), ranked[:, :2])
            best = np.maximum.accumulate(overlap, axis=1)
            found = [(best >= tiou).sum(axis=0) for tiou in least]
            self._found.append(np.pad(np.stack(found), ((0, 0), (1, 0))))  # no proposal, none found

    def recall_at(self, numbers: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Recall ``(R, thresholds, numbers)`` where each video counts so many times.

        It is that of ground truth and proposals which hold a video as often.

        Args:
            numbers: AN, ``(numbers,)``.
            times: How often each video counts, ``(R, videos)``, in the order of the ground truth.

        Returns:
            NaN where no video that counts has a segment.
        """
        times = times * (self._num_segments > 0)  # others are not part of this task
        num_videos, num_segments = times.sum(axis=1), times @ self._num_segments
        ratio = self._greatest * num_videos / np.maximum(times @ self._num_proposals, 1)
        given = (self._num_proposals * ratio[:, None] + ROUNDING).astype(int)
        given = np.minimum(given, self._num_proposals)  # (R, videos)
        num_given = np.maximum((times * given).sum(axis=1), 1)
        share = numbers * num_videos[:, None] / num_given[:, None]  # (R, numbers)
        found = np.zeros((len(self._found[0]), len(times), len(numbers)))
        for i in np.flatnonzero(times.any(axis=0)):
            of_video = given[:, i, None]
            counted = np.minimum((of_video * share + ROUNDING).astype(int), of_video)
            found += times[:, i, None] * self._found[i][:, counted]
        with np.errstate(invalid='ignore'):
            return (found / num_segments[:, None]).swapaxes(0, 1)

    def auc(self, times: np.ndarray) -> np.ndarray:
        """:attr:`AverageRecall.auc` ``(R,)``; ``times`` as for :meth:`recall_at`."""
        return _area(self.recall_at(self.average_numbers, times), self.average_numbers)


def _area(recall: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Area ``(R,)`` under recall ``(R, thresholds, numbers)``, in percent of the greatest."""
    average = recall.mean(axis=1)
    # the trapezium rule; NumPy's name for it depends on its version
    area = ((average[:, 1:] + average[:, :-1]) / 2 * np.diff(numbers)).sum(axis=1)
    return 100 * area / numbers[-1]
