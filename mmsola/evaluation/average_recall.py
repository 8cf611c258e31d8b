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
        average = self.recall.mean(axis=0)
        # the trapezium rule; NumPy's name for it depends on its version
        area = ((average[1:] + average[:-1]) / 2 * np.diff(self.average_numbers)).sum()
        return 100 * float(area / self.average_numbers[-1])


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
    videos = [name for name, segments in ground_truth.items() if len(segments)]
    if not videos:
        raise ValueError('average recall: there is no annotated segment in any video.')
    total = sum(len(proposals.get(name, ())) for name in videos)
    ratio = max_avg_proposals * len(videos) / max(total, 1)
    # the greatest tIoU that each segment of a video (n) meets among its first proposals (given)
    best: list[np.ndarray] = []
    for name in videos:
        segments = np.asarray(ground_truth[name], float)[:, :2]
        found = np.asarray(proposals.get(name, ()), float).reshape(-1, 3)
        given = min(int(len(found) * ratio + ROUNDING), len(found))
        ranked = found[np.argsort(-found[:, 2], kind='stable')][:given]
        best.append(np.maximum.accumulate(temporal_iou(segments, ranked[:, :2]), axis=1))
    num_given = max(sum(so_far.shape[1] for so_far in best), 1)

    def recall_at(numbers: np.ndarray) -> np.ndarray:
        share = numbers * len(videos) / num_given
        met = []
        for so_far in best:
            given = so_far.shape[1]
            counted = np.minimum((given * share + ROUNDING).astype(int), given)
            none = np.zeros((len(so_far), 1))  # what no proposal meets
            met.append(np.concatenate([none, so_far], axis=1)[:, counted])
        overlap = np.concatenate(met)  # (segments, numbers)
        return np.stack([(overlap >= tiou - ROUNDING).mean(axis=0) for tiou in tiou_thresholds])

    numbers = np.arange(1, 101) / 100 * max_avg_proposals
    return AverageRecall(numbers, recall_at(numbers), recall_at)
