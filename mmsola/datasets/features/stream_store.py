"""Features of several streams of one video, such as RGB and flow, joined along the channels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmsola.datasets.features.feature_errors import FeatureError, feature_error
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.messages.first_few import first_few
from mmsola.messages.main_process_log import log_in_main_process


class StreamStore(FeatureStore):
    """Two or more feature stores as one, whose channels are those of all streams in their order.

    Extractions of RGB and of flow often differ by a snippet or two. What one stream has more than
    another is cut off its end, and how often is logged once.

    Args:
        root: The folder in which the streams lie.
        streams: Each a folder or file below ``root``, or arguments of :class:`FeatureStore` that
            differ, such as ``dict(root='rgb', file_name='{name}_rgb')``.
        num_channels: C of all streams together.
        max_surplus: Snippets by which streams of a video may differ.
        settings: Arguments of :class:`FeatureStore` for every stream.

    Raises:
        FeatureError: There are no such features.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        streams: Sequence[str | dict[str, Any]],
        num_channels: int | None = None,
        max_surplus: int = 2,
        **settings: Any,
    ) -> None:
        self.root = os.path.expanduser(os.fspath(root))
        self.num_channels = num_channels
        self.max_surplus = max_surplus
        if isinstance(streams, str) or len(streams) < 2:
            raise feature_error(
                f'{self.root}: streams={streams!r}',
                "two streams or more, such as streams=['rgb', 'flow']",
                'correct streams in the config, or leave it out',
            )
        self.stores = []
        for stream in streams:
            own = {'root': stream} if isinstance(stream, str) else dict(stream)
            path = Path(self.root, own.pop('root', ''))
            self.stores.append(FeatureStore(path, **{**settings, **own}))
        self._has_logged_surplus = False

    def names(self) -> list[str]:
        """Every video that all streams hold, sorted.

        Raises:
            FeatureError: There is none.
        """
        return list(self._common)

    @cached_property
    def _common(self) -> list[str]:
        names = [set(store.names()) for store in self.stores]
        common = sorted(set.intersection(*names))
        if not common:
            examples = ', '.join(
                f'{store.root} such as {store.names()[0]!r}' for store in self.stores
            )
            raise feature_error(
                f'{self.root}: no video is in all of its streams: {examples}',
                'files of one name in each stream',
                "say how names become files, such as streams=[dict(root='rgb', "
                "file_name='{name}_rgb'), ...]",
            )
        return common

    def find(self, names: Iterable[str]) -> dict[str, str]:
        """As of a single store; in each stream on its own."""
        names = list(names)
        found: dict[str, str] = {}
        for store in self.stores:
            found.update(store.find(names))
        return found

    def __contains__(self, name: str) -> bool:
        return all(name in store for store in self.stores)

    def stored_name(self, name: str) -> str:
        """That in the first stream."""
        return self.stores[0].stored_name(name)

    def path(self, name: str) -> str:
        """Where the video lies in the first stream, or in the first that lacks it."""
        lacking = (store for store in self.stores if name not in store)
        return next(lacking, self.stores[0]).path(name)

    def stamp(self, name: str) -> tuple[int, int] | None:
        """Bytes of all files of a video and the newest of their times, None if one is not there."""
        stamps = [store.stamp(name) for store in self.stores]
        there = [stamp for stamp in stamps if stamp is not None]
        if len(there) < len(stamps):
            return None
        return sum(size for size, _ in there), max(time for _, time in there)

    def shape(self, name: str) -> tuple[int, int]:
        """(T, C): the snippets that all streams have, and the channels of all.

        Raises:
            FeatureError: The video is missing, a header cannot be used, or lengths differ by more
                than ``max_surplus``.
        """
        shapes = [store.shape(name) for store in self.stores]
        lengths = [length for length, _ in shapes]
        num_channels = sum(channels for _, channels in shapes)
        where = ', '.join(
            f'{store.path(name)} has {length}' for store, length in zip(self.stores, lengths)
        )
        if max(lengths) - min(lengths) > self.max_surplus:
            raise feature_error(
                f'{name}: its streams differ by {max(lengths) - min(lengths)} snippets: {where}',
                f'streams that differ by {self.max_surplus} at most',
                'extract both at one stride and frame rate, or raise max_surplus if the surplus '
                'is known to lie at the end',
            )
        if self.num_channels not in (None, num_channels):
            of_each = ' + '.join(str(channels) for _, channels in shapes)
            raise feature_error(
                f'{name}: its streams have {of_each} channels, {num_channels} together',
                f'{self.num_channels} channels',
                'correct num_channels, which is that of all streams, or streams in the config',
            )
        return min(lengths), num_channels

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Snippets ``start`` to ``stop - 1``, float32 ``(stop - start, C)``.

        Raises:
            FeatureError: As of a single store.
        """
        num_snippets = self.shape(name)[0]
        stop = num_snippets if stop is None else stop
        if not 0 <= start < stop <= num_snippets:
            raise feature_error(
                f'{name}: snippets {start} to {stop} are asked for, its streams have '
                f'{num_snippets} in common',
                f'0 <= start < stop <= {num_snippets}',
                'ask for a window inside the video',
            )
        return np.concatenate([store.read(name, start, stop) for store in self.stores], axis=1)

    def check(
        self, names: Iterable[str] | None = None, values: bool = True, progress: bool = True
    ) -> None:
        """Look at every video of every stream, then at whether they are equally long.

        Raises:
            FeatureError: Lists the first few bad videos and counts all.
        """
        wanted = self.names() if names is None else list(dict.fromkeys(names))
        for store in self.stores:
            store.check(wanted, values, progress)
        problems, surplus = [], []
        for name in wanted:
            try:
                self.shape(name)
            except FeatureError as error:
                problems.append(str(error))
                continue
            lengths = [store.shape(name)[0] for store in self.stores]
            if max(lengths) > min(lengths):
                surplus.append(f'{name} ({" and ".join(map(str, lengths))})')
        if problems:
            raise FeatureError(
                f'{self.root}: the streams of {len(problems)} of {len(wanted)} videos do not fit '
                'each other\n' + first_few([f'- {problem}' for problem in problems], separator='\n')
            )
        if surplus and not self._has_logged_surplus:
            self._has_logged_surplus = True
            log_in_main_process(
                f'{self.root}: in {len(surplus)} of {len(wanted)} videos one stream has up to '
                f'{self.max_surplus} snippets more, which are cut off its end: '
                f'{first_few(surplus)}'
            )

    def settings(self) -> dict[str, Any]:
        """How files become features: what remembered results depend on, besides the files."""
        return {'streams': [store.settings() for store in self.stores]}


def streams_of(names: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Folders, of which each holds one of the wanted videos: they are streams, and not videos.

    Examples:
        >>> streams_of(['flow/a', 'flow/b', 'rgb/a', 'rgb/b'], ['a', 'b'])
        ['flow', 'rgb']
    """
    searched = set(wanted)
    folders = {name.partition('/')[0] for name in names if name.partition('/')[2] in searched}
    return sorted(folders) if len(folders) > 1 else []


def open_features(root: str | os.PathLike[str], **feature: Any) -> FeatureStore:
    """The features at ``root``, of one stream or, with ``streams``, of several.

    Args:
        root: A folder, or one HDF5 file.
        feature: Arguments of :class:`FeatureStore` or :class:`StreamStore`, as the data sets'
            ``feature`` has them.

    Raises:
        FeatureError: There are no such features.
    """
    if feature.get('streams') is None:
        feature.pop('streams', None)
        return FeatureStore(root, **feature)
    return StreamStore(root, **feature)
