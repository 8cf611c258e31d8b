"""Which random piece of a video a training sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mmsola.datasets.transforms.snippet_grid import clipped_to


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
        max_snippets: As the following ones, of ``TruncateSnippets``.
        margin: How far segments may reach beyond the piece, in grid units.
        randint: Draws a whole number between two, both included, as ``random.randint`` does.
        trunc_thresh: Share of a segment that must be seen.
        crop_ratio: Least and greatest share of a video that is not too long.
        keep_whole: Draw until no segment is cut.
        max_trials: Draws before the last one counts as it is.

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
        clipped, share = clipped_to(segments, start - margin, start + length + margin)
        kept = share >= trunc_thresh
        is_cut = (share > 0) & (share < 1)
        if not len(segments) or (kept.any() and not (keep_whole and is_cut.any())):
            break
    return Piece(start, length, kept, clipped[kept] - np.float32(start))
