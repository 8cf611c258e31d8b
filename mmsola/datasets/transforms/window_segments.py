"""What two-stage localizers learn from: segments in units of what their head sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

_MIN_COVERED = 0.5  # where neither data set nor transform sets it
_ROUNDING = 1e-9  # of shares, computed from seconds


@TRANSFORMS.register_module()
class GenerateSnippetLabels(BaseTransform):
    """Relate segments and snippets to the stretch of the video that the head sees.

    MMAction2's GenerateLocalizationLabels takes features to begin and end with the video. Native
    snippets do not: the first one of 16 frames is centred on frame 8. Here the head sees the whole
    video (what its features cover, for resized ones) or the data set's window, and knows where in
    it the snippets lie.

    Required keys: ``video_name``, ``snippet_span_sec``, ``covered_sec``; ``annotations`` for
    labels; ``window_sec`` and ``min_covered`` where the data set cuts windows.
    Added keys: ``window_sec`` (start, end) in seconds; ``feature_span``, where the snippets begin
    and end in units of the window; ``gt_bbox`` ``(N, 2)`` in units of the window, clipped to it.

    Args:
        min_covered: Share of a segment that must lie in the window; others are left out. Only
            windows cut segments, a whole video does not. None takes that of the data set that cut
            the windows.

    Raises:
        ValueError: It differs from that of the data set.

    Examples:
        >>> video = dict(video_name='a', snippet_span_sec=(0.0, 9.6), covered_sec=(0.0, 10.0))
        >>> labelled = GenerateSnippetLabels()(dict(video, annotations=[dict(segment=[2.0, 4.0])]))
        >>> labelled['gt_bbox'], labelled['feature_span']
        (array([[0.2, 0.4]], dtype=float32), (0.0, 0.96))
    """

    def __init__(self, min_covered: float | None = None) -> None:
        self.min_covered = min_covered

    def transform(self, results: dict) -> dict:
        name = results['video_name']
        if 'snippet_span_sec' not in results:
            raise ValueError(
                f'{name}: where its snippets lie in time is not known; expected an annotation '
                'with a duration, and with fps if timeline has a stride. Add them, or set '
                'timeline=dict(fps=...).'
            )
        first_sec, last_sec = results['snippet_span_sec']
        is_cut = 'window_sec' in results
        if not is_cut:
            results['window_sec'] = results['covered_sec']
        start_sec, end_sec = results['window_sec']
        length_sec = end_sec - start_sec
        results['feature_span'] = (
            (first_sec - start_sec) / length_sec,
            (last_sec - start_sec) / length_sec,
        )
        if 'annotations' in results:
            results['gt_bbox'] = segments_in_window(
                results['annotations'],
                results['window_sec'],
                self._min_covered(results) if is_cut else 0.0,
            )
        return results

    def _min_covered(self, results: dict) -> float:
        of_data_set = results.get('min_covered', self.min_covered)
        if self.min_covered not in (None, of_data_set):
            raise ValueError(
                f'{type(self).__name__}: min_covered={self.min_covered}, but the data set that cut '
                f'the windows has {of_data_set}; leave it out here.'
            )
        return _MIN_COVERED if of_data_set is None else of_data_set

    def __repr__(self) -> str:
        return f'{type(self).__name__}(min_covered={self.min_covered})'


def segments_in_window(
    annotations: Sequence[dict], window_sec: tuple[float, float], min_covered: float
) -> np.ndarray:
    """Segments of which a window sees enough, in units of it and clipped to it.

    Args:
        annotations: ``{'segment': [start_sec, end_sec]}`` of the whole video.
        window_sec: Start and end of the window.
        min_covered: Share of a segment that must lie in it.

    Returns:
        ``(N, 2)`` float32, ``(0, 2)`` where there are none.
    """
    start_sec, end_sec = window_sec
    segments = np.array([a['segment'] for a in annotations], float).reshape(-1, 2)
    segments = (segments - start_sec) / (end_sec - start_sec)
    clipped = segments.clip(0, 1).astype(np.float32)
    lengths = segments[:, 1] - segments[:, 0]
    # one that ends in the middle of a segment sees half of it, however that is rounded
    enough = np.diff(segments.clip(0, 1))[:, 0] >= min_covered * lengths - _ROUNDING
    return clipped[enough & (clipped[:, 1] > clipped[:, 0])]
