"""Proposals of one localizer, which another one refines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from mmsola.files.name_match import NameLookup
from mmsola.files.result_file import read_results
from mmsola.messages.first_few import first_few


class ProposalFileError(ValueError):
    """A file of proposals that cannot be used."""


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


def _read_proposals(file: str) -> dict[str, np.ndarray]:
    """``(N, 3)`` of start_sec, end_sec, score by video."""
    advice = '; write one by testing another localizer with test_evaluator=dict(out_file=...)'
    return {
        name: np.column_stack([found.segments, found.scores])
        for name, found in read_results(file, ProposalFileError, 'proposals', advice).items()
    }


def _best_match(proposals: np.ndarray, segments: np.ndarray) -> np.ndarray:
    if not len(segments):
        return np.zeros((len(proposals), 2), np.float32)
    start = np.maximum(proposals[:, None, 0], segments[:, 0])
    end = np.minimum(proposals[:, None, 1], segments[:, 1])
    overlap = (end - start).clip(0)
    lengths = (proposals[:, 1] - proposals[:, 0])[:, None] + segments[:, 1] - segments[:, 0]
    return segments[(overlap / (lengths - overlap)).argmax(axis=1)].astype(np.float32)
