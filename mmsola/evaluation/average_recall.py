"""AR@AN and its AUC: how many segments the first few proposals of each video find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmsola.evaluation.temporal_iou import ROUNDING, temporal_iou

ACTIVITYNET_GRID = tuple(np.linspace(0.5, 0.95, 10).round(2))


@dataclass(frozen=True)
class AverageRecall:
    """Recall over the average number of proposals a video (AN).

    Attributes:
        average_numbers: ``(100,)``, AN in hundredths of its greatest value.
        recall: ``(thresholds, 100)``, in [0, 1].
    """

    average_numbers: np.ndarray
    recall: np.ndarray

    def at(self, average_number: float) -> float:
        """AR@AN in percent, a mean over tIoU thresholds; the greatest AN there is at most."""
        reached = int(np.searchsorted(self.average_numbers, average_number - ROUNDING))
        return 100 * float(self.recall[:, min(reached, len(self.average_numbers) - 1)].mean())

    @property
    def auc(self) -> float:
        """Area under AR over AN, in percent of the greatest possible, as ActivityNet has it."""
        average = self.recall.mean(axis=0)
        # the trapezium rule; NumPy's name for it depends on its version
        area = ((average[1:] + average[:-1]) / 2 * np.diff(self.average_numbers)).sum()
        return 100 * float(area / self.average_numbers[-1])


def average_recall(
    ground_truth: Mapping[str, np.ndarray],
    proposals: Mapping[str, np.ndarray],
    tiou_thresholds: Sequence[float] = ACTIVITYNET_GRID,
    max_avg_proposals: int = 100,
) -> AverageRecall:
    """Recall of ActivityNet's proposal task, equal to MMAction2's where that is right.

    For each AN, every video gives the same share of its proposals, so that AN are given on average.

    MMAction2's ``average_recall_at_avg_proposals`` differs from this in four places: it takes 28
    proposals of 100 for AN = 29 (100 * 0.29 is a hair below 29); it compares in single precision,
    where 0.7 is below 0.7; it stops at a video without proposals or without segments, or with no
    proposals at all; and its order of equal scores is that of an unstable sort.

    Args:
        ground_truth: Segments ``(N, 2)`` of each video. One without any is not part of this task.
        proposals: ``(M, 3)`` of start, end, score of each video; one that is not there has none.
        tiou_thresholds: A segment is found by a proposal of at least this tIoU.
        max_avg_proposals: The greatest AN.

    Raises:
        ValueError: There is no segment at all.
    """
    videos = [name for name, segments in ground_truth.items() if len(segments)]
    if not videos:
        raise ValueError('average recall: there is no annotated segment in any video.')
    average_numbers = np.arange(1, 101) / 100 * max_avg_proposals
    total = sum(len(proposals.get(name, ())) for name in videos)
    # the greatest tIoU that each segment meets among the proposals given, for each AN
    best = []
    ratio = max_avg_proposals * len(videos) / max(total, 1)
    given = {
        name: min(
            int(len(proposals.get(name, ())) * ratio + ROUNDING), len(proposals.get(name, ()))
        )
        for name in videos
    }
    share = average_numbers * len(videos) / max(sum(given.values()), 1)
    for name in videos:
        segments = np.asarray(ground_truth[name], float)[:, :2]
        if not given[name]:
            best.append(np.zeros((len(segments), 100)))
            continue
        ranked = proposals[name][np.argsort(-proposals[name][:, 2], kind='stable')][: given[name]]
        so_far = np.maximum.accumulate(temporal_iou(segments, ranked[:, :2]), axis=1)
        taken = np.minimum((given[name] * share + ROUNDING).astype(int), given[name])
        best.append(np.where(taken > 0, so_far[:, np.maximum(taken, 1) - 1], 0.0))
    met = np.concatenate(best)
    recall = np.stack([(met >= tiou - ROUNDING).mean(axis=0) for tiou in tiou_thresholds])
    return AverageRecall(average_numbers, recall)
