"""All snippets of a data set in one place, from which whole batches of windows are gathered."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import all_reduce, barrier
from mmengine.logging import print_log
from torch import Tensor

from mmsola.atomic import replacing
from mmsola.datasets.features.cache_folder import cache_folder
from mmsola.datasets.features.feature_errors import FeatureError, feature_error
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.features.free_memory import free_memory
from mmsola.datasets.features.npy_file import map_npy
from mmsola.datasets.samplers import window_start
from mmsola.device import named_device
from mmsola.progress import progress

DTYPES = ('float32', 'float16')
_READ_THREADS = 4
_READ_AHEAD = 8  # videos between the reading threads and the bank
_BAR_DELAY_SEC = 2
_LARGEST_HALF = 65504
_STALE_SEC = 24 * 3600
_POLL_SEC = 0.2


class FeatureBank:
    """Snippet features of many videos, one after another in one tensor.

    Windows of an epoch are gathered where the features lie, without a loader, a file or a copy from
    the host in the way. It lies on the GPU if there is one and it fits, else in the host's memory.
    What does not fit there either is a memory-mapped file, made once and used again by later runs.
    All processes of a run take the same of the three.

    Args:
        videos: Store and name of each video.
        dtype: ``'float32'`` is what the loader would give; ``'float16'`` takes half the memory.
        device: ``'auto'`` (the GPU if there is one), or a device.
        memory_share: The bank may take this share of what is free, in the host's memory together
            with the other processes of this machine; 0 always maps a file.
        spill_dir: Where a memory-mapped file goes; None is ``${MMSOLA_CACHE:-~/.cache/mmsola}``.

    Raises:
        FeatureError: A value does not fit into ``dtype``, or the file does not fit onto its disk.
    """

    def __init__(
        self,
        videos: Sequence[tuple[FeatureStore, str]],
        dtype: str = 'float32',
        device: str | torch.device = 'auto',
        memory_share: float = 0.8,
        spill_dir: str | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f'FeatureBank: dtype is one of {DTYPES}, got {dtype!r}.')
        if not 0 <= memory_share <= 1:
            raise ValueError(f'FeatureBank: memory_share lies in [0, 1], got {memory_share}.')
        if device == 'auto':
            device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.device = named_device(device)
        shapes = [store.shape(name) for store, name in videos]
        widths = sorted({width for _, width in shapes})
        if len(widths) != 1:
            raise ValueError(
                f'FeatureBank: one bank holds features of one width, found {widths} channels.'
            )
        self.index = {name: i for i, (_, name) in enumerate(videos)}
        self.num_snippets = np.array([length for length, _ in shapes], np.int64)
        self.first = np.concatenate([[0], self.num_snippets.cumsum()[:-1]])
        size = (int(self.num_snippets.sum()), widths[0])
        num_bytes = size[0] * size[1] * np.dtype(dtype).itemsize
        self.path: Path | None = None
        places = list(dict.fromkeys([self.device, torch.device('cpu')]))
        place = _first_that_fits(places, num_bytes / memory_share if memory_share else math.inf)
        self.device = place or torch.device('cpu')
        if place is not None:
            self.values = torch.empty(size, dtype=getattr(torch, dtype), device=place)
            self._fill(self.values, videos)
            where = f'on {place}'
        else:
            self.path = _spill_path(videos, dtype, spill_dir)
            self.values = self._mapped(videos, size, dtype, num_bytes)
            where = f'too large for memory: mapped from {self.path}, which later runs use again'
        print_log(
            f'Feature bank: {len(videos)} videos, {size[0]} snippets, '
            f'{num_bytes / 1e9:.2f} GB of {dtype}, {where}.',
            'current',
        )

    def windows(self, video: np.ndarray, place: np.ndarray, window: int) -> Tensor:
        """One window of each of these videos.

        Args:
            video: ``(B,)`` indices of videos.
            place: ``(B,)`` in [0, 1): where the window lies, 0 at the beginning.
            window: Its length in snippets.

        Returns:
            ``(B, C, window)`` in float32, where the bank lies.
        """
        start = window_start(place, self.num_snippets[video], window)
        first = torch.from_numpy(self.first[video] + start).to(self.values.device)
        num_snippets, num_channels = self.values.shape
        # each row is a whole window, which begins where the row before it has its second snippet
        every_window = self.values.as_strided(
            (num_snippets - window + 1, window * num_channels), (num_channels, 1)
        )
        gathered = every_window.index_select(0, first).float()
        return gathered.unflatten(1, (window, num_channels)).transpose(1, 2)

    @property
    def on_gpu(self) -> bool:
        """Whether windows come from a GPU, which no worker of a loader can reach."""
        return self.device.type == 'cuda'

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Snippets of one video, as ``FeatureStore.read`` has them: ``(stop - start, C)``."""
        first = int(self.first[self.index[name]])
        return self.values[first + start : first + stop].float().cpu().numpy()

    def __deepcopy__(self, memo: dict) -> FeatureBank:
        return self  # never written to after it is filled

    def _mapped(
        self,
        videos: Sequence[tuple[FeatureStore, str]],
        size: tuple[int, int],
        dtype: str,
        num_bytes: int,
    ) -> Tensor:
        """The file, which one process of each machine makes while the others wait for it."""
        assert self.path is not None
        failure = self.path.with_suffix('.failed')
        is_writer = os.environ.get('LOCAL_RANK', '0') == '0'
        if is_writer:
            failure.unlink(missing_ok=True)  # of an earlier run
        barrier()
        if is_writer:
            if not _fits(self.path, size, dtype):
                try:
                    self._write(videos, size, dtype, num_bytes)
                except BaseException as error:
                    with suppress(OSError):
                        failure.write_text(str(error) or type(error).__name__, encoding='utf-8')
                    raise
        else:
            # no collective: it would give up after its timeout, however well the writing goes
            while not _fits(self.path, size, dtype):
                if failure.exists():
                    raise FeatureError(failure.read_text(encoding='utf-8'))
                time.sleep(_POLL_SEC)
        return _map(self.path)

    def _write(
        self,
        videos: Sequence[tuple[FeatureStore, str]],
        size: tuple[int, int],
        dtype: str,
        num_bytes: int,
    ) -> None:
        assert self.path is not None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            print_log(f'{self.path}: is damaged, and is made again.', 'current', logging.WARNING)
        for partial in self.path.parent.glob(f'.partial-*-{self.path.name}'):  # of a killed run
            if time.time() - partial.stat().st_mtime > _STALE_SEC:
                partial.unlink(missing_ok=True)
        with replacing(self.path) as partial:
            values = np.lib.format.open_memmap(partial, 'w+', np.dtype(dtype), size)
            _take_disk(partial, num_bytes)
            self._fill(torch.from_numpy(values), videos)
            values.flush()

    def _fill(self, values: Tensor, videos: Sequence[tuple[FeatureStore, str]]) -> None:
        with ThreadPoolExecutor(_READ_THREADS) as threads:
            ahead = [threads.submit(store.read, name) for store, name in videos[:_READ_AHEAD]]
            for i in progress(
                range(len(videos)), 'Filling the feature bank', delay_sec=_BAR_DELAY_SEC
            ):
                feature = torch.from_numpy(ahead[i % _READ_AHEAD].result())
                if i + _READ_AHEAD < len(videos):
                    store, name = videos[i + _READ_AHEAD]
                    ahead[i % _READ_AHEAD] = threads.submit(store.read, name)
                if values.dtype == torch.float16 and feature.abs().max() > _LARGEST_HALF:
                    store, name = videos[i]
                    raise feature_error(
                        f'{store.path(name)}: holds {feature.abs().max():.6g}',
                        f'values up to {_LARGEST_HALF}, for a feature bank in half precision',
                        "set bank=dict(dtype='float32'), or normalise the features",
                    )
                begin = int(self.first[i])
                values[begin : begin + len(feature)] = feature.to(values.device)


