"""How much memory a process may still take."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from mmsola.device import usable_device

_CGROUPS = Path('/sys/fs/cgroup')
_OWN_CGROUPS = Path('/proc/self/cgroup')
_PROCESSES = ('LOCAL_WORLD_SIZE', 'SLURM_NTASKS_PER_NODE', 'OMPI_COMM_WORLD_LOCAL_SIZE')


def free_memory(device: torch.device) -> int:
    """Bytes free on a GPU, or this process's share of those free in the host's memory.

    Raises:
        DeviceError: There is no such GPU.
    """
    if device.type == 'cuda':
        return torch.cuda.mem_get_info(usable_device(device))[0]
    # psutil knows the machine, not what a container or a cluster's job may take of it
    free = min([psutil.virtual_memory().available, *_left_by_limits()])
    processes = next((int(os.environ[key]) for key in _PROCESSES if key in os.environ), 1)
    return max(free, 0) // processes


def _left_by_limits() -> Iterator[int]:
    """What each limit of Linux's control groups on this process leaves, of both versions."""
    with contextlib.suppress(OSError):
        for line in _OWN_CGROUPS.read_text().splitlines():
            _, controllers, path = line.split(':', 2)
            if not controllers:
                root, limit, usage, prefix = _CGROUPS, 'memory.max', 'memory.current', ''
            elif 'memory' in controllers.split(','):
                root, prefix = _CGROUPS / 'memory', 'total_'
                limit, usage = 'memory.limit_in_bytes', 'memory.usage_in_bytes'
            else:
                continue
            group = root / path.lstrip('/')
            for folder in (group, *group.parents):
                # no such file, or 'max', which is no limit
                with contextlib.suppress(OSError, ValueError):
                    used = int((folder / usage).read_text()) - _file_cache(folder, prefix)
                    yield int((folder / limit).read_text()) - used
                if folder == root:
                    break


def _file_cache(folder: Path, prefix: str) -> int:
    """Bytes of files kept in memory, which are counted as used and given up when needed."""
    rows = (line.split() for line in (folder / 'memory.stat').read_text().splitlines())
    kept = {f'{prefix}active_file', f'{prefix}inactive_file'}
    return sum(int(value) for key, value in rows if key in kept)
