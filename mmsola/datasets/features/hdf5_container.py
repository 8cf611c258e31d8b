"""Snippet features in one HDF5 file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmsola.datasets.features.containers import Container
from mmsola.datasets.features.feature_errors import (
    FeatureError,
    check_size,
    feature_error,
    truncated_error,
)
from mmsola.messages.first_few import first_few


class Hdf5File(Container):
    """One HDF5 file with an entry a video, read by slices.

    HDF5 handles survive neither a fork nor a pickle, so each process opens its own when it needs
    it. ``entry`` names the dataset where the entry of a video is a group.
    """

    def __init__(self, root: str, entry: str | None = None) -> None:
        self.root = root
        self.entry = entry
        # Process and handle change together, as threads may look at them meanwhile.
        self._opened: tuple[int, Any] | None = None
        self._plain: set[str] = set()  # entries of the open file that need no second look

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_opened': None, '_plain': set()}

    def keys(self) -> list[str]:
        with self._damage_named(self.root):
            return self._keys_below(self._file(), '', set())

    def _keys_below(self, group: Any, prefix: str, visited: set[int]) -> list[str]:
        """Keys of all entries; damaged ones and links that lead nowhere too, for the check.

        Each group is visited once, since one that holds itself would have no end.
        """
        import h5py

        address = h5py.h5o.get_info(group.id).addr
        if address in visited:
            return []
        visited.add(address)
        keys = []
        for name in group:
            try:
                # Asking for the class does not open the dataset: three times faster. That of an
                # external link would open the other file.
                link = group.id.links.get_info(name.encode()).type
                is_local = link in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT)
                kind = group.get(name, getclass=True) if is_local else None
                if kind is h5py.Group:
                    child = group[name]
                    if self.entry is not None and self.entry in child:
                        keys.append(prefix + name)
                    else:
                        keys += self._keys_below(child, f'{prefix}{name}/', visited)
                elif kind is h5py.Dataset:
                    if self.entry is None:
                        keys.append(prefix + name)
                else:
                    keys.append(prefix + name)
            except FeatureError:
                raise
            except Exception:  # damaged: whoever opens it will say so
                keys.append(prefix + name)
        return keys

    def __contains__(self, key: str) -> bool:
        with self._damage_named(self.path(key)):
            name = self._dataset_name(key)
            return name in self._file() or self._file().get(name, getlink=True) is not None

    def path(self, key: str) -> str:
        return f'{self.root}::{self._dataset_name(key)}'

    def stamp(self, key: str) -> tuple[int, int] | None:
        status = os.stat(self.root)
        return status.st_size, status.st_mtime_ns

    def open(self, key: str) -> Any:
        import h5py

        with self._damage_named(self.path(key)):
            file = self._file()
            if key not in self._plain:
                self._refuse_other_files(key)
            dataset = file[self._dataset_name(key)]
            if not isinstance(dataset, h5py.Dataset):
                raise self._no_dataset(key, dataset)
            if dataset.shape is None:
                raise truncated_error(self.path(key), 'has no values')
            if key not in self._plain:
                self._check_stored(key, dataset)
                self._plain.add(key)
        return dataset

    def _no_dataset(self, key: str, found: Any) -> FeatureError:
        import h5py

        entries = list(found) if isinstance(found, h5py.Group) else []
        kind = type(found).__name__.lower()
        return feature_error(
            f'{self.path(key)}: is a {kind} that holds {first_few(map(repr, entries))}',
            'a dataset',
            f'name the features with entry=..., such as entry={(entries or ["features"])[0]!r}',
        )

    @contextmanager
    def _damage_named(self, where: str) -> Iterator[None]:
        """Name the file or entry, since h5py meets damaged bytes with whatever Python raises."""
        try:
            yield
        except FeatureError:
            raise
        except Exception as error:
            raise truncated_error(where, f'{type(error).__name__}: {error}') from error

    def _refuse_other_files(self, key: str) -> None:
        """Refuse an entry on whose path a link leads into another file."""
        group = self._file()
        *groups, last = self._dataset_name(key).split('/')
        for name in groups:
            self._refuse_external_link(key, group, name)
            group = group[name]
        self._refuse_external_link(key, group, last)

    def _refuse_external_link(self, key: str, group: Any, name: str) -> None:
        import h5py

        if group.id.links.get_info(name.encode()).type == h5py.h5l.TYPE_EXTERNAL:
            raise self._other_file(key, 'is a link into another file')

    def _check_stored(self, key: str, dataset: Any) -> None:
        """Compare what an entry claims with what the file stores of it."""
        import h5py

        created = dataset.id.get_create_plist()
        if created.get_layout() == h5py.h5d.VIRTUAL or created.get_external_count():
            raise self._other_file(key, 'keeps its values in another file')
        shape, dtype = dataset.shape, dataset.id.dtype
        claimed = math.prod(shape) * dtype.itemsize
        stored = dataset.id.get_storage_size()
        is_packed = created.get_nfilters() > 0
        # chunks at the edge are stored whole, so more may be stored than is claimed
        plain = claimed if is_packed or stored >= claimed else stored
        check_size(self.path(key), shape, dtype, plain, stored)
        if created.get_layout() == h5py.h5d.CHUNKED:  # a chunk is read whole
            chunk = created.get_chunk()
            check_size(self.path(key), chunk, dtype, math.prod(chunk) * dtype.itemsize, stored)

    def _other_file(self, key: str, found: str) -> FeatureError:
        return feature_error(
            f'{self.path(key)}: {found}',
            'values in the HDF5 file itself',
            'write the features into one file, or leave this entry out',
        )

    def _dataset_name(self, key: str) -> str:
        return key if self.entry is None else f'{key}/{self.entry}'

    def _file(self) -> Any:
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            import h5py

            if opened is not None:
                # Inherited by a fork. Left open, HDF5 would hand out the parent's descriptor again
                # and both processes would move the same file position.
                opened[1].close()
            try:
                opened = self._opened = (os.getpid(), h5py.File(self.root, 'r'))
                self._plain = set()
            except OSError as error:
                raise truncated_error(self.root, str(error)) from error
        return opened[1]
