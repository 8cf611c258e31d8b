"""What a localizer's evaluation measured, kept in a file, and its figures for any of its videos."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmsola.atomic import replacing
from mmsola.evaluation.average_recall import FoundSegments, distinct_proposals
from mmsola.evaluation.detection_map import MatchedDetections
from mmsola.structures.labelled_segments import LabelledSegments, all_labelled, of_one_class

Videos = Mapping[str, LabelledSegments]

_AT_ONCE = 100  # resamples whose sums are in memory together
_RECALL_AT = re.compile(r'AR@(\d+)')
_PRECISION = re.compile(r'(mAP|class_agnostic_AP)(?:@(\d\.\d\d))?')


class MeasuredVideosError(ValueError):
    """A file of measured videos that cannot be used, or a figure that is not in it."""


@dataclass(frozen=True)
class MeasuredWith:
    """Settings of the :class:`LocalizationMetric` that its figures depend on."""

    tiou_thresholds: Sequence[float]
    map_tiou_thresholds: Sequence[float]
    max_proposals: int
    class_agnostic: bool


class MeasuredVideos:
    """Ground truth, proposals and detections of the videos of one evaluation, as they were counted.

    Args:
        ground_truth: Segments that count, by video.
        proposals: With scores, by video.
        detections: The same with classes, by video; may be ``proposals``.
        measured_with: How they were measured.

    Examples:
        >>> truth = {name: LabelledSegments(np.array([[1.0, 4.0]]), ['jump']) for name in 'ab'}
        >>> found = {'a': LabelledSegments(np.array([[1.0, 4.0]]), ['jump'], np.ones(1))}
        >>> measured = MeasuredVideos(
        ...     truth, found, found, MeasuredWith((0.5,), (0.5,), 10, class_agnostic=False)
        ... )
        >>> measured.figures(['mAP', 'AR@10'], times=np.array([[1, 1], [2, 0]])).tolist()
        [[50.0, 50.0], [100.0, 100.0]]
    """

    def __init__(
        self,
        ground_truth: Videos,
        proposals: Videos,
        detections: Videos,
        measured_with: MeasuredWith,
    ) -> None:
        self.ground_truth = dict(ground_truth)
        self.proposals = proposals
        self.detections = detections
        self.measured_with = measured_with

    @property
    def names(self) -> list[str]:
        """The scored videos, in the order of the ground truth."""
        return list(self.ground_truth)

    def figures(self, figures: Sequence[str], times: np.ndarray) -> np.ndarray:
        """Figures ``(R, figures)`` in percent where each video counts so many times.

        Args:
            figures: ``AUC``, ``AR@<AN>``, and ``mAP`` or ``class_agnostic_AP``, of which
                ``mAP@0.50`` is at one threshold.
            times: How often each of :attr:`names` counts, ``(R, videos)``.

        Returns:
            NaN where no video that counts has a segment.

        Raises:
            MeasuredVideosError: A figure was not measured.
        """
        for figure in figures:
            self._check(figure)
        times = np.asarray(times, float)
        parts = np.array_split(times, max(1, -(-len(times) // _AT_ONCE)))
        found, matched = self._found_segments(), self._matched_detections()
        return np.concatenate([self._figures(figures, part, found, matched) for part in parts])

    def write(self, file: str | Path) -> None:
        """Write a npz file, whole or not at all."""
        arrays: dict[str, Any] = {'settings': np.array(json.dumps(asdict(self.measured_with)))}
        arrays['videos'] = np.array(self.names, dtype=str)
        for key in ('ground_truth', 'proposals', 'detections'):
            for column, values in _columns(self.names, getattr(self, key)).items():
                arrays[f'{key}_{column}'] = values
        with replacing(file) as partial, partial.open('wb') as stream:
            np.savez_compressed(stream, **arrays)

    @classmethod
    def read(cls, file: str | Path) -> MeasuredVideos:
        """Read what :meth:`write` wrote.

        Raises:
            MeasuredVideosError: The file is missing, or is no such file.
        """
        if not Path(file).is_file():
            raise MeasuredVideosError(
                f'{file}: does not exist\n  expected: what LocalizationMetric measured\n'
                '  fix: set measured_file of the evaluator, and validate again'
            )
        try:
            with np.load(file, allow_pickle=False) as content:
                settings = json.loads(str(content['settings']))
                names = content['videos'].tolist()
                truth, proposals, detections = (
                    _videos(names, {column: content[f'{key}_{column}'] for column in _COLUMNS})
                    for key in ('ground_truth', 'proposals', 'detections')
                )
            return cls(truth, proposals, detections, MeasuredWith(**settings))
        except (
            *(OSError, EOFError, KeyError, IndexError, TypeError, ValueError),
            zipfile.BadZipFile,
        ) as error:
            raise MeasuredVideosError(
                f'{file}: cannot be read ({error})\n  expected: what LocalizationMetric measured\n'
                '  fix: remove the run, and train it again'
            ) from error

    def _check(self, figure: str) -> None:
        recall, precision = _RECALL_AT.fullmatch(figure), _PRECISION.fullmatch(figure)
        with_ = self.measured_with
        key = 'class_agnostic_AP' if with_.class_agnostic else 'mAP'
        if recall:
            known = 0 < int(recall[1]) <= with_.max_proposals
        elif precision:
            known = precision[1] == key and (precision[2] is None or _threshold(figure, with_) >= 0)
        else:
            known = figure == 'AUC'
        if not known:
            raise MeasuredVideosError(
                f'{figure}: no figure of measured videos\n  expected: AUC, AR@<AN up to '
                f'{with_.max_proposals}>, {key}, or {key}@<one of {with_.map_tiou_thresholds}>\n'
                '  fix: correct the figure'
            )

    def _found_segments(self) -> FoundSegments | None:
        if not any(len(truth.labels) for truth in self.ground_truth.values()):
            return None
        return FoundSegments(
            {name: truth.segments for name, truth in self.ground_truth.items()},
            {name: distinct_proposals(found) for name, found in self.proposals.items()},
            self.measured_with.tiou_thresholds,
            self.measured_with.max_proposals,
        )

    def _matched_detections(self) -> MatchedDetections:
        one_class = self.measured_with.class_agnostic
        return MatchedDetections(
            of_one_class(self.ground_truth) if one_class else self.ground_truth,
            of_one_class(self.detections) if one_class else all_labelled(self.detections),
            self.measured_with.map_tiou_thresholds,
        )

    def _figures(
        self,
        figures: Sequence[str],
        times: np.ndarray,
        found: FoundSegments | None,
        matched: MatchedDetections,
    ) -> np.ndarray:
        columns = np.full((len(figures), len(times)), np.nan)
        if found is None:
            return columns.T
        precision = None
        for column, figure in zip(columns, figures):
            recall = _RECALL_AT.fullmatch(figure)
            if recall:
                number = np.array([int(recall[1])], float)
                column[:] = 100 * found.recall_at(number, times).mean(axis=(1, 2))
            elif figure == 'AUC':
                column[:] = found.auc(times)
            else:
                if precision is None:
                    precision = 100 * _mean_over_classes(matched.average_precision(times))
                threshold = _threshold(figure, self.measured_with)
                column[:] = precision.mean(axis=1) if threshold < 0 else precision[:, threshold]
        return columns.T


_COLUMNS = ('video', 'segments', 'labels', 'scores')


def _columns(names: Sequence[str], videos: Videos) -> dict[str, np.ndarray]:
    """The segments of these videos as arrays, one row a segment."""
    chosen = [(i, videos[name]) for i, name in enumerate(names) if name in videos]
    sizes = [len(video.labels) for _, video in chosen]
    empty = np.zeros((0, 2))
    return {
        'video': np.repeat(np.array([i for i, _ in chosen], int), sizes),
        'segments': np.concatenate([empty, *(np.reshape(v.segments, (-1, 2)) for _, v in chosen)]),
        'labels': np.array([label for _, video in chosen for label in video.labels], dtype=str),
        'scores': np.concatenate(
            [
                empty[:, 0],
                *(np.zeros(len(v.labels)) if v.scores is None else v.scores for _, v in chosen),
            ]
        ),
    }


def _videos(names: Sequence[str], columns: Mapping[str, np.ndarray]) -> dict[str, LabelledSegments]:
    video = columns['video']
    if not all(len(columns[key]) == len(video) for key in _COLUMNS):
        raise ValueError('its columns have different lengths')
    order = np.argsort(video, kind='stable')
    parts = np.searchsorted(video[order], np.arange(len(names) + 1))
    found = {}
    for i, name in enumerate(names):
        rows = order[parts[i] : parts[i + 1]]
        found[name] = LabelledSegments(
            columns['segments'][rows], columns['labels'][rows].tolist(), columns['scores'][rows]
        )
    return found


def _mean_over_classes(precision: np.ndarray) -> np.ndarray:
    """Mean ``(R, thresholds)`` over the classes that have a segment; NaN if none has."""
    annotated = ~np.isnan(precision)
    if annotated.all():
        return precision.mean(axis=1)
    counts = annotated.sum(axis=1)
    total = np.where(annotated, precision, 0).sum(axis=1)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def _threshold(figure: str, measured_with: MeasuredWith) -> int:
    """Index of the threshold in ``mAP@0.50``; -1 where there is none, or no such one."""
    at = figure.partition('@')[2]
    names = [f'{tiou:.2f}' for tiou in measured_with.map_tiou_thresholds]
    return names.index(at) if at in names else -1
