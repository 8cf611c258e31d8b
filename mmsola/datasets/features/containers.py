"""The files that hold snippet features: one small class for each kind of container.

A container knows its videos by *key*: the path of a file below the folder without its suffix, or
the path of an entry in an HDF5 file. It hands out arrays as they are stored; what they mean is the
feature store's business. Nothing here ever unpickles: feature files come from strangers.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from mmsola.datasets.features import array_cache
from mmsola.datasets.features.feature_errors import (
    FeatureError,
    check_size,
    dtype_error,
    feature_error,
    pickled_error,
    truncated_error,
)
from mmsola.datasets.features.feature_files import files_by_suffix
from mmsola.datasets.features.npy_file import map_npy, npy_header
from mmsola.files.torch_archive import packed_entries


class Container:
    """What a feature store needs to know of its files, whatever their kind."""

    def keys(self) -> list[str]:
        raise NotImplementedError

    def __contains__(self, key: str) -> bool:
        raise NotImplementedError

    def path(self, key: str) -> str:
        """Where the video lies, for messages."""
        raise NotImplementedError

    def stamp(self, key: str) -> tuple[int, int] | None:
        """Size in bytes and mtime in ns of the file of this video, None if it is not there."""
        raise NotImplementedError

    def open(self, key: str) -> Any:
        """Something with ``shape``, ``dtype`` and slices, on disk where the container allows."""
        raise NotImplementedError

    def header(self, key: str) -> tuple[tuple[int, ...], Any]:
        """Shape and dtype, without the values where the container allows."""
        array = self.open(key)
        return array.shape, array.dtype

    def is_plainly_finite(self, key: str) -> bool:
        """Whether it is clear without parsing the values that all are finite."""
        return False

    def pooling_line(self, key: str, axes: tuple[int, ...]) -> str:
        """The shell line that averages the array of this video over axes; '' if there is none."""
        return ''


class Folder(Container):
    """One file a video, in a folder and its sub-folders."""

    suffix = ''

    def __init__(self, root: str, entry: str | None = None, cache: bool = False) -> None:
        self.root = root
        self.entry = entry
        self.cache = cache

    def keys(self) -> list[str]:
        return files_by_suffix(self.root).get(self.suffix, [])

    def __contains__(self, key: str) -> bool:
        return os.path.isfile(self.path(key))

    def path(self, key: str) -> str:
        return os.path.join(self.root, key + self.suffix)

    def stamp(self, key: str) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path(key))
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns

    def opened(self, key: str) -> BinaryIO:
        """The file, which must not be empty."""
        stream = open(self.path(key), 'rb')  # noqa: SIM115 - the caller closes it
        if not os.fstat(stream.fileno()).st_size:
            stream.close()
            raise feature_error(
                f'{self.path(key)}: is empty (0 bytes)',
                'a feature file',
                'copy, download or extract it again',
            )
        return stream

    def once(self, key: str, parse: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a file that is slow to read, from the cache if it has been read before."""
        stamp = self.stamp(key)
        if not self.cache or stamp is None:
            return parse()
        return array_cache.load_or_parse(
            (os.path.abspath(self.path(key)), self.entry), stamp, parse
        )

    def select(self, key: str, entries: list[str]) -> str:
        """The entry to take from a file that holds several arrays."""
        if self.entry is None and len(entries) == 1:
            return entries[0]
        if self.entry in entries:
            assert self.entry is not None
            return self.entry
        found = ', '.join(map(repr, entries)) or 'nothing'
        raise feature_error(
            f'{self.path(key)}: holds {found}',
            'one array' if self.entry is None else f'an entry {self.entry!r}',
            f'name the features with entry=..., such as entry={(entries or ["features"])[0]!r}',
        )


class NpyFolder(Folder):
    """``.npy``: mapped into memory, so that a window costs no more than its own bytes."""

    suffix = '.npy'

    def open(self, key: str) -> np.ndarray:
        path = self.path(key)
        with self.opened(key) as stream:
            return map_npy(stream, path, _NPY_FIX.format(path=path))

    def pooling_line(self, key: str, axes: tuple[int, ...]) -> str:
        return (
            f'python -c "import numpy as np; p = {self.path(key)!r}; '
            f'np.save(p, np.load(p).mean({axes}))"'
        )


