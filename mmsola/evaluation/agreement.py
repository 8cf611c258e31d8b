"""Which figures of a pretraining go with the localizer's figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

FEWEST_RUNS = 5


@dataclass(frozen=True)
class Agreement:
    """Rank correlation of one figure with a target over runs.

    ``spearman`` is in [-1, 1]: 1 where the figure puts the runs in the target's order, NaN where
    either is the same in all runs. ``low`` and ``high`` are the 95 % interval of a bootstrap over
    runs; NaN with fewer than 5 runs, which prove nothing.
    """

    figure: str
    num_runs: int
    spearman: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the interval excludes 0, in words; else why there is none."""
        if np.isnan(self.spearman):
            return 'the same in all runs'
        if np.isnan(self.low):
            return f'{self.num_runs} runs prove nothing'
        if self.low > 0:
            return 'above 0'
        return 'below 0' if self.high < 0 else 'contains 0'


def agreement(
    figures: dict[str, list[float]],
    target: list[float],
    num_resamples: int = 2000,
    seed: int = 0,
) -> list[Agreement]:
    """Spearman correlation of each figure with the target, the greatest first.

    Args:
        figures: Name of a figure -> its value of each run's checkpoint.
        target: What a localizer gains with that checkpoint, of the same runs in the same order.
        num_resamples: Bootstrap samples; runs are drawn with their figure and target together.
        seed: Of the bootstrap.

    Raises:
        ValueError: A figure has another number of runs than the target, or a value is no number.

    Examples:
        >>> (found,) = agreement({'boundary/cv_auc': [0.6, 0.7, 0.65]}, [1.0, 3.0, 2.0])
        >>> found.spearman, found.verdict
        (1.0, '3 runs prove nothing')
    """
    y = _finite('the target', target)
    draws = np.random.default_rng(seed).integers(len(y), size=(num_resamples, len(y)))
    found = []
    for name, values in figures.items():
        x = _finite(name, values)
        if len(x) != len(y):
            raise ValueError(
                f'agreement: {name} has {len(x)} runs and the target {len(y)}; give both of the '
                'same runs in the same order.'
            )
        spearman = float(_spearman(x[None], y[None])[0])
        low, high = float('nan'), float('nan')
        if len(y) >= FEWEST_RUNS and not np.isnan(spearman):
            low, high = map(float, np.nanpercentile(_spearman(x[draws], y[draws]), [2.5, 97.5]))
        found.append(Agreement(name, len(y), spearman, low, high))
    # NaN last; equal ones in the order they were given
    return sorted(found, key=lambda a: -a.spearman if a.spearman == a.spearman else 2.0)


def _finite(name: str, values: list[float]) -> np.ndarray:
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise ValueError(
            f'agreement: {name} must be a list of numbers, one a run, got {values}; leave out runs '
            'without a figure.'
        )
    return x


def _spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rank correlation ``(B,)`` of the rows of ``(B, runs)``; NaN where a row is constant."""
    x, y = (rankdata(v, axis=1) - (v.shape[1] + 1) / 2 for v in (x, y))
    spread = np.sqrt((x**2).sum(1) * (y**2).sum(1))
    return np.where(spread > 0, (x * y).sum(1) / np.where(spread > 0, spread, 1), np.nan)
