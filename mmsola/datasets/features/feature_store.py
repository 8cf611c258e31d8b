"""Per-video feature sequences, whatever the container; reads windows, not files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from mmsola.datasets.features import check_cache
from mmsola.datasets.features.array_axes import ArrayAxes, AxesFault, axes_of
from mmsola.datasets.features.feature_errors import FeatureError, dtype_error, feature_error
from mmsola.datasets.features.open_container import open_container
from mmsola.files.file_names import leads_out
from mmsola.files.name_match import match_names
from mmsola.progress import progress

__all__ = ['FeatureError', 'FeatureStore']

_CHECK_THREADS = 4
_CHECK_BLOCK_BYTES = 16 << 20  # values are looked at in blocks of this size, whatever a file holds
_BAR_DELAY_SEC = 2
_NAMED = 5  # bad videos that a message describes before it only counts


class FeatureStore:
    """Snippet features of many videos: a folder with one file a video, or one HDF5 file.

    Window reads touch only their own bytes in npy, pt and HDF5; npz and csv are read whole once.
    Can be pickled and forked to DataLoader workers at any time.

    Args:
        root: A folder with csv, npy, npz or pt files, or one HDF5 file. Names of videos in
            sub-folders contain the folder: ``'train/abc'``.
        format: ``'auto'`` (the one that is there), ``'csv'``, ``'npy'``, ``'npz'``, ``'pt'`` or
            ``'hdf5'``.
        layout: How each array lies on disk: ``'TC'`` is (snippets, channels), ``'CT'`` the other
            way round. Axes of length 1 beside these two are left out.
        file_name: From a video's name to its file (without suffix) or HDF5 entry, for example
            ``'v_{name}'`` or ``'{name}_rgb'``. Files that do not match are not seen.
        entry: Which array to take where a file (npz, pt) or a video's group (HDF5) holds several.
        match_names: ``'usual'`` finds ``a.npy`` for a video ``v_a`` or ``a.mp4`` as well, where
            that is certain (:mod:`mmsola.files.name_match`); ``'exact'`` does not.
        num_channels: C. If None, the check takes what most videos have.
        pool_axes: Axes of the stored arrays to average over, such as ``[1]`` for ten crops
            ``(T, 10, C)``.
        cache: Keep csv and npz as npy in ``${MMSOLA_CACHE:-~/.cache/mmsola}`` when they are first
            read; it takes as much disk as npy does.

    Raises:
        FeatureError: There are no such features at ``root``.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        format: str = 'auto',
        layout: str = 'TC',
        file_name: str = '{name}',
        entry: str | None = None,
        num_channels: int | None = None,
        cache: bool = True,
        match_names: str = 'usual',
        pool_axes: Sequence[int] = (),
    ) -> None:
        if match_names not in ('usual', 'exact'):
            raise feature_error(
                f'match_names is {match_names!r}',
                "'usual' or 'exact'",
                'correct match_names in the config',
            )
        if layout not in ('TC', 'CT'):
            raise feature_error(
                f'layout is {layout!r}',
                "'TC' for (snippets, channels) or 'CT' for (channels, snippets)",
                'correct layout in the config',
            )
        if file_name.count('{name}') != 1:
            raise feature_error(
                f'file_name is {file_name!r}',
                "a template with {name} in it, such as 'v_{name}'",
                'correct file_name in the config',
            )
        self.root = os.path.expanduser(os.fspath(root))
        self.format = format
        self.layout = layout
        self.file_name = file_name
        self.entry = entry
        self.num_channels = num_channels
        self.pool_axes = tuple(pool_axes)
        self._container = open_container(self.root, format, entry, cache)
        self.match_names = match_names
        self._held_as: dict[str, str] = {}
        self._names: list[str] | None = None
        self._checked_shapes: dict[str, tuple[int, int]] = {}

    def names(self) -> list[str]:
        """Every video that the container holds, sorted.

        Raises:
            FeatureError: Not one of its files or entries fits ``file_name`` (and ``entry``).
        """
        if self._names is None:
            before, after = self.file_name.split('{name}')
            keys = self._container.keys()
            self._names = sorted(
                key[len(before) : len(key) - len(after)]
                for key in keys
                if key.startswith(before)
                and key.endswith(after)
                and len(key) > len(before) + len(after)
            )
            if not self._names:
                of_entry = '' if self.entry is None else f' with an entry {self.entry!r}'
                examples = ', '.join(map(repr, sorted(keys)[:3])) or f'nothing{of_entry}'
                raise feature_error(
                    f'{self.root}: no video found; it holds {examples}',
                    f'names like {self.file_name!r}{of_entry}',
                    'correct file_name or entry in the config',
                )
        return list(self._names)

    def find(self, names: Iterable[str]) -> dict[str, str]:
        """Match the names of videos with those held; which are held under another name, as that.

        From now on the store knows these videos by their own names too.
        """
        names = list(names)
        if self.match_names == 'usual' and any(name not in self for name in names):
            self._held_as = match_names(names, self.names())
        return dict(self._held_as)

    def __contains__(self, name: str) -> bool:
        return self._key(name) in self._container

    def __len__(self) -> int:
        return len(self.names())

    def stored_name(self, name: str) -> str:
        """The name of its file without suffix, or of its entry."""
        return self._key(name)

    def path(self, name: str) -> str:
        """Where this video lies or should lie: its file, or ``file::entry`` for HDF5."""
        return self._container.path(self._key(name))

    def stamp(self, name: str) -> tuple[int, int] | None:
        """Size in bytes and mtime in ns of the file of a video, None if it is not there."""
        return self._container.stamp(self._key(name))

    def shape(self, name: str) -> tuple[int, int]:
        """(T, C) of a video, snippets and channels; after a check at no cost.

        Raises:
            FeatureError: The video is missing, or its header cannot be used.
        """
        if name not in self._checked_shapes:
            return self._inspect(name)
        return self._checked_shapes[name]

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Snippets ``start`` to ``stop - 1`` of a video, a new float32 array (stop - start, C).

        Raises:
            FeatureError: The video is missing or cannot be used, or the window is not inside it.
                NaN and Inf are the check's to find, not looked for here.
        """
        array = self._call(self._container.open, name)
        num_snippets = self._usable_shape(name, array.shape, array.dtype)[0]
        stop = num_snippets if stop is None else stop
        if not 0 <= start < stop <= num_snippets:
            raise feature_error(
                f'{self.path(name)}: snippets {start} to {stop} are asked for, it has '
                f'{num_snippets}',
                f'0 <= start < stop <= {num_snippets}',
                'ask for a window inside the video',
            )
        try:
            window = self._axes(name, array.shape).window(array, start, stop)
        except (OSError, RuntimeError, ValueError) as error:  # a damaged block of an HDF5 file
            raise self._unreadable(name, error) from error
        return np.array(window, dtype=np.float32, order='C')

    def check(
        self, names: Iterable[str] | None = None, values: bool = True, progress: bool = True
    ) -> None:
        """Look at every video, and complain about all bad ones at once.

        First at shapes and types, then, with ``values``, for NaN and Inf. Files that passed and
        did not change since (by size and modification time) are not opened again.

        Args:
            names: The videos to look at; None for all.
            values: Look at the values, too.
            progress: Show a bar on stderr if it takes more than two seconds.

        Raises:
            FeatureError: Lists the first few bad videos and counts all.
        """
        wanted = self.names() if names is None else list(dict.fromkeys(names))
        # Stamps are taken before anything is read: a file that changes meanwhile is read next time.
        stamps = {name: self.stamp(name) for name in wanted}
        known = {
            name: passed
            for name, passed in check_cache.load(self.settings()).items()
            if stamps.get(name) == (passed.size, passed.mtime_ns)
        }
        unknown = [name for name in wanted if name not in known]
        if unknown:
            _ = unknown[0] in self  # a damaged HDF5 file is one problem, not one a video
        shapes, problems = _each(self._inspect, unknown, 'headers', progress)
        for name, passed in known.items():
            shapes[name] = (passed.num_snippets, passed.num_channels)
        if self.num_channels is None:
            problems.update(self._odd_channels(shapes))
        if values:
            unread = [
                name
                for name in wanted
                if name not in problems and not (name in known and known[name].values)
            ]
            problems.update(_each(self._inspect_values, unread, 'values', progress)[1])

        good = {name: shape for name, shape in shapes.items() if name not in problems}
        self._checked_shapes.update(good)
        passed_now = {}
        for name, shape in good.items():
            stamp = stamps[name]
            has_values = values or (name in known and known[name].values)
            if stamp is not None:
                passed_now[name] = check_cache.Passed(
                    stamp[0], stamp[1], shape[0], shape[1], has_values
                )
        if any(known.get(name) != passed for name, passed in passed_now.items()):
            check_cache.save(self.settings(), passed_now)
        if problems:
            lines = [problems[name] for name in wanted if name in problems]
            rest = f'\n... and {len(lines) - _NAMED} more' if len(lines) > _NAMED else ''
            raise FeatureError(
                f'{self.root}: {len(lines)} of {len(wanted)} videos cannot be used\n'
                + '\n'.join(f'- {line}' for line in lines[:_NAMED])
                + rest
            )

    def _key(self, name: str) -> str:
        if leads_out(name):
            raise feature_error(
                f'{self.root}: the name of video {name!r} leads out of it',
                'a name without .. or a root',
                'rename this entry of the annotation file',
            )
        return self.file_name.replace('{name}', self._held_as.get(name, name))

    def settings(self) -> dict[str, Any]:
        """How files become features: what remembered results depend on, besides the files."""
        return {
            'root': os.path.abspath(self.root),
            'format': self.format,
            'layout': self.layout,
            'file_name': self.file_name,
            'entry': self.entry,
            'num_channels': self.num_channels,
            **({'pool_axes': self.pool_axes} if self.pool_axes else {}),
        }

    def _call(self, of_container: Callable[[str], Any], name: str) -> Any:
        """Ask the container about a video that must be there."""
        key = self._key(name)
        if key not in self._container:
            examples = ', '.join(map(repr, self.names()[:3]))
            raise feature_error(
                f'{self.path(name)}: no features of video {name!r}; there are {len(self)} videos, '
                f'such as {examples}',
                'features of each video',
                'add them, or say how names become files with file_name=..., such as '
                "file_name='v_{name}'",
            )
        try:
            return of_container(key)
        except OSError as error:
            raise self._unreadable(name, error) from error

    def _unreadable(self, name: str, error: Exception) -> FeatureError:
        return feature_error(
            f'{self.path(name)}: cannot be read ({error})',
            'a complete, readable file',
            'correct its rights, or copy or download it again',
        )

    def _inspect(self, name: str) -> tuple[int, int]:
        return self._usable_shape(name, *self._call(self._container.header, name))

    def _usable_shape(self, name: str, stored: Sequence[int], dtype: Any) -> tuple[int, int]:
        """(T, C) of an array as it is stored, if it is one of snippet features."""
        where = self.path(name)
        axes = '(T, C)' if self.layout == 'TC' else '(C, T)'
        found = self._axes(name, stored)
        if getattr(dtype, 'kind', '') != 'f' or dtype.itemsize not in (2, 4, 8):
            raise dtype_error(where, dtype)
        num_snippets, num_channels = stored[found.time], stored[found.channel]
        if 0 in stored:
            what = 'snippets' if not num_snippets else 'values' if num_channels else 'channels'
            raise feature_error(
                f'{where}: has zero {what}, shape {tuple(stored)}',
                f'{axes} with at least one snippet',
                'extract this video again, or leave it out of the annotation file',
            )
        if self.num_channels not in (None, num_channels):
            if num_snippets == self.num_channels:
                raise self._transposed(f'{where}: shape {tuple(stored)}')
            raise feature_error(
                f'{where}: has {num_channels} channels, shape {tuple(stored)} read as {axes}',
                f'{self.num_channels} channels',
                'correct num_channels in the config, or extract this video again',
            )
        return int(num_snippets), int(num_channels)

    def _axes(self, name: str, stored: Sequence[int]) -> ArrayAxes:
        try:
            return axes_of(stored, self.layout, self.pool_axes)
        except AxesFault as fault:
            fix = 'squeeze the other axes when features are extracted'
            if fault.pool:
                convert = self._container.pooling_line(self._key(name), fault.pool)
                fix = (
                    'say which axes to average over, such as '
                    f'feature=dict(pool_axes={list(fault.pool)})'
                    + (f', or convert each file once: {convert}' if convert else '')
                )
            raise feature_error(
                f'{self.path(name)}: {fault}',
                f'2 axes, {"(T, C)" if self.layout == "TC" else "(C, T)"}: one vector for each '
                'snippet, beside axes of length 1',
                fix,
            ) from fault

    def _transposed(self, found: str) -> FeatureError:
        other, axes = ('CT', '(C, T)') if self.layout == 'TC' else ('TC', '(T, C)')
        return feature_error(
            f'{found} looks like {axes}',
            f'layout={self.layout!r}, as the config says',
            f"set layout='{other}'",
        )

    def _odd_channels(self, shapes: dict[str, tuple[int, int]]) -> dict[str, str]:
        """Videos whose channels differ from what most have, each with its complaint."""
        if len(shapes) < 2:
            return {}
        ((num_channels, count),) = Counter(c for _, c in shapes.values()).most_common(1)
        lengths = {snippets for snippets, _ in shapes.values()}
        if len(lengths) == 1 and 2 * count <= len(shapes):
            # All videos equally long, and hardly two of the same channels: the axes are swapped.
            raise self._transposed(
                f'{self.root}: axis {self.layout.index("T")} is {lengths.pop()} in all '
                f'{len(shapes)} videos while the other one varies; this'
            )
        return {
            name: str(
                feature_error(
                    f'{self.path(name)}: has {channels} channels',
                    f'{num_channels}, as {count} of {len(shapes)} videos have',
                    'extract this video again, or give num_channels if this one is right',
                )
            )
            for name, (_, channels) in shapes.items()
            if channels != num_channels
        }

    def _inspect_values(self, name: str) -> None:
        """Raise if a value of this video is NaN or Inf (in float32, as it will be used)."""
        if self._call(self._container.is_plainly_finite, name):
            return
        num_snippets, num_channels = self._inspect(name)
        block = max(1, _CHECK_BLOCK_BYTES // (4 * num_channels))
        count, first = 0, ''
        for start in range(0, num_snippets, block):
            features = self.read(name, start, min(start + block, num_snippets))
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
                f'{self.path(name)}: {count} of {num_snippets * num_channels} values are NaN or '
                f'Inf, the first is {first}',
                'finite values',
                'extract this video again, or leave it out of the annotation file',
            )


def _each(
    function: Callable[[str], Any], names: list[str], what: str, show: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """Results and complaints of a function, by name of the video; threads hide waiting for disk."""

    def call(name: str) -> Any:
        try:
            return function(name)
        except FeatureError as error:
            return error

    with ThreadPoolExecutor(_CHECK_THREADS) as threads:
        outcomes = progress(
            threads.map(call, names),
            f'Checking features, {what}',
            total=len(names),
            show=show,
            delay_sec=_BAR_DELAY_SEC,
        )
        by_name = dict(zip(names, outcomes, strict=True))
    problems = {name: str(out) for name, out in by_name.items() if isinstance(out, FeatureError)}
    return {name: out for name, out in by_name.items() if name not in problems}, problems
