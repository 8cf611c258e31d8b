"""What one-stage localizers learn from: segments in grid units, and a random piece of a video.

Grid units count snippets: x is 0 at the centre of the first snippet and grows by 1 with each
snippet, so that ActionFormer's points lie at whole numbers. A segment of a piece may begin a little
before its first snippet, at a negative x, since a snippet's window reaches beyond its centre.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform
from torch.nn import functional as F

from mmsola.structures.video_record import ROUNDING_SEC

_PLACES = 2**53  # as many places as a float64 in [0, 1) of NumPy's generators can be


@TRANSFORMS.register_module()
class GenerateGridSegments(BaseTransform):
    """Segments of a video in grid units, with their class indices.

    ``x = (t - snippet_span_sec[0]) / (snippet_span_sec[1] - snippet_span_sec[0]) * T - 0.5``, which
    is ActionFormer's ``t * fps / stride - 0.5 * num_frames / stride``. All options are off unless
    set; ActionFormer's settings for ActivityNet are ``min_length_sec=1e-3``,
    ``drop_duplicates=True`` and ``clip=True``.

    Required keys: ``video_name``, ``num_snippets`` (or ``raw_feature``, or ``read_snippets``, whose
    length counts before), ``snippet_span_sec``; ``annotations`` with ``segment`` and
    ``class_index``, which is 0 where a data set tells none; ``window_strides`` where ``clip`` is
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
        num_snippets = _num_snippets(results)
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
            margin = _margin(results)
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