def _map(path: Path) -> Tensor:
    """The values of a bank, of which only what is used is read."""
    # read-only: a map that could be written to may not be larger than the memory
    values = np.load(path, mmap_mode='r', allow_pickle=False)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'The given NumPy array is not writable')
        return torch.from_numpy(values)


def _fits(path: Path, size: tuple[int, int], dtype: str) -> bool:
    """Whether a file holds a bank of this size and type, as far as header and length tell."""
    try:
        with path.open('rb') as stream:
            values = map_npy(stream, str(path), fix='')
    except (OSError, ValueError):
        return False
    return values.shape == size and values.dtype == np.dtype(dtype)


def _first_that_fits(places: list[torch.device], num_bytes: float) -> torch.device | None:
    """The first place with that much free memory, in every process of the run."""
    fits = torch.tensor([int(num_bytes <= free_memory(place)) for place in places])
    all_reduce(fits, 'min')
    return next((place for place, each in zip(places, fits.tolist()) if each), None)


def _take_disk(path: Path, num_bytes: int) -> None:
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


def _spill_path(
    videos: Sequence[tuple[FeatureStore, str]], dtype: str, spill_dir: str | None
) -> Path:
    """A name that changes with the files and how they are read."""
    digest = hashlib.sha256(dtype.encode())
    for store, name in videos:
        digest.update(json.dumps([store.settings(), name, store.stamp(name)]).encode())
    folder = Path(spill_dir).expanduser() if spill_dir else cache_folder() / 'banks'
    return folder / f'{digest.hexdigest()[:24]}.npy'
