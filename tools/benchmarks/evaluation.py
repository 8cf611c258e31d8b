"""The metrics, at the size of ActivityNet's validation set."""

from __future__ import annotations

import numpy as np
from measure import Row, seconds, side_by_side
from mmaction.evaluation.functional.accuracy import (
    average_precision_at_temporal_iou,
    average_recall_at_avg_proposals,
)

from mmsola.evaluation.average_recall import average_recall
from mmsola.evaluation.detection_map import average_precision
from mmsola.structures.labelled_segments import LabelledSegments

THRESHOLDS = np.linspace(0.5, 0.95, 10)


def metrics(repeats: int, tiny: bool) -> list[Row]:
    """AR@AN with AUC, and mAP, of 100 proposals a video; MMAction2's functions are slow: 2 runs."""
    num_videos, num_classes = (20, 3) if tiny else (4728, 200)
    rng = np.random.default_rng(0)
    truth, proposals, of_class = {}, {}, {}
    for i in range(num_videos):
        # 1.6 segments a video, as in ActivityNet
        segments = np.sort(rng.random((rng.choice([1, 1, 1, 2, 3]), 2)) * 120, axis=1)
        found = np.sort(rng.random((100, 2)) * 120, axis=1)
        truth[f'v{i}'] = segments
        proposals[f'v{i}'] = np.column_stack([found, rng.random(100)])
        of_class[f'v{i}'] = f'class {rng.integers(num_classes)}'
    size = f'{num_videos:,} videos x 100'
    recall = Row(
        f'AR@AN and AUC, {size}', 's', before_is='MMAction2', after_is='ours', must='10x (50x)'
    )
    side_by_side(
        recall,
        lambda: seconds(
            lambda: average_recall_at_avg_proposals(
                truth, proposals, num_videos * 100, 100, THRESHOLDS
            )
        ),
        lambda: seconds(lambda: average_recall(truth, proposals)),
        min(repeats, 2),
        warm_up=False,
    )
    labelled = {
        name: LabelledSegments(segments, [of_class[name]] * len(segments))
        for name, segments in truth.items()
    }
    detections = {
        name: LabelledSegments(rows[:, :2], [of_class[name]] * len(rows), rows[:, 2])
        for name, rows in proposals.items()
    }
    # what MMAction2's function takes: one call a class, rows of text
    by_class: dict[str, tuple[dict, list]] = {label: ({}, []) for label in of_class.values()}
    for name, label in of_class.items():
        by_class[label][0][name] = truth[name]
        by_class[label][1].extend([name, label, *row] for row in proposals[name].tolist())
    precision = Row(
        f'detection mAP, {size}', 's', before_is='MMAction2', after_is='ours', must='10x (50x)'
    )
    side_by_side(
        precision,
        lambda: seconds(
            lambda: [
                average_precision_at_temporal_iou(segments, np.array(rows), THRESHOLDS)
                for segments, rows in by_class.values()
            ]
        ),
        lambda: seconds(lambda: average_precision(labelled, detections, THRESHOLDS)),
        min(repeats, 2),
        warm_up=False,
    )
    return [recall, precision]
