"""Looks at every video of a feature store once, before a training does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from mmsola.datasets.features import check_cache
from mmsola.datasets.features.check_cache import Passed
from mmsola.datasets.features.feature_errors import FeatureError, feature_error
from mmsola.datasets.features.store_protocol import CheckedStore
from mmsola.messages.progress import progress

_THREADS = 4
_BLOCK_BYTES = 16 << 20  # values are looked at in blocks of this size, whatever a file holds
_BAR_DELAY_SEC = 2

Shapes = dict[str, tuple[int, int]]
T = TypeVar('T')


def check_features(
    store: CheckedStore, names: Sequence[str], values: bool, show_progress: bool
) -> tuple[Shapes, list[str]]:
    """Shapes (T, C) of the good ones of these videos, and a complaint about every other one.

    First come shapes and types, then, with ``values``, NaN and Inf. Files that passed before and
    did not change since (by size and modification time) are not opened again.

    Args:
        store: What reads them.
        names: The videos, each once.
        values: Look at the values, too.
        show_progress: Show a bar on stderr if it takes more than two seconds.

    Raises:
        FeatureError: All videos have one fault: a damaged container, or swapped axes.
    """
    # Stamps are read before anything else: a file that changes meanwhile is read next time.
    stamps = {name: store.stamp(name) for name in names}
    known = {
        name: passed
        for name, passed in check_cache.load(store.settings()).items()
        if stamps.get(name) == (passed.size, passed.mtime_ns)
    }
    unknown = [name for name in names if name not in known]
    if unknown:
        _ = unknown[0] in store  # a damaged HDF5 file is one problem, not one a video
    shapes, problems = _results(store.inspect, unknown, 'headers', show_progress)
    for name, passed in known.items():
        shapes[name] = (passed.num_snippets, passed.num_channels)
    if store.num_channels is None:
        problems.update(_odd_channels(store, shapes))
    has_values = {name for name, passed in known.items() if passed.values}
    if values:
        unread = [name for name in names if name not in problems and name not in has_values]
        problems.update(
            _results(lambda n: _check_values(store, n), unread, 'values', show_progress)[1]
        )
        has_values |= set(names)
    good = {name: shape for name, shape in shapes.items() if name not in problems}
    passed_now = {
        name: Passed(*stamp, *shape, name in has_values)
        for name, shape in good.items()
        if (stamp := stamps[name]) is not None
    }
    if any(known.get(name) != passed for name, passed in passed_now.items()):
        check_cache.save(store.settings(), passed_now)
    return good, [problems[name] for name in names if name in problems]


def _odd_channels(store: CheckedStore, shapes: Shapes) -> dict[str, str]:
    """Videos whose channels differ from what most have, each with its complaint."""
    if len(shapes) < 2:
        return {}
    ((num_channels, count),) = Counter(c for _, c in shapes.values()).most_common(1)
    lengths = {snippets for snippets, _ in shapes.values()}
    if len(lengths) == 1 and 2 * count <= len(shapes):
        # All videos equally long, and hardly two of the same channels: the axes are swapped.
        raise store.array_layout.transposed_error(
            f'{store.root}: axis {store.layout.index("T")} is {lengths.pop()} in all '
            f'{len(shapes)} videos while the other one varies; this'
        )
    return {
        name: str(
            feature_error(
                f'{store.path(name)}: has {channels} channels',
                f'{num_channels}, as {count} of {len(shapes)} videos have',
                'extract this video again, or give num_channels if this one is right',
            )
        )
        for name, (_, channels) in shapes.items()
        if channels != num_channels
    }


def _check_values(store: CheckedStore, name: str) -> None:
    """Raise if a value of this video is NaN or Inf (in float32, as it will be used)."""
    if store.is_plainly_finite(name):
        return
    num_snippets, num_channels = store.inspect(name)
    block = max(1, _BLOCK_BYTES // (4 * num_channels))
    count, first = 0, ''
    for start in range(0, num_snippets, block):
        features = store.read(name, start, min(start + block, num_snippets))
        is_finite = np.isfinite(features)
        if is_finite.all():
            continue
        snippets, channels = np.nonzero(~is_finite)
        if not count:
            kind = 'NaN' if np.isnan(features[snippets[0], channels[0]]) else 'Inf'
            first = f'{kind} at snippet {start + snippets[0]}, channel {channels[0]}'
        count += len(snippets)
    if count:
        raise feature_error(
            f'{store.path(name)}: {count} of {num_snippets * num_channels} values are NaN or '
            f'Inf, the first is {first}',
            'finite values',
            'extract this video again, or leave it out of the annotation file',
        )


def _results(
    function: Callable[[str], T], names: Sequence[str], what: str, show_progress: bool
) -> tuple[dict[str, T], dict[str, str]]:
    """Results and complaints of a function, by video; threads hide waiting for the disk."""

    def call(name: str) -> Any:
        try:
            return function(name)
        except FeatureError as error:
            return error

    with ThreadPoolExecutor(_THREADS) as threads:
        outcomes = progress(
            threads.map(call, names),
            f'Checking features, {what}',
            total=len(names),
            show=show_progress,
            delay_sec=_BAR_DELAY_SEC,
        )
        by_name = dict(zip(names, outcomes, strict=True))
    problems = {name: str(out) for name, out in by_name.items() if isinstance(out, FeatureError)}
    return {name: out for name, out in by_name.items() if name not in problems}, problems
