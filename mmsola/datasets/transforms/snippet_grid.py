"""Grid units, in which one-stage localizers have their segments.

Grid units count snippets: x is 0 at the centre of the first snippet and grows by 1 with each
snippet, so that ActionFormer's points lie at whole numbers. A segment of a piece may begin a little
before its first snippet, at a negative x, since a snippet's window reaches beyond its centre.
"""

from __future__ import annotations

import numpy as np


def num_snippets_of(results: dict) -> int:
    """Length of the sequence that is read, or will be: a window of a data set is not its video."""
    if 'raw_feature' in results:
        return len(results['raw_feature'])
    if 'read_snippets' in results:
        start, stop = results['read_snippets']
        return stop - start
    return results['num_snippets']


def margin_of(results: dict) -> float:
    """Half the window of a snippet, in grid units; of one snippet if it is unknown."""
    return 0.5 * results.get('window_strides', 1.0)


def set_span(results: dict, span_sec: tuple[float, float], num_snippets: int) -> None:
    """Change which seconds the snippets span, and with that the centres."""
    results['snippet_span_sec'] = span_sec
    if 'snippet_centres_sec' in results:
        step_sec = (span_sec[1] - span_sec[0]) / num_snippets
        results['snippet_centres_sec'] = span_sec[0] + (np.arange(num_snippets) + 0.5) * step_sec


def clipped_to(segments: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Segments ``(N, 2)`` clipped to a stretch, and the share ``(N,)`` of each that is in it."""
    start = np.maximum(segments[:, 0], np.float32(low))
    end = np.minimum(segments[:, 1], np.float32(high))
    lengths = segments[:, 1] - segments[:, 0]
    # a segment too short for float32 has no share
    share = np.maximum(end - start, 0) / np.where(lengths > 0, lengths, np.float32(1))
    return np.stack([start, end], axis=1), share
