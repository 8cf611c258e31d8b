"""Snippet features in one HDF5 file."""

from __future__ import annotations

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

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_opened': None}

    def keys(self) -> list[str]:
        with self._damage_named(self.root):
            return self._keys_below(self._file(), '')

    def _keys_below(self, group: Any, prefix: str) -> list[str]:
        import h5py

        keys = []
        for name in group:
            # Asking for the class does not open the dataset: three times faster.
            kind = group.get(name, getclass=True)
            if kind is h5py.Dataset:
                if self.entry is None:
                    keys.append(prefix + name)
            elif kind is h5py.Group:
                child = group[name]
                if self.entry is not None and self.entry in child:
                    keys.append(prefix + name)
                else:
                    keys += self._keys_below(child, f'{prefix}{name}/')
        return keys

    def __contains__(self, key: str) -> bool:
        with self._damage_named(self.path(key)):
            return self._dataset_name(key) in self._file()

    def path(self, key: str) -> str:
        return f'{self.root}::{self._dataset_name(key)}'

    def stamp(self, key: str) -> tuple[int, int] | None:
        status = os.stat(self.root)
        return status.st_size, status.st_mtime_ns

    def open(self, key: str) -> Any:
        import h5py

        with self._damage_named(self.path(key)):
            self._refuse_other_files(key)
            dataset = self._file()[self._dataset_name(key)]
            if isinstance(dataset, h5py.Dataset):
                self._check_stored(key, dataset)
        if not isinstance(dataset, h5py.Dataset):
            entries = list(dataset)
            raise feature_error(
                f'{self.path(key)}: is a group that holds {", ".join(map(repr, entries[:5]))}',
                'a dataset',
                f'name the features with entry=..., such as entry={(entries or ["features"])[0]!r}',
            )
        return dataset

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
        import h5py

        group = self._file()
        for name in self._dataset_name(key).split('/'):
            if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                raise self._other_file(key, 'is a link into another file')
            group = group[name]

    def _check_stored(self, key: str, dataset: Any) -> None:
        """Compare what an entry claims with what the file stores of it."""
        if dataset.external or dataset.is_virtual:
            raise self._other_file(key, 'keeps its values in another file')
        if dataset.shape is None or dataset.dtype.kind != 'f':
            return  # refused by its shape and type
        stored = dataset.id.get_storage_size()
        filters = dataset.id.get_create_plist().get_nfilters()
        plain = dataset.nbytes if filters or stored >= dataset.nbytes else stored
        check_size(self.path(key), dataset.shape, dataset.dtype, plain, stored)

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
            except OSError as error:
                raise truncated_error(self.root, str(error)) from error
        return opened[1]
