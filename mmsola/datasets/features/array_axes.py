"""Which axes of a stored array are snippets and channels, where an extraction left more of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


class AxesFault(ValueError):
    """Axes that do not become snippets and channels; ``pool`` are those to average, if any."""

    def __init__(self, found: str, pool: Sequence[int] = ()) -> None:
        super().__init__(found)
        self.pool = tuple(pool)


@dataclass(frozen=True)
class ArrayAxes:
    """What the axes of a stored array are; all others have length 1.

    Attributes:
        time: The axis of snippets.
        channel: That of channels.
        pooled: Those that are averaged, such as ten crops.
        num_axes: How many there are.
    """

    time: int
    channel: int
    pooled: tuple[int, ...]
    num_axes: int

    def window(self, array: Any, start: int, stop: int) -> np.ndarray:
        """Snippets ``start`` to ``stop - 1`` as ``(stop - start, C)``; no others are read."""
        index: list[Any] = [0] * self.num_axes
        for axis in (self.channel, *self.pooled):
            index[axis] = slice(None)
        index[self.time] = slice(start, stop)
        values = array[tuple(index)]
        kept = sorted((self.time, self.channel, *self.pooled))
        if self.pooled:
            values = np.mean(values, tuple(map(kept.index, self.pooled)), dtype=np.float32)
        return values if self.time < self.channel else values.T


def axes_of(shape: Sequence[int], layout: str, pool_axes: Sequence[int] = ()) -> ArrayAxes:
    """The axes of an array: two, in the order of ``layout``, beside those to pool or of length 1.

    Args:
        shape: As it is stored.
        layout: ``'TC'`` or ``'CT'``.
        pool_axes: Axes that are averaged, of an array with more than two; negative ones count from
            the end.

    Examples:
        >>> axes_of((1, 1024, 30, 1, 1), 'CT').time
        2

    Raises:
        AxesFault: More or fewer than two axes are left.
    """
    num_axes = len(shape)
    pooled = () if num_axes == 2 else tuple(sorted({axis % num_axes for axis in pool_axes}))
    if num_axes != 2 and any(not -num_axes <= axis < num_axes for axis in pool_axes):
        raise AxesFault(f'has shape {tuple(shape)}, and no axis {max(pool_axes, key=abs)} to pool')
    rest = [axis for axis in range(num_axes) if axis not in pooled]
    if len(rest) < 2:
        raise AxesFault(f'has shape {tuple(shape)}, {num_axes} axes')
    long = [axis for axis in rest if shape[axis] != 1]
    if len(rest) == 2:
        first, second = rest
    elif len(long) == 2:
        first, second = long
    elif len(long) == 1:  # one snippet: a single channel is less likely
        of_one = next(axis for axis in rest if shape[axis] == 1)
        (channel,) = long
        return ArrayAxes(of_one, channel, pooled, num_axes)
    elif not long:
        first, second = rest[:2]
    else:
        raise AxesFault(f'has shape {tuple(shape)}, {num_axes} axes', _to_pool(shape, long, layout))
    time, channel = (first, second) if layout == 'TC' else (second, first)
    return ArrayAxes(time, channel, pooled, num_axes)


def _to_pool(shape: Sequence[int], long: list[int], layout: str) -> list[int]:
    """A guess at what is to be averaged: neither the channels, the longest axis, nor the snippets.

    Snippets are the first axis, or in ``'CT'`` the one behind the channels.
    """
    channel = max(long[1:] if layout == 'TC' else long[:1], key=lambda axis: shape[axis])
    time = long[0] if layout == 'TC' else next(axis for axis in long if axis > channel)
    return [axis for axis in long if axis not in (time, channel)]
