"""Sequences of one length for all videos."""

from __future__ import annotations

import numpy as np
import torch
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform
from torch.nn import functional as F

from mmsola.datasets.transforms.snippet_grid import set_span


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
            set_span(results, results['snippet_span_sec'], self.num_snippets)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_snippets={self.num_snippets})'
