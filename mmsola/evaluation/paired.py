"""Differences between runs that share their seeds."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class PairedDifference:
    """Candidate minus baseline over seeds.

    ``std`` is the standard deviation of the differences, ``low`` and ``high`` the 95 % interval of
    their mean (Student's t); NaN for a single seed.
    """

    baseline: float
    candidate: float
    mean: float
    std: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the interval excludes 0, in words; else what is wrong with the figures."""
        if np.isnan(self.mean):
            return 'a run has no number here'
        if np.isnan(self.low):
            return 'one seed proves nothing'
        if self.low > 0:
            return 'above 0'
        return 'below 0' if self.high < 0 else 'contains 0'


def paired_difference(baseline: np.ndarray, candidate: np.ndarray) -> PairedDifference:
    """Compare two rows of figures ``(seeds,)``, the same seed at the same index.

    Raises:
        ValueError: They are of different length, or empty.
    """
    baseline, candidate = np.asarray(baseline, float), np.asarray(candidate, float)
    if baseline.shape != candidate.shape or baseline.ndim != 1 or not len(baseline):
        raise ValueError(
            f'paired differences need the same seeds on both sides, got {baseline.shape} and '
            f'{candidate.shape}.'
        )
    difference = candidate - baseline
    std, low, high = float('nan'), float('nan'), float('nan')
    if len(difference) > 1:
        std = float(difference.std(ddof=1))
        with warnings.catch_warnings():
            # of seeds that all differ by the same the interval is one point, as it should be
            warnings.filterwarnings('ignore', category=RuntimeWarning)
            low, high = map(float, stats.ttest_rel(candidate, baseline).confidence_interval(0.95))
    return PairedDifference(
        float(baseline.mean()), float(candidate.mean()), float(difference.mean()), std, low, high
    )
