"""All snippets of a data set in one tensor, from which whole batches of windows are gathered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from torch import Tensor

from mmsola.datasets.features.bank_file import bank_path, shared_map
from mmsola.datasets.features.feature_errors import feature_error
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.features.feature_writer import DTYPES
from mmsola.datasets.features.free_memory import free_memory
from mmsola.datasets.samplers import window_start
from mmsola.device import named_device
from mmsola.messages.argument_checks import check_argument, check_choice
from mmsola.messages.progress import progress

_READ_THREADS = 4
_READ_AHEAD = 8  # videos between the reading threads and the bank
_BAR_DELAY_SEC = 2
_LARGEST_HALF = 65504


class FeatureBank:
    """Snippet features of many videos, one after another in one tensor.

    Windows of an epoch are gathered where the features lie, without a loader, a file or a copy from
    the host in the way. It lies on the GPU if there is one and it fits, else in the host's memory.
    What does not fit there either is a memory-mapped file, made once and used again by later runs.
    All processes of a run use the same of the three.

    Args:
        videos: Store and name of each video.
        dtype: ``'float32'`` is what the loader would give; ``'float16'`` takes half the memory.
        device: ``'auto'`` (the GPU if there is one), or a device.
        memory_share: The bank may take this share of what is free, in the host's memory together
            with the other processes of this machine; 0 always maps a file.
        spill_dir: Where a memory-mapped file goes; None is :func:`cache_folder`.

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
        check_choice(self, 'dtype', dtype, DTYPES)
        check_argument(
            0 <= memory_share <= 1, self, 'memory_share', memory_share, 'a share in [0, 1]'
        )
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
        devices = list(dict.fromkeys([self.device, torch.device('cpu')]))
        fitting = _first_that_fits(devices, num_bytes / memory_share if memory_share else math.inf)
        self.device = fitting or torch.device('cpu')
        if fitting is not None:
            self.values = torch.empty(size, dtype=getattr(torch, dtype), device=fitting)
            self._fill(self.values, videos)
            where = f'on {fitting}'
        else:
            self.path = bank_path(videos, dtype, spill_dir)
            self.values = shared_map(
                self.path, size, dtype, lambda values: self._fill(values, videos)
            )
            where = f'too large for memory: mapped from {self.path}, which later runs use again'
        print_log(
            f'Feature bank: {len(videos)} videos, {size[0]} snippets, '
            f'{num_bytes / 1e9:.2f} GB of {dtype}, {where}.',
            'current',
        )

    def windows(self, video: np.ndarray, fraction: np.ndarray, window: int) -> Tensor:
        """One window of each of these videos.

        Args:
            video: ``(B,)`` indices of videos.
            fraction: ``(B,)`` in [0, 1): where the window lies, 0 at the beginning.
            window: Its length in snippets.

        Returns:
            ``(B, C, window)`` in float32, where the bank lies.
        """
        start = window_start(fraction, self.num_snippets[video], window)
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

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Snippets of one video, as ``FeatureStore.read`` has them: ``(stop - start, C)``."""
        video = self.index[name]
        first = int(self.first[video])
        stop = int(self.num_snippets[video]) if stop is None else stop
        return self.values[first + start : first + stop].float().cpu().numpy()

    def __deepcopy__(self, memo: dict) -> FeatureBank:
        return self  # never written to after it is filled

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


def _first_that_fits(devices: list[torch.device], num_bytes: float) -> torch.device | None:
    """The first device with that much free memory, in every process of the run."""
    fits = torch.tensor([int(num_bytes <= free_memory(device)) for device in devices])
    all_reduce(fits, 'min')
    return next((device for device, fit in zip(devices, fits.tolist()) if fit), None)