@TRANSFORMS.register_module()
class TruncateSnippets(BaseTransform):
    """A random piece of a video with at least one segment, as ActionFormer cuts it for training.

    A longer video is cut to ``max_snippets``; any other one to a random share of its length, if
    ``crop_ratio`` is set. Segments are clipped to the piece and the margin around it. A video
    without segments is cut anywhere and stays as background.

    Placed before ``LoadSnippetSequence``, only the piece is read from disk; after it, the sequence
    is cut. The draw depends on ``window_place`` alone, so a resumed run cuts as one that was never
    interrupted, whatever the number of workers; set ``sampler=dict(type='SnippetWindowSampler')``.

    Required keys: ``video_name``, ``num_snippets``, ``window_place`` (in [0, 1), from
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
        max_trials: Draws before the last one is taken as it is.

    Raises:
        ValueError: An argument is out of range, or the transforms are in the wrong order.

    Examples:
        >>> video = dict(video_name='a', num_snippets=40, window_place=0.5)
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
        num_snippets = _num_snippets(results)
        place = results['window_place']
        place = np.random.random() if place is None else place
        margin = _margin(results) if self.margin_snippets is None else self.margin_snippets
        piece = draw_piece(
            num_snippets,
            results.get('gt_segments', np.zeros((0, 2), np.float32)),
            self.max_snippets,
            margin,
            random.Random(int(place * _PLACES)).randint,
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
            _set_span(results, span_sec, piece.num_snippets)
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


@TRANSFORMS.register_module()
class ResizeSnippets(BaseTransform):
    """The whole sequence, resized linearly to a fixed length, as ActionFormer does for ActivityNet.

    The outer edges stay where they are (``align_corners=False``), and so does the span in seconds:
    each of the new snippets stands for an equal share of it, and its window is that share.

    Required keys: ``raw_feature`` ``(T, C)``.
    Changed keys: ``raw_feature`` ``(num_snippets, C)``, ``num_snippets``, ``window_strides``,
    ``snippet_centres_sec`` ``(num_snippets,)``.

    Args:
        num_snippets: New length.

    Raises:
        ValueError: The new length is below 1, or segments are in grid units of the old one.

    Examples:
        >>> sequence = np.arange(8, dtype=np.float32)[:, None]
        >>> ResizeSnippets(num_snippets=4)(dict(raw_feature=sequence))['raw_feature'].tolist()
        [[0.5], [2.5], [4.5], [6.5]]
    """

    def __init__(self, num_snippets: int) -> None:
        if num_snippets < 1:
            raise ValueError(
                f'{type(self).__name__}: num_snippets must be at least 1, got {num_snippets}.'
            )
        self.num_snippets = num_snippets

    def transform(self, results: dict) -> dict:
        if 'grid_sec' in results:
            raise ValueError(
                f'{type(self).__name__}: {results.get("video_name", "a video")}: its segments '
                'already are in grid units; put ResizeSnippets before GenerateGridSegments.'
            )
        sequence = torch.from_numpy(np.ascontiguousarray(results['raw_feature'].T))  # (C, T)
        resized = F.interpolate(sequence[None], self.num_snippets, mode='linear')[0]
        results['raw_feature'] = np.ascontiguousarray(resized.numpy().T)
        results['num_snippets'] = self.num_snippets
        results['window_strides'] = 1.0
        if 'snippet_span_sec' in results:
            _set_span(results, results['snippet_span_sec'], self.num_snippets)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_snippets={self.num_snippets})'


class Piece(NamedTuple):
    """A stretch of a video, and what it shows of the segments.

    Attributes:
        start: Its first snippet.
        num_snippets: Its length.
        kept: ``(N,)`` bool, which segments it shows enough of.
        segments: ``(M, 2)`` those, clipped, in grid units of the piece.
    """

    start: int
    num_snippets: int
    kept: np.ndarray
    segments: np.ndarray


def draw_piece(
    num_snippets: int,
    segments: np.ndarray,
    max_snippets: int,
    margin: float,
    randint: Callable[[int, int], int],
    *,
    trunc_thresh: float = 0.5,
    crop_ratio: Sequence[float] | None = None,
    keep_whole: bool = False,
    max_trials: int = 200,
) -> Piece:
    """ActionFormer's random truncation: one draw for the length, then one for each trial's start.

    Args:
        num_snippets: Length of the video.
        segments: ``(N, 2)`` float32 in grid units; without any, the first trial counts.
        max_snippets: As the following ones, of :class:`TruncateSnippets`.
        margin: How far segments may reach beyond the piece, in grid units.
        randint: Draws a whole number between two, both included, as ``random.randint`` does.
        trunc_thresh: Share of a segment that must be seen.
        crop_ratio: Least and greatest share of a video that is not too long.
        keep_whole: Draw until no segment is cut.
        max_trials: Draws before the last one is taken as it is.

    Returns:
        The piece; the whole video, and no segment clipped, where nothing is cut off.

    Source: ``truncate_feats`` of ActionFormer's release.
    """
    length = max_snippets
    if num_snippets <= max_snippets:
        length = num_snippets
        if crop_ratio is not None:
            # Python's round (half to even), as published
            least = max(round(crop_ratio[0] * num_snippets), 1)
            length = randint(least, max(least, min(round(crop_ratio[1] * num_snippets), length)))
        if length == num_snippets:
            return Piece(0, num_snippets, np.ones(len(segments), bool), segments)
    for _ in range(max_trials):
        start = randint(0, num_snippets - length)
        clipped, share = _intersection(segments, start - margin, start + length + margin)
        kept = share >= trunc_thresh
        is_cut = (share > 0) & (share < 1)
        if not len(segments) or (kept.any() and not (keep_whole and is_cut.any())):
            break
    return Piece(start, length, kept, clipped[kept] - np.float32(start))


def _intersection(segments: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Segments ``(N, 2)`` clipped to a stretch, and the share ``(N,)`` of each that is in it."""
    start = np.maximum(segments[:, 0], np.float32(low))
    end = np.minimum(segments[:, 1], np.float32(high))
    lengths = segments[:, 1] - segments[:, 0]
    # a segment shorter than float32 can tell has no share
    share = np.maximum(end - start, 0) / np.where(lengths > 0, lengths, np.float32(1))
    return np.stack([start, end], axis=1), share


def _clipped(
    segments: np.ndarray, low: float, high: float, min_covered: float
) -> tuple[np.ndarray, np.ndarray]:
    """Segments ``(N, 2)`` clipped to a stretch, and which of them ``(N,)`` to keep."""
    clipped, share = _intersection(segments, low, high)
    return clipped, (share > 0) & (share >= min_covered)


def _num_snippets(results: dict) -> int:
    """Length of the sequence that is read, or will be: a window of a data set is not its video."""
    if 'raw_feature' in results:
        return len(results['raw_feature'])
    if 'read_snippets' in results:
        start, stop = results['read_snippets']
        return stop - start
    return results['num_snippets']


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


def _margin(results: dict) -> float:
    """Half the window of a snippet, in grid units; a data set without knows no wider one."""
    return 0.5 * results.get('window_strides', 1.0)


def _set_span(results: dict, span_sec: tuple[float, float], num_snippets: int) -> None:
    results['snippet_span_sec'] = span_sec
    if 'snippet_centres_sec' in results:
        step_sec = (span_sec[1] - span_sec[0]) / num_snippets
        results['snippet_centres_sec'] = span_sec[0] + (np.arange(num_snippets) + 0.5) * step_sec
