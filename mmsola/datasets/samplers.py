"""Which video comes next, and which of its windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mmaction.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler


class Draw(int):
    """The index of a video that also carries the place of its random window, in [0, 1).

    Loader workers restart their own random state when a run is resumed. A draw that depends on
    nothing but the run's seed, the epoch and the video gives the same windows whatever the number
    of workers, the number of processes, or the interruptions.
    """

    place: float

    def __new__(cls, index: int, place: float) -> Draw:
        draw = super().__new__(cls, index)
        draw.place = place
        return draw

    # MMEngine's ConcatDataset and RepeatDataset do arithmetic on indices: the place comes along.
    def __sub__(self, other: int) -> Draw:
        return Draw(int(self) - other, self.place)

    def __mod__(self, other: int) -> Draw:
        return Draw(int(self) % other, self.place)

    def __reduce__(self) -> tuple:
        return type(self), (int(self), self.place)


def window_start(place: Any, num_snippets: Any, window: int) -> Any:
    """First snippet of the window at ``place`` in [0, 1), for one video or an array of them."""
    return np.floor(place * (num_snippets - window + 1)).astype(np.int64)


@DATA_SAMPLERS.register_module()
class SnippetWindowSampler(DefaultSampler):
    """MMEngine's DefaultSampler whose indices carry the place of the window to read.

    Examples:
        >>> sampler = SnippetWindowSampler(range(3), shuffle=False, seed=0)
        >>> [(int(draw), round(draw.place, 2)) for draw in sampler]
        [(0, 0.64), (1, 0.27), (2, 0.04)]
    """

    def __iter__(self) -> Iterator[int]:
        # one draw for each video of the data set, whichever of them this process sees
        places = np.random.default_rng((self.seed, self.epoch)).random(len(self.dataset)).tolist()
        for index in super().__iter__():
            yield Draw(index, places[index])
