"""Which figures of a pretraining go with the localizer's figure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

FEWEST_GROUPS = 5


@dataclass(frozen=True)
class Agreement:
    """Rank correlation of one figure with a target over runs.

    ``spearman`` is in [-1, 1]: 1 where the figure puts the runs in the target's order, NaN where
    either is the same in all runs. ``low`` and ``high`` are the 95 % interval of a bootstrap over
    ``num_groups``, the pretrainings of these runs; NaN with fewer than 5, which prove nothing.
    """

    figure: str
    num_runs: int
    num_groups: int
    spearman: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the interval excludes 0, in words; else why there is none."""
        if np.isnan(self.spearman):
            return 'the same in all runs'
        if np.isnan(self.low):
            return f'{self.num_groups} pretrainings prove nothing'
        if self.low > 0:
            return 'above 0'
        return 'below 0' if self.high < 0 else 'contains 0'


def agreement(
    figures: dict[str, list[float]],
    target: list[float],
    groups: Sequence[Hashable] | None = None,
    num_resamples: int = 2000,
    seed: int = 0,
) -> list[Agreement]:
    """Spearman correlation of each figure with the target, the greatest first.

    Args:
        figures: Name of a figure -> its value of each run's checkpoint.
        target: What a localizer gains with that checkpoint, of the same runs in the same order.
        groups: Which pretraining each run is of; None where each has one of its own. Runs of one
            pretraining are not independent, so the bootstrap draws them together.
        num_resamples: Bootstrap samples; runs are drawn with their figure and target together.
        seed: Of the bootstrap.

    Raises:
        ValueError: A figure or the groups have another number of runs than the target, or a value
            is no number.

    Examples:
        >>> (found,) = agreement({'boundary/cv_auc': [0.6, 0.7, 0.65]}, [1.0, 3.0, 2.0])
        >>> found.spearman, found.verdict
        (1.0, '3 pretrainings prove nothing')
    """
    y = _finite('the target', target)
    members = _members(groups, len(y))
    rng = np.random.default_rng(seed)
    draws = [
        np.concatenate([members[i] for i in drawn])
        for drawn in rng.integers(len(members), size=(num_resamples, len(members)))
    ]
    found = []
    for name, values in figures.items():
        x = _finite(name, values)
        if len(x) != len(y):
            raise ValueError(
                f'agreement: {name} has {len(x)} runs and the target {len(y)}; give both of the '
                'same runs in the same order.'
            )
        spearman = _spearman(x, y)
        low, high = float('nan'), float('nan')
        if len(members) >= FEWEST_GROUPS and not np.isnan(spearman):
            resampled = [_spearman(x[drawn], y[drawn]) for drawn in draws]
            low, high = map(float, np.nanpercentile(resampled, [2.5, 97.5]))
        found.append(Agreement(name, len(y), len(members), spearman, low, high))
    # NaN last; equal ones in the order they were given
    return sorted(found, key=lambda a: -a.spearman if a.spearman == a.spearman else 2.0)


def _members(groups: Sequence[Hashable] | None, num_runs: int) -> list[np.ndarray]:
    """The runs of each group, by number."""
    if groups is None:
        groups = range(num_runs)
    if len(groups) != num_runs:
        raise ValueError(
            f'agreement: groups has {len(groups)} runs and the target {num_runs}; give both of the '
            'same runs in the same order.'
        )
    found: dict[Hashable, list[int]] = {}
    for i, group in enumerate(groups):
        found.setdefault(group, []).append(i)
    return [np.array(runs) for runs in found.values()]


def _finite(name: str, values: list[float]) -> np.ndarray:
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise ValueError(
            f'agreement: {name} must be a list of numbers, one a run, got {values}; leave out runs '
            'without a figure.'
        )
    return x


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation of ``(runs,)``; NaN where either is constant."""
    x, y = (rankdata(v) - (len(v) + 1) / 2 for v in (x, y))
    spread = np.sqrt(x @ x * (y @ y))
    return float(x @ y / spread) if spread > 0 else float('nan')
