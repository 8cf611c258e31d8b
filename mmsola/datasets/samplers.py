"""Which video comes next, and which of its windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mmaction.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler


class Draw(int):
    """The index of a video that also has where its random window lies: ``window_fraction``.

    0 is the first window of the video, and just below 1 the last one.

    Loader workers restart their own random state when a run is resumed. A draw that depends on
    nothing but the run's seed, the epoch and the video gives the same windows whatever the number
    of workers, the number of processes, or the interruptions.
    """

    window_fraction: float

    def __new__(cls, index: int, window_fraction: float) -> Draw:
        draw = super().__new__(cls, index)
        draw.window_fraction = window_fraction
        return draw

    # MMEngine's ConcatDataset and RepeatDataset do arithmetic on indices: the window comes along.
    def __sub__(self, other: int) -> Draw:
        return Draw(int(self) - other, self.window_fraction)

    def __mod__(self, other: int) -> Draw:
        return Draw(int(self) % other, self.window_fraction)

    def __reduce__(self) -> tuple:
        return type(self), (int(self), self.window_fraction)


def window_start(fraction: Any, num_snippets: Any, window: int) -> Any:
    """First snippet of the window at a fraction in [0, 1), for one video or an array of them."""
    return np.floor(fraction * (num_snippets - window + 1)).astype(np.int64)


@DATA_SAMPLERS.register_module()
class SnippetWindowSampler(DefaultSampler):
    """MMEngine's DefaultSampler whose indices have which window to read.

    Examples:
        >>> sampler = SnippetWindowSampler(range(3), shuffle=False, seed=0)
        >>> [(int(draw), round(draw.window_fraction, 2)) for draw in sampler]
        [(0, 0.64), (1, 0.27), (2, 0.04)]
    """

    def __iter__(self) -> Iterator[int]:
        # one draw for each video of the data set, whichever of them this process sees
        fractions = (
            np.random.default_rng((self.seed, self.epoch)).random(len(self.dataset)).tolist()
        )
        for index in super().__iter__():
            yield Draw(index, fractions[index])
