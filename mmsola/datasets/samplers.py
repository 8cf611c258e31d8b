"""Which video comes next, and which of its windows."""

from __future__ import annotations

from collections.abc import Iterator

from mmaction.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler


class Draw(int):
    """The index of a video that also carries the seed of its random window.

    Loader workers restart their own random state when a run is resumed. A draw that depends on
    nothing but the run's seed, the epoch and the video gives the same windows whatever the number
    of workers, the number of processes, or the interruptions.
    """

    seed: tuple[int, ...]

    def __new__(cls, index: int, seed: tuple[int, ...]) -> Draw:
        draw = super().__new__(cls, index)
        draw.seed = seed
        return draw

    # MMEngine's ConcatDataset and RepeatDataset do arithmetic on indices: the seed comes along.
    def __sub__(self, other: int) -> Draw:
        return Draw(int(self) - other, self.seed)

    def __mod__(self, other: int) -> Draw:
        return Draw(int(self) % other, self.seed)

    def __reduce__(self) -> tuple:
        return type(self), (int(self), self.seed)


@DATA_SAMPLERS.register_module()
class SnippetWindowSampler(DefaultSampler):
    """MMEngine's DefaultSampler whose indices carry the seed of the window to draw."""

    def __iter__(self) -> Iterator[int]:
        for index in super().__iter__():
            yield Draw(index, (self.seed, self.epoch, index))
