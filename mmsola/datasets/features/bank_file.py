"""The file of a feature bank that memory does not hold: made once, mapped by every process."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import barrier
from mmengine.logging import print_log
from torch import Tensor

from mmsola.atomic import replacing
from mmsola.datasets.features.cache_folder import cache_folder
from mmsola.datasets.features.feature_errors import FeatureError, feature_error
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.features.npy_file import map_npy

_STALE_SEC = 24 * 3600
_POLL_SEC = 0.2


def bank_path(
    videos: Sequence[tuple[FeatureStore, str]], dtype: str, spill_dir: str | None
) -> Path:
    """A name that changes with the files and how they are read."""
    digest = hashlib.sha256(dtype.encode())
    for store, name in videos:
        digest.update(json.dumps([store.settings(), name, store.stamp(name)]).encode())
    folder = Path(spill_dir).expanduser() if spill_dir else cache_folder() / 'banks'
    return folder / f'{digest.hexdigest()[:24]}.npy'


def shared_map(
    path: Path, size: tuple[int, int], dtype: str, fill: Callable[[Tensor], None]
) -> Tensor:
    """The values ``(snippets, C)`` of a file, which one process of each machine makes.

    The others wait for it.

    Args:
        path: Of the file; made only where it is not there yet.
        size: Snippets and channels.
        dtype: ``'float32'`` or ``'float16'``.
        fill: Writes all values.

    Raises:
        FeatureError: ``fill`` does, in whichever process; or the disk is too small.
    """
    failure = path.with_suffix('.failed')
    is_writer = os.environ.get('LOCAL_RANK', '0') == '0'
    if is_writer:
        failure.unlink(missing_ok=True)  # of an earlier run
    barrier()
    if is_writer:
        if not _fits(path, size, dtype):
            try:
                _write(path, size, dtype, fill)
            except BaseException as error:
                with suppress(OSError):
                    failure.write_text(str(error) or type(error).__name__, encoding='utf-8')
                raise
    else:
        # no collective: it would give up after its timeout, however well the writing goes
        while not _fits(path, size, dtype):
            if failure.exists():
                raise FeatureError(failure.read_text(encoding='utf-8'))
            time.sleep(_POLL_SEC)
    return map_values(path)


def map_values(path: Path) -> Tensor:
    """The values of a file, of which only what is used is read."""
    # read-only: a map that could be written to may not be larger than the memory
    values = np.load(path, mmap_mode='r', allow_pickle=False)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'The given NumPy array is not writable')
        return torch.from_numpy(values)


def _fits(path: Path, size: tuple[int, int], dtype: str) -> bool:
    """Whether a file holds a bank of this size and type, by its header and length."""
    try:
        with path.open('rb') as stream:
            values = map_npy(stream, str(path), fix='')
    except (OSError, ValueError):
        return False
    return values.shape == size and values.dtype == np.dtype(dtype)


def _write(path: Path, size: tuple[int, int], dtype: str, fill: Callable[[Tensor], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        print_log(f'{path}: is damaged, and is made again.', 'current', logging.WARNING)
    for partial in path.parent.glob(f'.partial-*-{path.name}'):  # of a killed run
        if time.time() - partial.stat().st_mtime > _STALE_SEC:
            partial.unlink(missing_ok=True)
    with replacing(path) as partial:
        values = np.lib.format.open_memmap(partial, 'w+', np.dtype(dtype), size)
        _reserve_disk(partial, values.nbytes)
        fill(torch.from_numpy(values))
        values.flush()


def _reserve_disk(path: Path, num_bytes: int) -> None:
    """Claim a file's room at once: a disk that fills up under a map would end the process."""
    free = shutil.disk_usage(path.parent).free
    try:
        if free < num_bytes:
            raise OSError(f'{free / 1e9:.1f} GB of disk are free')
        if hasattr(os, 'posix_fallocate'):
            with open(path, 'r+b') as file:
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise feature_error(
            f'{path.parent}: no room for the feature bank ({error})',
            f'{num_bytes / 1e9:.1f} GB, since it does not fit into memory',
            "name a larger disk, bank=dict(spill_dir=...), halve it, bank=dict(dtype='float16'), "
            'or do without, bank=None',
        ) from error
