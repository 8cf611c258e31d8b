"""A random piece of a video, for the training of one-stage localizers."""

from __future__ import annotations

import random

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from mmsola.datasets.transforms.random_piece import draw_piece
from mmsola.datasets.transforms.snippet_grid import margin_of, num_snippets_of, set_span

_FRACTIONS = 2**53  # as many as a float64 in [0, 1) of NumPy's generators can be


@TRANSFORMS.register_module()
class TruncateSnippets(BaseTransform):
    """A random piece of a video with at least one segment, as ActionFormer cuts it for training.

    A longer video is cut to ``max_snippets``; any other one to a random share of its length, if
    ``crop_ratio`` is set. Segments are clipped to the piece and a margin on both sides. A video
    without segments is cut anywhere and stays as background.

    Put before ``LoadSnippetSequence``, only the piece is read from disk; after it, the sequence
    is cut. The draw depends on ``window_fraction`` alone, so a resumed run cuts as one that was
    never interrupted, whatever the number of workers; set
    ``sampler=dict(type='SnippetWindowSampler')``.

    Required keys: ``video_name``, ``num_snippets``, ``window_fraction`` (in [0, 1), from
    ``SnippetWindowSampler``; None draws it from NumPy's global state); ``gt_segments`` and
    ``gt_labels`` of ``GenerateGridSegments`` if the video is annotated; ``window_strides`` unless
    ``margin_snippets`` is set.
    Added keys: ``read_snippets`` (start, stop) unless ``raw_feature`` is there.
    Changed keys, now those of the piece: ``raw_feature``, ``num_snippets``, ``gt_segments``,
    ``gt_labels``, ``grid_sec``, ``snippet_span_sec``, ``snippet_centres_sec``; ``window_sec`` where
    the data set cut windows.

    Args:
        max_snippets: Longest piece.
        trunc_thresh: Share of a segment that must lie in the piece and its margin, to be kept.
        crop_ratio: Least and greatest share of a video that is not too long; None keeps it whole.
        margin_snippets: How far a segment may reach beyond the piece, in grid units. None is half
            the window of a snippet, ``0.5 * window_frames / stride_frames``.
        keep_whole: Draw until no segment is cut by an end of the piece.
        max_trials: Draws before the last one counts as it is.

    Raises:
        ValueError: An argument is out of range, or the transforms are in the wrong order.

    Examples:
        >>> video = dict(video_name='a', num_snippets=40, window_fraction=0.5)
        >>> TruncateSnippets(max_snippets=16, margin_snippets=1.0)(video)['read_snippets']
        (8, 24)
    """

    def __init__(
        self,
        max_snippets: int,
        trunc_thresh: float = 0.5,
        crop_ratio: tuple[float, float] | None = (0.9, 1.0),
        margin_snippets: float | None = None,
        keep_whole: bool = False,
        max_trials: int = 200,
    ) -> None:
        is_ratio = crop_ratio is None or 0 < crop_ratio[0] <= crop_ratio[1] <= 1
        if max_snippets < 1 or max_trials < 1 or not 0 <= trunc_thresh <= 1 or not is_ratio:
            raise ValueError(
                f'{type(self).__name__}: expected max_snippets >= 1, max_trials >= 1, 0 <= '
                'trunc_thresh <= 1 and crop_ratio=(least, greatest) in (0, 1], got max_snippets='
                f'{max_snippets}, max_trials={max_trials}, trunc_thresh={trunc_thresh}, '
                f'crop_ratio={crop_ratio}.'
            )
        if margin_snippets is not None and margin_snippets < 0:
            raise ValueError(
                f'{type(self).__name__}: margin_snippets must not be negative, got '
                f'{margin_snippets}.'
            )
        self.max_snippets = max_snippets
        self.trunc_thresh = trunc_thresh
        self.crop_ratio = None if crop_ratio is None else (crop_ratio[0], crop_ratio[1])
        self.margin_snippets = margin_snippets
        self.keep_whole = keep_whole
        self.max_trials = max_trials

    def transform(self, results: dict) -> dict:
        self._check_order(results)
        num_snippets = num_snippets_of(results)
        fraction = results['window_fraction']
        fraction = np.random.random() if fraction is None else fraction
        margin = margin_of(results) if self.margin_snippets is None else self.margin_snippets
        piece = draw_piece(
            num_snippets,
            results.get('gt_segments', np.zeros((0, 2), np.float32)),
            self.max_snippets,
            margin,
            random.Random(int(fraction * _FRACTIONS)).randint,
            trunc_thresh=self.trunc_thresh,
            crop_ratio=self.crop_ratio,
            keep_whole=self.keep_whole,
            max_trials=self.max_trials,
        )
        if piece.num_snippets == num_snippets:
            return results
        start, stop = piece.start, piece.start + piece.num_snippets
        if 'raw_feature' in results:
            results['raw_feature'] = results['raw_feature'][start:stop]
        else:
            first = results['read_snippets'][0] if 'read_snippets' in results else 0
            results['read_snippets'] = (first + start, first + stop)
        if 'gt_segments' in results:
            results['gt_segments'] = piece.segments
            results['gt_labels'] = results['gt_labels'][piece.kept]
        if 'snippet_span_sec' in results:
            first_sec, last_sec = results['snippet_span_sec']
            step_sec = (last_sec - first_sec) / num_snippets
            span_sec = (first_sec + start * step_sec, first_sec + stop * step_sec)
            set_span(results, span_sec, piece.num_snippets)
            if 'window_sec' in results:
                results['window_sec'] = span_sec
        if 'grid_sec' in results:
            start_sec, step_sec = results['grid_sec']
            results['grid_sec'] = (start_sec + start * step_sec, step_sec)
        results['num_snippets'] = piece.num_snippets
        return results

    def _check_order(self, results: dict) -> None:
        for is_wrong, found, fix in (
            (
                'annotations' in results and 'gt_segments' not in results,
                'no gt_segments, though it is annotated',
                'put GenerateGridSegments before TruncateSnippets',
            ),
            (
                'gt_bbox' in results,
                'gt_bbox, which a cut would make wrong',
                'leave GenerateSnippetLabels out of the pipeline',
            ),
        ):
            if is_wrong:
                raise ValueError(
                    f'{type(self).__name__}: {results["video_name"]}: found {found}; {fix}.'
                )

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(max_snippets={self.max_snippets}, trunc_thresh='
            f'{self.trunc_thresh}, crop_ratio={self.crop_ratio}, margin_snippets='
            f'{self.margin_snippets}, keep_whole={self.keep_whole}, max_trials={self.max_trials})'
        )
