"""Per-video feature sequences, whatever the container; reads windows, not files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from mmsola.datasets.features.array_layout import ArrayLayout
from mmsola.datasets.features.feature_check import check_features
from mmsola.datasets.features.feature_errors import FeatureError, feature_error
from mmsola.datasets.features.open_container import open_container
from mmsola.files.file_names import leads_out
from mmsola.files.name_match import match_names
from mmsola.messages.first_few import first_few

__all__ = ['FeatureError', 'FeatureStore']


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
        self.array_layout = ArrayLayout(layout, tuple(pool_axes), num_channels)
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
                examples = first_few(map(repr, sorted(keys)), 3) or f'nothing{of_entry}'
                raise feature_error(
                    f'{self.root}: no video found; it holds {examples}',
                    f'names like {self.file_name!r}{of_entry}',
                    'correct file_name or entry in the config',
                )
        return list(self._names)

    def find(self, names: Iterable[str]) -> dict[str, str]:
        """Match the names of videos with those held: which are held under which other name.

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
        return self._checked_shapes.get(name) or self.inspect(name)

    def inspect(self, name: str) -> tuple[int, int]:
        """(T, C) of a video, from its header.

        Raises:
            FeatureError: As :meth:`shape`.
        """
        shape, dtype = self._call(self._container.header, name)
        return self.array_layout.shape(self.path(name), shape, dtype, self._pooling_line(name))

    def is_plainly_finite(self, name: str) -> bool:
        """Whether it is clear without parsing the values that all are finite."""
        return self._call(self._container.is_plainly_finite, name)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Snippets ``start`` to ``stop - 1`` of a video, a new float32 array (stop - start, C).

        Raises:
            FeatureError: The video is missing or cannot be used, or the window is not inside it.
                NaN and Inf are the check's to find, not looked for here.
        """
        array = self._call(self._container.open, name)
        where, pooling_line = self.path(name), self._pooling_line(name)
        num_snippets = self.array_layout.shape(where, array.shape, array.dtype, pooling_line)[0]
        stop = num_snippets if stop is None else stop
        if not 0 <= start < stop <= num_snippets:
            raise feature_error(
                f'{where}: snippets {start} to {stop} are asked for, it has {num_snippets}',
                f'0 <= start < stop <= {num_snippets}',
                'ask for a window inside the video',
            )
        axes = self.array_layout.axes(where, array.shape, pooling_line)
        try:
            window = axes.window(array, start, stop)
        except (OSError, RuntimeError, ValueError) as error:  # a damaged block of an HDF5 file
            raise self._unreadable(name, error) from error
        return np.array(window, dtype=np.float32, order='C')

    def check(
        self, names: Iterable[str] | None = None, values: bool = True, progress: bool = True
    ) -> None:
        """Look at every video, and report all bad ones at once (see :mod:`feature_check`).

        Args:
            names: The videos to look at; None for all.
            values: Look at the values, too.
            progress: Show a bar on stderr if it takes more than two seconds.

        Raises:
            FeatureError: Lists the first few bad videos and counts all.
        """
        wanted = self.names() if names is None else list(dict.fromkeys(names))
        shapes, complaints = check_features(self, wanted, values, progress)
        self._checked_shapes.update(shapes)
        if complaints:
            raise FeatureError(
                f'{self.root}: {len(complaints)} of {len(wanted)} videos cannot be used\n'
                + first_few([f'- {line}' for line in complaints], separator='\n')
            )

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

    def _key(self, name: str) -> str:
        if leads_out(name):
            raise feature_error(
                f'{self.root}: the name of video {name!r} leads out of it',
                'a name without .. or a root',
                'rename this entry of the annotation file',
            )
        return self.file_name.replace('{name}', self._held_as.get(name, name))

    def _call(self, of_container: Callable[[str], Any], name: str) -> Any:
        """Ask the container about a video that must be there."""
        key = self._key(name)
        if key not in self._container:
            examples = first_few(map(repr, self.names()), 3)
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

    def _pooling_line(self, name: str) -> Callable[[tuple[int, ...]], str]:
        return lambda axes: self._container.pooling_line(self._key(name), axes)
