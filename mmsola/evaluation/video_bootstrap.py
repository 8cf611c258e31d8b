"""How far differences go with the videos that are scored: a bootstrap over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Times that the videos are drawn anew, unless another number is asked for.
NUM_RESAMPLES = 1000


@dataclass(frozen=True)
class DrawnVideos:
    """How often each video is drawn in each resample, the same for all that is compared.

    Args:
        names: The scored videos.
        num_resamples: How often they are drawn anew.
        seed: Of the draws, which do not depend on the order of the names.

    Examples:
        >>> drawn = DrawnVideos(['b', 'a'], num_resamples=3)
        >>> drawn.times(['a', 'b']).tolist()
        [[0, 2], [1, 1], [2, 0]]
    """

    names: Sequence[str]
    num_resamples: int = NUM_RESAMPLES
    seed: int = 0

    def times(self, names: Sequence[str]) -> np.ndarray:
        """How often each is drawn, ``(num_resamples, videos)``, in the order of ``names``.

        Raises:
            ValueError: They are not the same videos.
        """
        ordered = sorted(self.names)
        if sorted(names) != ordered:
            other = sorted(set(names) ^ set(ordered))[:3]
            raise ValueError(
                f'other videos were scored: {len(names)} of them, expected the same '
                f'{len(ordered)}; differing are {other}'
            )
        number = len(ordered)
        drawn = np.random.default_rng(self.seed).integers(number, size=(self.num_resamples, number))
        times = np.stack([np.bincount(row, minlength=number) for row in drawn])
        column = {name: i for i, name in enumerate(ordered)}
        return times[:, [column[name] for name in names]]


def bootstrap_interval(baseline: np.ndarray, candidate: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean difference over seeds, by percentiles over resamples.

    Args:
        baseline: ``(seeds, num_resamples)``, a figure in each resample.
        candidate: The same of what is compared, of the same seeds and resamples.

    Returns:
        Both ends; NaN where no resample has the figure.
    """
    difference = (np.asarray(candidate) - np.asarray(baseline)).mean(axis=0)
    difference = difference[~np.isnan(difference)]
    if not len(difference):
        return float('nan'), float('nan')
    low, high = np.percentile(difference, [2.5, 97.5])
    return float(low), float(high)
