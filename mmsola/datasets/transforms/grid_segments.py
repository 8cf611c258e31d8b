"""What one-stage localizers learn from: segments in grid units, and their classes."""

from __future__ import annotations

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from mmsola.datasets.transforms.snippet_grid import clipped_to, margin_of, num_snippets_of
from mmsola.structures.video_record import ROUNDING_SEC


@TRANSFORMS.register_module()
class GenerateGridSegments(BaseTransform):
    """Segments of a video in grid units, with their class indices.

    ``x = (t - snippet_span_sec[0]) / (snippet_span_sec[1] - snippet_span_sec[0]) * T - 0.5``, which
    is ActionFormer's ``t * fps / stride - 0.5 * num_frames / stride``. All options are off unless
    set; ActionFormer's settings for ActivityNet are ``min_length_sec=1e-3``,
    ``drop_duplicates=True`` and ``clip=True``.

    Required keys: ``video_name``, ``num_snippets`` (or ``raw_feature``, or ``read_snippets``, whose
    length counts before), ``snippet_span_sec``; ``annotations`` with ``segment`` and
    ``class_index``, which is 0 where a data set has none; ``window_strides`` where ``clip`` is
    set; ``min_covered`` where the data set cuts windows.
    Added keys: ``grid_sec``, the time of x = 0 and from one grid point to the next, in seconds;
    ``gt_segments`` ``(N, 2)`` float32 in grid units and ``gt_labels`` ``(N,)`` int64, if the video
    is annotated, ``(0, 2)`` and ``(0,)`` where it holds no action.

    Args:
        min_length_sec: Shorter segments are left out.
        drop_duplicates: Leave out a segment whose class, start and end are those of one before, to
            1 ms.
        clip: Clip segments to half a window of a snippet before the first grid point and after the
            last snippet, ``[-0.5, T + 0.5]`` for resized features, and leave out those of which
            less than ``min_covered`` remains. Windows of a data set that cuts them always are.
        min_covered: Share of a segment that must remain; a window's is that of its data set.

    Raises:
        ValueError: Where the snippets lie in time is not known.

    Examples:
        >>> video = dict(video_name='a', num_snippets=20, snippet_span_sec=(0.0, 10.0))
        >>> jump = dict(segment=[2.0, 4.0], class_index=1)
        >>> GenerateGridSegments()(dict(video, annotations=[jump]))['gt_segments']
        array([[3.5, 7.5]], dtype=float32)
    """

    def __init__(
        self,
        min_length_sec: float = 0.0,
        drop_duplicates: bool = False,
        clip: bool = False,
        min_covered: float = 0.5,
    ) -> None:
        if min_length_sec < 0 or not 0 <= min_covered <= 1:
            raise ValueError(
                f'{type(self).__name__}: expected min_length_sec >= 0 and 0 <= min_covered <= 1, '
                f'got min_length_sec={min_length_sec}, min_covered={min_covered}.'
            )
        self.min_length_sec = min_length_sec
        self.drop_duplicates = drop_duplicates
        self.clip = clip
        self.min_covered = min_covered

    def transform(self, results: dict) -> dict:
        num_snippets = num_snippets_of(results)
        start_sec, step_sec = results['grid_sec'] = _grid_sec(results, num_snippets)
        if 'annotations' not in results:
            return results
        times = [annotation['segment'] for annotation in results['annotations']]
        segments_sec = np.array(times, np.float64).reshape(-1, 2)
        classes = [annotation.get('class_index', 0) for annotation in results['annotations']]
        labels = np.array(classes, np.int64)
        kept = self._kept(segments_sec, labels)
        segments = ((segments_sec[kept] - start_sec) / step_sec).astype(np.float32)
        labels = labels[kept]
        is_window = 'read_snippets' in results
        if self.clip or is_window:
            min_covered = self.min_covered
            if is_window:
                min_covered = results.get('min_covered', min_covered)
            margin = margin_of(results)
            segments, enough = _clipped(segments, -margin, num_snippets + margin, min_covered)
            segments, labels = segments[enough], labels[enough]
        results['gt_segments'], results['gt_labels'] = segments, labels
        return results

    def _kept(self, segments_sec: np.ndarray, labels: np.ndarray) -> list[int]:
        """Which segments are long enough and, if asked for, no duplicate of one before."""
        kept: list[int] = []
        for i, (segment, label) in enumerate(zip(segments_sec, labels)):
            if segment[1] - segment[0] < self.min_length_sec:
                continue
            if self.drop_duplicates and any(
                labels[j] == label and np.abs(segments_sec[j] - segment).max() <= ROUNDING_SEC
                for j in kept
            ):
                continue
            kept.append(i)
        return kept

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(min_length_sec={self.min_length_sec}, '
            f'drop_duplicates={self.drop_duplicates}, clip={self.clip}, '
            f'min_covered={self.min_covered})'
        )


def _clipped(
    segments: np.ndarray, low: float, high: float, min_covered: float
) -> tuple[np.ndarray, np.ndarray]:
    """Segments ``(N, 2)`` clipped to a stretch, and which of them ``(N,)`` to keep."""
    clipped, share = clipped_to(segments, low, high)
    return clipped, (share > 0) & (share >= min_covered)


def _grid_sec(results: dict, num_snippets: int) -> tuple[float, float]:
    if 'snippet_span_sec' not in results:
        raise ValueError(
            f'{results["video_name"]}: where its snippets lie in time is not known; expected an '
            'annotation with a duration, and with fps if timeline has a stride. Add them, or set '
            'timeline=dict(fps=...).'
        )
    first_sec, last_sec = results['snippet_span_sec']
    step_sec = (last_sec - first_sec) / num_snippets
    return first_sec + step_sec / 2, step_sec
