"""How much memory a process may still take."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil
import torch

_CGROUP = Path('/sys/fs/cgroup')


def free_memory(device: torch.device) -> int:
    """Bytes free on a GPU, or this process's share of those free in the host's memory."""
    if device.type == 'cuda':
        return torch.cuda.mem_get_info(device)[0]
    free = [psutil.virtual_memory().available]
    # psutil knows the machine, not what a container or a cluster's job may take of it
    with contextlib.suppress(OSError, ValueError):  # no such file, or 'max', which is no limit
        limit = int((_CGROUP / 'memory.max').read_text())
        free.append(limit - int((_CGROUP / 'memory.current').read_text()))
    return max(min(free), 0) // int(os.environ.get('LOCAL_WORLD_SIZE', '1'))
