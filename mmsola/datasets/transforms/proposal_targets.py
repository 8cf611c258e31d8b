"""What a localizer learns from: segments in units of what its head sees, and proposals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from mmsola.files.first_few import first_few
from mmsola.files.name_match import NameLookup
from mmsola.files.result_file import read_results

_MIN_COVERED = 0.5  # where neither data set nor transform sets it
ROUNDING = 1e-9  # of shares, computed from seconds


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


@TRANSFORMS.register_module()
class LoadSnippetProposals(BaseTransform):
    """Proposals of an earlier localizer, for one that refines them (TCANet).

    Required keys: ``video_name``, ``window_sec`` (of ``GenerateSnippetLabels``); ``gt_bbox`` where
    ``match`` is set.
    Added keys: ``proposals`` ``(N, 3)`` of start, end, score, in units of the window.
    Changed keys: ``gt_bbox`` ``(N, 2)``, the segment that each proposal overlaps most, which is
    how TCANet reads them; zeros where the video has none. Nothing found is no proposal.

    Args:
        proposal_file: ActivityNet's submission json, as ``LocalizationMetric(out_file=...)`` writes
            it.
        top_k: How many of the best to take.
        match: Whether to match segments with proposals, for training.

    Raises:
        ProposalFileError: The file is missing or of another format; it has no entry of a video, or
            no proposal of any.

    Examples:
        >>> import json
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> found = {'a': [{'segment': [1.0, 4.0], 'score': 0.9}]}
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, 'results.json')
        ...     _ = file.write_text(json.dumps({'results': found}))
        ...     video = dict(video_name='a', window_sec=(0.0, 10.0))
        ...     LoadSnippetProposals(str(file))(video)['proposals']
        array([[0.1, 0.4, 0.9]], dtype=float32)
    """

    def __init__(self, proposal_file: str, top_k: int = 100, match: bool = True) -> None:
        self.proposal_file = proposal_file
        self.top_k = top_k
        self.match = match
        # not at the first video: a mistake would show late, and each worker would read it all
        self._proposals = _read_proposals(proposal_file)
        if not any(map(len, self._proposals.values())):
            raise ProposalFileError(
                f'{proposal_file}: holds no proposal in any of {len(self._proposals)} videos\n'
                '  expected: what a localizer found\n  fix: test a localizer that was trained'
            )
        self._names = NameLookup(self._proposals)

    def check(self, names: Sequence[str]) -> None:
        """Refuse videos of which the file has no entry; a data set asks before the first step.

        Raises:
            ProposalFileError: There are some.
        """
        missing = [name for name in names if self._names.find(name) is None]
        if missing:
            raise ProposalFileError(
                f'{self.proposal_file}: no proposals of {first_few(missing)}; it has those of '
                f'{len(self._proposals)} videos, such as {first_few(self._proposals, 3)}. Write it '
                'with the localizer that was tested on the same videos.'
            )

    def transform(self, results: dict) -> dict:
        name = results['video_name']
        self.check([name])
        found = self._proposals[self._names.find(name) or name]
        start_sec, end_sec = results['window_sec']
        proposals = found.copy()
        proposals[:, :2] = (proposals[:, :2] - start_sec) / (end_sec - start_sec)
        proposals[:, :2] = proposals[:, :2].clip(0, 1)
        proposals = proposals.astype(np.float32)
        proposals = proposals[proposals[:, 1] > proposals[:, 0]]
        proposals = proposals[np.argsort(-proposals[:, 2], kind='stable')][: self.top_k]
        results['proposals'] = proposals
        if self.match and 'gt_bbox' in results:
            results['gt_bbox'] = _best_match(proposals, results['gt_bbox'])
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.proposal_file!r}, top_k={self.top_k})'


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
    enough = np.diff(segments.clip(0, 1))[:, 0] >= min_covered * lengths - ROUNDING
    return clipped[enough & (clipped[:, 1] > clipped[:, 0])]


def _read_proposals(file: str) -> dict[str, np.ndarray]:
    """``(N, 3)`` of start_sec, end_sec, score by video."""
    advice = '; write one by testing another localizer with test_evaluator=dict(out_file=...)'
    return {
        name: np.column_stack([found.segments, found.scores])
        for name, found in read_results(file, ProposalFileError, 'proposals', advice).items()
    }


class ProposalFileError(ValueError):
    """A file of proposals that cannot be used."""


def _best_match(proposals: np.ndarray, segments: np.ndarray) -> np.ndarray:
    if not len(segments):
        return np.zeros((len(proposals), 2), np.float32)
    start = np.maximum(proposals[:, None, 0], segments[:, 0])
    end = np.minimum(proposals[:, None, 1], segments[:, 1])
    overlap = (end - start).clip(0)
    lengths = (proposals[:, 1] - proposals[:, 0])[:, None] + segments[:, 1] - segments[:, 0]
    return segments[(overlap / (lengths - overlap)).argmax(axis=1)].astype(np.float32)