class NpzFolder(Folder):
    """``.npz``: read whole, since its arrays may be compressed; once, where a cache keeps them."""

    suffix = '.npz'

    def header(self, key: str) -> tuple[tuple[int, ...], Any]:
        return self._member(key, with_values=False)

    def open(self, key: str) -> np.ndarray:
        return self.once(key, lambda: self._member(key, with_values=True))

    def _member(self, key: str, with_values: bool) -> Any:
        path = self.path(key)
        with self.opened(key) as stream:
            try:
                with zipfile.ZipFile(stream) as archive:
                    entries = [name[:-4] for name in archive.namelist() if name.endswith('.npy')]
                    entry = self.select(key, entries)
                    info = archive.getinfo(f'{entry}.npy')
                    with archive.open(info) as member:
                        shape, _, dtype = npy_header(member, path, _NPZ_FIX.format(path=path))
                        check_size(
                            path, shape, dtype, info.file_size - member.tell(), info.compress_size
                        )
                    if not with_values:
                        return shape, dtype
                    with archive.open(f'{entry}.npy') as member:
                        return npy_format.read_array(member, allow_pickle=False)
            except FeatureError:
                raise
            except OSError:
                raise
            except Exception as error:  # damaged, encrypted, an unknown compression, ...
                raise truncated_error(path, f'{type(error).__name__}: {error}') from error


class PtFolder(Folder):
    """``.pt``: a tensor, or a dict of tensors, mapped into memory by torch."""

    suffix = '.pt'

    def pooling_line(self, key: str, axes: tuple[int, ...]) -> str:
        if self.entry is not None:
            return ''
        return (
            f'python -c "import torch; p = {self.path(key)!r}; '
            f'torch.save(torch.load(p, weights_only=True).mean({axes}), p)"'
        )

    def open(self, key: str) -> np.ndarray:
        import torch

        path = self.path(key)
        with self.opened(key) as stream:
            # Files of torch < 1.6 are no zip archives and cannot be mapped.
            is_archive = stream.read(4) == b'PK\x03\x04'
        if is_archive and packed_entries(path):
            raise truncated_error(path, f'{packed_entries(path)[0]!r} in it is compressed')
        try:
            content = torch.load(path, map_location='cpu', mmap=is_archive, weights_only=True)
        except pickle.UnpicklingError as error:
            raise pickled_error(path, _PT_FIX.format(path=path)) from error
        except OSError:
            raise
        except Exception as error:  # PyTorch meets damaged bytes with whatever Python raises
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise truncated_error(path, text) from error
        if isinstance(content, dict):
            content = content[self.select(key, list(content))]
        elif self.entry is not None:
            raise feature_error(
                f'{path}: holds no entries but a {type(content).__name__}',
                f'a dict of tensors with an entry {self.entry!r}',
                'leave out entry',
            )
        if isinstance(content, np.ndarray):  # loads only where NumPy is on torch's allow-list
            return content
        if not isinstance(content, torch.Tensor):
            raise dtype_error(path, type(content).__name__)
        try:
            claimed, stored = content.numel() * content.itemsize, content.untyped_storage().nbytes()
            if claimed > stored:  # expanded: rows that are no rows of the file
                raise truncated_error(
                    path, f'holds {stored} bytes, shape {tuple(content.shape)} takes {claimed}'
                )
            return content.detach().numpy()
        except (TypeError, RuntimeError) as error:  # bfloat16, sparse, quantized
            raise dtype_error(path, content.dtype) from error


_NPY_FIX = (
    'python -c "import numpy as np; p = {path!r}; '
    "np.save(p, np.load(p, allow_pickle=True).astype('float32'))\""
)
_NPZ_FIX = (
    'python -c "import numpy as np; p = {path!r}; d = dict(np.load(p, allow_pickle=True)); '
    "np.savez(p, **{{k: v.astype('float32') for k, v in d.items()}})\""
)
_PT_FIX = (
    'python -c "import torch; p = {path!r}; '
    'torch.save(torch.as_tensor(torch.load(p, weights_only=False)).float(), p)"'
)
