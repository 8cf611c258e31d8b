"""AR@AN, AUC and mAP of a localizer, for videos of any name."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from mmaction.registry import METRICS
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmsola.datasets.annotations import load_annotations
from mmsola.evaluation.average_recall import ACTIVITYNET_GRID, average_recall, distinct_proposals
from mmsola.evaluation.classified_proposals import ProposalClasses
from mmsola.evaluation.conventions import Convention
from mmsola.evaluation.detection_map import average_precision
from mmsola.evaluation.measured_videos import MeasuredVideos, MeasuredWith
from mmsola.files.name_match import match_names, rules_used
from mmsola.messages.first_few import first_few
from mmsola.structures.labelled_segments import (
    LabelledSegments,
    all_labelled,
    annotated_segments,
    labels_of,
    of_one_class,
)
from mmsola.structures.submission import write_submission
from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL
from mmsola.structures.window_merging import merge_windows, predicted_segments

_USUAL_NUMBERS = (1, 5, 10, 50, 100)


class MetricError(ValueError):
    """Settings of the evaluation, or results, that cannot be measured."""


@METRICS.register_module()
class LocalizationMetric(BaseMetric):
    """AR@AN, AUC and mAP in percent, from proposals or detections of any of MMAction2's localizers.

    Extends MMAction2's ``ANetMetric``, which cuts two letters off every name and knows no mAP.

    A proposal without a ``label`` becomes detections of the video's best classes where class scores
    are given; else all segments count as one class, and so does every proposal. What is reported
    then is ``class_agnostic_AP``: it is no ``mAP``, and must not be compared with one.

    A proposal with several classes is one proposal for AR and AUC.

    Results of one video may come in parts, from windows of it: they are merged by soft-NMS.

    Args:
        tiou_thresholds: Of average recall; ActivityNet's 0.5:0.05:0.95.
        map_tiou_thresholds: Of mAP; the same. THUMOS14 has 0.3:0.1:0.7.
        average_numbers: AN at which AR is reported; 1, 5, 10, 50 and 100, up to max_proposals.
        max_proposals: Proposals of a video that count, the best ones, and the greatest AN. The AUC
            counts up to it, so it differs with it.
        class_scores: ``dict(file=..., top_k=1, multiply=False)``, a file of video-level scores (see
            :class:`ClassScores`), how many classes a proposal gets, and whether their scores are
            multiplied with the proposal's; ``multiply='root'`` is the root of the product, as
            in ActionFormer. The default is MMAction2's ``report_map``.
        class_agnostic: Count all segments as one class even where proposals have labels.
        per_class: Report the mean AP of each class as well.
        merge: Soft-NMS over the parts of a video: ``alpha``, and the tIoU above which it decays.
        ann_file: Take ground truth from this annotation file and not from the data samples, which
            lack what a data set left out. Videos without results count as missed.
        subset: Its subset.
        convention: Which segments count: ``'activitynet'``, ``'opentad'`` or ``'actionformer'``
            (:class:`Convention`).
        ignored_classes: Classes that are no part of the task, such as THUMOS14's ``'Ambiguous'``.
        blocked_videos: Videos that do not count: names, or a json file with a list of them.
        out_file: Write ActivityNet's submission json here.
        strip_prefix: Cut this off the names in it, for example ``'v_'``.
        measured_file: Keep in this npz file what was measured last, for a bootstrap over videos
            (:class:`MeasuredVideos`).

    Raises:
        MetricError: A setting that cannot be, such as an AN above max_proposals; no result at all,
            or only of other videos; labels of which none is an annotated class.
        ValueError: A result without numbers, or with a reversed segment.
        ClassScoreError: Class scores that fit neither videos nor classes.
        ConventionError: There is no such convention, or a bad list of blocked videos.

    Examples:
        >>> truth = {'a': LabelledSegments(np.array([[1.0, 4.0]]), ['jump'])}
        >>> segments, scores = np.array([[1.0, 4.0], [6.0, 8.0]]), np.array([0.9, 0.3])
        >>> found = {'a': LabelledSegments(segments, ['jump', 'jump'], scores)}
        >>> LocalizationMetric().measure(truth, found)['mAP']
        100.0
    """

    default_prefix = 'loc'

    def __init__(
        self,
        tiou_thresholds: Sequence[float] = ACTIVITYNET_GRID,
        map_tiou_thresholds: Sequence[float] = ACTIVITYNET_GRID,
        average_numbers: Sequence[int] | None = None,
        max_proposals: int = 100,
        class_scores: dict | None = None,
        class_agnostic: bool = False,
        per_class: bool = False,
        merge: dict | None = None,
        ann_file: str | None = None,
        subset: str | Sequence[str] | None = None,
        convention: str = 'activitynet',
        ignored_classes: Sequence[str] = (),
        blocked_videos: str | Sequence[str] = (),
        out_file: str | None = None,
        strip_prefix: str = '',
        measured_file: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        for key, values in (
            ('tiou_thresholds', tiou_thresholds),
            ('map_tiou_thresholds', map_tiou_thresholds),
        ):
            if not len(values) or not all(0 < value <= 1 for value in values):
                raise MetricError(
                    f'LocalizationMetric: {key} are numbers above 0 and up to 1, got {values}.'
                )
        if class_scores is not None and class_agnostic:
            raise MetricError(
                'LocalizationMetric: class_scores label proposals, class_agnostic counts them '
                'without labels; leave one of them out.'
            )
        self.tiou_thresholds = tuple(tiou_thresholds)
        self.map_tiou_thresholds = tuple(map_tiou_thresholds)
        if average_numbers is None:
            average_numbers = [number for number in _USUAL_NUMBERS if number <= max_proposals]
        if not all(0 < number <= max_proposals for number in average_numbers):
            raise MetricError(
                f'LocalizationMetric: average_numbers are {tuple(average_numbers)}, but of a video '
                f'max_proposals={max_proposals} count at most; leave out what lies above, or raise '
                'max_proposals.'
            )
        self.average_numbers = tuple(average_numbers)
        self.max_proposals = max_proposals
        self.class_agnostic = class_agnostic
        self.per_class = per_class
        self.merge = {'alpha': 0.4, 'tiou': 0.5, **(merge or {})}
        self.out_file = out_file
        self.strip_prefix = strip_prefix
        self.measured_file = measured_file
        options = dict(class_scores or {})
        unknown = sorted(options.keys() - {'file', 'top_k', 'multiply'})
        if unknown:
            raise MetricError(
                f'LocalizationMetric: class_scores has file, top_k and multiply, not {unknown}.'
            )
        self.proposal_classes = ProposalClasses(**options) if options else None
        self.convention = Convention(convention, ignored_classes, blocked_videos)
        self._ground_truth: dict[str, LabelledSegments] | None = None
        if ann_file is not None:
            records = load_annotations(ann_file, subset=subset, on_bad_segment='keep').records
            truths = {record.name: annotated_segments(record) for record in records}
            self._ground_truth = {n: truth for n, truth in truths.items() if truth is not None}
            self._check_class_scores(self.convention.ground_truth(self._ground_truth))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the results of a batch, and the segments its data samples carry."""
        samples = data_batch['data_samples'] if isinstance(data_batch, dict) else []
        for i, result in enumerate(data_samples):
            name = result['video_name']
            entry: dict[str, Any] = {'video_name': name, 'found': predicted_segments(result)}
            if self._ground_truth is None:
                metainfo = samples[i].metainfo if i < len(samples) else {}
                if 'annotations' not in metainfo:
                    raise MetricError(
                        f'{name}: its data sample carries no annotations; add "annotations" to '
                        'meta_keys of the packing transform, or set ann_file.'
                    )
                entry['annotations'] = [
                    (*map(float, a['segment']), str(a['label'])) for a in metainfo['annotations']
                ]
            # what every process sends to the first one
            self.results.append(entry)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The figures over all videos."""
        if not results:
            raise MetricError(
                'LocalizationMetric: there are results of no video; the data set of the evaluation '
                'is empty, or the model returned nothing.'
            )
        proposals = self.merged((entry['video_name'], entry['found']) for entry in results)
        ground_truth = self._ground_truth
        if ground_truth is None:
            self._warn_about_left_out()
            ground_truth = {}
            for entry in results:
                rows = entry['annotations']
                ground_truth[entry['video_name']] = LabelledSegments(
                    np.array([row[:2] for row in rows], float).reshape(-1, 2),
                    [row[2] for row in rows],
                )
        return self.measure(ground_truth, proposals)

    def measure(
        self,
        ground_truth: Mapping[str, LabelledSegments],
        proposals: Mapping[str, LabelledSegments],
    ) -> dict[str, float]:
        """Measure proposals (label ``''`` where they have none) against ground truth, by video."""
        matched = match_names(proposals, ground_truth)
        if matched:
            print_log(f'LocalizationMetric: {rules_used(matched)}', 'current')
            proposals = {matched.get(name, name): found for name, found in proposals.items()}
        ground_truth = self.convention.ground_truth(ground_truth)
        proposals = self.convention.results(proposals)
        print_log(f'LocalizationMetric: {self.convention}', 'current')
        outside = [name for name in proposals if name not in ground_truth]
        _warn_about(
            outside, len(proposals), 'videos with results are not in the ground truth; left out'
        )
        empty = [
            name
            for name in ground_truth
            if name not in proposals or not len(proposals[name].labels)
        ]
        _warn_about(
            empty, len(ground_truth), 'videos have no proposal; their segments count as missed'
        )
        detections = self._detections(ground_truth, proposals)
        if self.out_file is not None:
            self._write(detections)
        if proposals and len(outside) == len(proposals):
            raise MetricError(
                f'LocalizationMetric: of {len(outside)} videos with results none is in the ground '
                f'truth; found {first_few(map(repr, outside))}, expected '
                f'{first_few(map(repr, ground_truth))}. Correct ann_file and subset of '
                'the evaluator.'
            )
        if not any(len(truth.labels) for truth in ground_truth.values()):
            print_log(
                'LocalizationMetric: no video has an annotated segment, so there is nothing to '
                'measure.',
                'current',
                logging.WARNING,
            )
            return {}
        is_agnostic = self._is_agnostic(ground_truth, detections)
        if self.measured_file is not None and is_main_process():
            MeasuredVideos(
                ground_truth,
                proposals,
                detections,
                MeasuredWith(
                    self.tiou_thresholds,
                    self.map_tiou_thresholds,
                    self.max_proposals,
                    is_agnostic,
                ),
            ).write(self.measured_file)
        return {
            **self._recall_figures(ground_truth, proposals),
            **self._precision_figures(ground_truth, detections, is_agnostic),
        }

    def _recall_figures(
        self,
        ground_truth: Mapping[str, LabelledSegments],
        proposals: Mapping[str, LabelledSegments],
    ) -> dict[str, float]:
        recall = average_recall(
            {name: truth.segments for name, truth in ground_truth.items()},
            {name: distinct_proposals(found) for name, found in proposals.items()},
            self.tiou_thresholds,
            self.max_proposals,
        )
        figures = {'AUC': recall.auc}
        for number in self.average_numbers:
            figures[f'AR@{number}'] = recall.at(number)
        return figures

    def _is_agnostic(
        self,
        ground_truth: Mapping[str, LabelledSegments],
        detections: Mapping[str, LabelledSegments],
    ) -> bool:
        """Whether all segments count as one class."""
        found_classes = labels_of(detections) - {''}
        # a file of results names what has no label 'action', so these are one and the same
        is_agnostic = self.class_agnostic or not found_classes - {CLASS_AGNOSTIC_LABEL}
        if not is_agnostic:
            self._check_classes(found_classes, labels_of(ground_truth))
        return is_agnostic

    def _precision_figures(
        self,
        ground_truth: Mapping[str, LabelledSegments],
        detections: Mapping[str, LabelledSegments],
        is_agnostic: bool,
    ) -> dict[str, float]:
        precision = average_precision(
            of_one_class(ground_truth) if is_agnostic else ground_truth,
            of_one_class(detections) if is_agnostic else all_labelled(detections),
            self.map_tiou_thresholds,
        )
        mean = 100 * np.mean(list(precision.values()), axis=0)
        key = 'class_agnostic_AP' if is_agnostic else 'mAP'
        figures = {key: float(mean.mean())}
        for tiou, value in zip(self.map_tiou_thresholds, mean):
            figures[f'{key}@{tiou:.2f}'] = float(value)
        if self.per_class:
            for label, values in precision.items():
                figures[f'AP/{label}'] = 100 * float(values.mean())
        return figures

    def merged(
        self, windows: Iterable[tuple[str, LabelledSegments]]
    ) -> dict[str, LabelledSegments]:
        """The best ``max_proposals`` of each video, of all its windows."""
        return merge_windows(windows, **self.merge, max_segments=self.max_proposals)

    def _detections(
        self,
        ground_truth: Mapping[str, LabelledSegments],
        proposals: Mapping[str, LabelledSegments],
    ) -> dict[str, LabelledSegments]:
        if self.proposal_classes is None:
            return dict(proposals)
        if self._ground_truth is None:
            self._check_class_scores(ground_truth)
        return self.proposal_classes.detections(proposals)

    def _check_classes(self, found: set[str], annotated: set[str]) -> None:
        """A figure of detections that cannot be right is no figure."""
        odd = sorted(found - annotated)
        if not found & annotated:
            found_names, names = (
                first_few(map(repr, labels)) for labels in (odd, sorted(annotated))
            )
            raise MetricError(
                f'LocalizationMetric: no detection has a class of the ground truth; found '
                f'{found_names}, expected {names}. Name the classes as the '
                'annotations do, or count all as one with class_agnostic=True.'
            )
        _warn_about(odd, len(found), 'classes of detections are not in the ground truth')

    def _warn_about_left_out(self) -> None:
        """Report beside the figures what the data set's own ground truth lacks."""
        left_out = (self.dataset_meta or {}).get('left_out') or {}
        reasons = ', '.join(f'{count} {reason}' for reason, count in left_out.items() if count)
        if reasons:
            print_log(
                'LocalizationMetric: the ground truth is what the data set kept of it; it left out '
                f'{reasons}, which do not count as missed. Set ann_file and subset of the '
                'evaluator to measure against the annotation file.',
                'current',
                logging.WARNING,
            )

    def _check_class_scores(self, ground_truth: Mapping[str, LabelledSegments]) -> None:
        if self.proposal_classes is not None:
            file = self.proposal_classes.scores.file
            missing = self.proposal_classes.missing(ground_truth)
            _warn_about(missing, len(ground_truth), f'videos have no class scores in {file}')

    def _write(self, detections: Mapping[str, LabelledSegments]) -> None:
        if not is_main_process():
            return
        assert self.out_file is not None
        write_submission(self.out_file, detections, self.strip_prefix)
        print_log(f'Results of {len(detections)} videos are written to {self.out_file}.', 'current')


def _warn_about(names: Sequence[str], total: int, what: str) -> None:
    if names:
        print_log(
            f'LocalizationMetric: {len(names)} of {total} {what}: {first_few(names)}',
            'current',
            logging.WARNING,
        )
