"""Snippet features in one HDF5 file."""

from __future__ import annotations

import os
from typing import Any

from mmsola.datasets.features.containers import Container
from mmsola.datasets.features.feature_errors import feature_error, truncated_error


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
        return self._dataset_name(key) in self._file()

    def path(self, key: str) -> str:
        return f'{self.root}::{self._dataset_name(key)}'

    def stamp(self, key: str) -> tuple[int, int] | None:
        status = os.stat(self.root)
        return status.st_size, status.st_mtime_ns

    def open(self, key: str) -> Any:
        import h5py

        try:
            dataset = self._file()[self._dataset_name(key)]
        except (KeyError, RuntimeError) as error:
            raise truncated_error(self.path(key), str(error)) from error
        if not isinstance(dataset, h5py.Dataset):
            entries = list(dataset)
            raise feature_error(
                f'{self.path(key)}: is a group that holds {", ".join(map(repr, entries[:5]))}',
                'a dataset',
                f'name the features with entry=..., such as entry={(entries or ["features"])[0]!r}',
            )
        return dataset

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
