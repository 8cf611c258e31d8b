"""The range of similarities that the colours of a self-similarity picture stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap

PERCENTILES = (1, 99)  # of pairs of different snippets; the diagonal is 1 for any features
SMALLEST_RANGE = 0.001  # features of less differ by hardly more than their rounding

_NOT_FINITE_COLOUR = '0.6'
_ROUNDING = 1e-6  # of single precision


@dataclass(frozen=True)
class SimilarityColours:
    """Colours for cosine similarities from ``low`` to ``high``, numbers of ``decimals``."""

    low: float
    high: float
    decimals: int

    @classmethod
    def of(cls, matrices: Sequence[np.ndarray]) -> SimilarityColours:
        """One range for all matrices ``(T, T)``: it covers ``percentile_range`` of each.

        All similarities are above 0 after a ReLU, and often close to 1: the range is no wider than
        they are. Where some are below 0, it is as wide on either side of 0. Without a finite pair
        of different snippets it is [-1, 1].
        """
        ranges = [percentile_range(matrix) for matrix in matrices]
        ends = [end for one in ranges if one is not None for end in one]
        if not ends:
            return cls(-1.0, 1.0, 2)
        low, high = min(ends), max(ends)
        decimals = 2
        if high - low >= SMALLEST_RANGE:
            decimals = int(np.clip(np.ceil(1 - np.log10(high - low)), 2, 4))
        # outwards, to numbers that can be written
        step = 10.0**-decimals
        low = max(step * np.floor((low + _ROUNDING) / step), -1.0)
        high = min(step * np.ceil((high - _ROUNDING) / step), 1.0)
        if low < 0:
            high = max(-low, high)
            low = -high
        elif high - low < step / 2:
            low, high = (high - step, high) if high > 0 else (0.0, step)
        return cls(round(float(low), decimals), round(float(high), decimals), decimals)

    @property
    def words(self) -> str:
        """What is written beside the colour bar."""
        return f'cosine similarity, colours from {self.text(self.low)} to {self.text(self.high)}'

    @property
    def colour_map(self) -> Colormap:
        """From dark to light if nothing is below 0, else white at 0 between blue and red."""
        name = 'viridis' if self.low >= 0 else 'RdBu_r'
        return colormaps[name].with_extremes(bad=_NOT_FINITE_COLOUR)

    def text(self, similarity: float) -> str:
        """A similarity, with as many decimals as the range has."""
        return f'{similarity:.{self.decimals}f}'

    def arrows(self, matrices: Sequence[np.ndarray]) -> str:
        """The ends of the colour bar with an arrow, since pairs beyond have the colour of the end.

        ``'neither'``, ``'min'``, ``'max'`` or ``'both'``, as matplotlib's ``extend``.
        """
        pairs = np.concatenate([_pairs(matrix) for matrix in matrices])
        below = bool((pairs < self.low - _ROUNDING).any())
        above = bool((pairs > self.high + _ROUNDING).any())
        return ('both' if above else 'min') if below else ('max' if above else 'neither')

    def label(self, bar: Colorbar) -> None:
        """Write the range beside its colour bar: both ends, and round numbers between them."""
        gap = 0.08 * (self.high - self.low)
        between = [tick for tick in bar.get_ticks() if self.low + gap < tick < self.high - gap]
        ticks = np.round([self.low, *between, self.high], 6) + 0.0  # no -0
        digits = max(self.decimals, *(len(f'{tick:g}'.partition('.')[2]) for tick in ticks))
        bar.set_ticks(ticks.tolist(), labels=[f'{tick:.{digits}f}' for tick in ticks])
        bar.set_label(self.words)


def percentile_range(matrix: np.ndarray) -> tuple[float, float] | None:
    """The 1st and 99th percentile of the similarities of different snippets; None without any."""
    pairs = _pairs(matrix)
    if not len(pairs):
        return None
    low, high = np.percentile(pairs, PERCENTILES)
    return float(low), float(high)


def _pairs(matrix: np.ndarray) -> np.ndarray:
    """The finite similarities of different snippets."""
    pairs = matrix[~np.eye(len(matrix), dtype=bool)]
    return pairs[np.isfinite(pairs)]
