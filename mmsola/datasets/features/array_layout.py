"""From the array of a video as it is stored to snippets and channels, or why that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmsola.datasets.features.array_axes import ArrayAxes, AxesFault, axes_of
from mmsola.datasets.features.feature_errors import FeatureError, dtype_error, feature_error

# From axes to the shell line that averages a file over them; '' if there is none.
PoolingLine = Callable[[tuple[int, ...]], str]


@dataclass(frozen=True)
class ArrayLayout:
    """How each array lies on disk; arguments are those of ``FeatureStore``.

    Args:
        order: ``layout``: ``'TC'`` is (snippets, channels), ``'CT'`` the other way round.
        pool_axes: Axes to average over.
        num_channels: C; None takes any.
    """

    order: str = 'TC'
    pool_axes: tuple[int, ...] = ()
    num_channels: int | None = None

    @property
    def letters(self) -> str:
        """``'(T, C)'`` or ``'(C, T)'``."""
        return '(T, C)' if self.order == 'TC' else '(C, T)'

    def axes(self, where: str, stored: Sequence[int], pooling_line: PoolingLine) -> ArrayAxes:
        """Which axis of an array is what.

        Args:
            where: The file, for messages.
            stored: Shape of the array.
            pooling_line: For messages.

        Raises:
            FeatureError: It has too many axes or too few.
        """
        try:
            return axes_of(stored, self.order, self.pool_axes)
        except AxesFault as fault:
            fix = 'squeeze the other axes when features are extracted'
            if fault.pool:
                convert = pooling_line(fault.pool)
                fix = (
                    'say which axes to average over, such as '
                    f'feature=dict(pool_axes={list(fault.pool)})'
                    + (f', or convert each file once: {convert}' if convert else '')
                )
            raise feature_error(
                f'{where}: {fault}',
                f'2 axes, {self.letters}: one vector for each snippet, beside axes of length 1',
                fix,
            ) from fault

    def shape(
        self, where: str, stored: Sequence[int], dtype: Any, pooling_line: PoolingLine
    ) -> tuple[int, int]:
        """(T, C) of an array, if it is one of snippet features; arguments as of :meth:`axes`.

        Raises:
            FeatureError: It has other axes, another type, no snippet, or other channels.
        """
        axes = self.axes(where, stored, pooling_line)
        if getattr(dtype, 'kind', '') != 'f' or dtype.itemsize not in (2, 4, 8):
            raise dtype_error(where, dtype)
        num_snippets, num_channels = stored[axes.time], stored[axes.channel]
        if 0 in stored:
            what = 'snippets' if not num_snippets else 'values' if num_channels else 'channels'
            raise feature_error(
                f'{where}: has zero {what}, shape {tuple(stored)}',
                f'{self.letters} with at least one snippet',
                'extract this video again, or leave it out of the annotation file',
            )
        if self.num_channels not in (None, num_channels):
            if num_snippets == self.num_channels:
                raise self.transposed_error(f'{where}: shape {tuple(stored)}')
            raise feature_error(
                f'{where}: has {num_channels} channels, shape {tuple(stored)} read as '
                f'{self.letters}',
                f'{self.num_channels} channels',
                'correct num_channels in the config, or extract this video again',
            )
        return int(num_snippets), int(num_channels)

    def transposed_error(self, found: str) -> FeatureError:
        """The error of arrays that look as if they were of the other layout."""
        other, letters = ('CT', '(C, T)') if self.order == 'TC' else ('TC', '(T, C)')
        return feature_error(
            f'{found} looks like {letters}',
            f'layout={self.order!r}, as the config says',
            f"set layout='{other}'",
        )
