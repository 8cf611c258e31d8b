"""How two ways of doing the same are measured side by side, and what is said about them."""

from __future__ import annotations

import gc
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch

only_trying_out = False  # numbers do not matter
DEVICE = torch.device('cuda' if torch.cuda.is_available() else 'cpu')


@dataclass
class Row:
    """One line of the table: what was measured, the plain way and ours, once a repeat."""

    what: str
    unit: str
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    before_is: str = ''
    after_is: str = ''
    must: str = ''  # what was asked for on two cores, and in brackets what was hoped for
    gpu_must: str = ''  # the same of a GPU
    shows: str = 'gain'  # before / after; 'growth' is after / before, 'extra' that in percent more

    def cells(self) -> list[str]:
        """The row as text: medians, and the median of the repeats' ratios with their range."""
        before, after = (statistics.median(side) for side in (self.before, self.after))
        pairs = list(zip(self.before, self.after))
        if self.shows == 'extra':
            extras = sorted(100 * (a / b - 1) for b, a in pairs)
            ratio = f'{statistics.median(extras):+.1f} % [{extras[0]:+.1f}, {extras[-1]:+.1f}]'
        elif self.shows == 'share':
            ratio = f'[{min(self.after):.1f}, {max(self.after):.1f}]'
        else:
            ratios = sorted(b / a if self.shows == 'gain' else a / b for b, a in pairs)
            ratio = f'{statistics.median(ratios):.3g}x [{ratios[0]:.3g}, {ratios[-1]:.3g}]'
        return [
            self.what,
            f'{_short(before)} {self.unit} ({self.before_is})',
            f'{_short(after)} {self.unit} ({self.after_is})',
            ratio,
            self.must if DEVICE.type == 'cpu' else self.gpu_must,
        ]


def seconds(function: Callable[[], Any], number: int = 1) -> float:
    """Seconds of one call, a mean over ``number`` of them; a GPU is waited for."""
    _wait()
    began = time.perf_counter()
    for _ in range(number):
        function()
    _wait()
    return (time.perf_counter() - began) / number


def _wait() -> None:
    if DEVICE.type == 'cuda':
        torch.cuda.synchronize()


def side_by_side(
    row: Row,
    before: Callable[[], float],
    after: Callable[[], float],
    repeats: int,
    warm_up: bool = True,
) -> Row:
    """Measure both in turns, so that what disturbs the machine disturbs both."""
    if warm_up:
        before(), after()
    for i in range(repeats):
        gc.collect()
        for side in ('before', 'after') if i % 2 == 0 else ('after', 'before'):
            getattr(row, side).append((before if side == 'before' else after)())
    return row


def in_a_process(function: Callable[..., Any], *args: Any) -> Any:
    """Call it in a fresh process, whose memory nobody else has used; here if only trying out."""
    if only_trying_out:
        return function(*args)
    with multiprocessing.get_context('spawn').Pool(1, initializer=_to_stderr) as pool:
        return pool.apply(function, args)


def _to_stderr() -> None:
    sys.stdout = sys.stderr  # stdout has the table


def peak_megabytes(function: Callable[[], Any]) -> float:
    """Greatest memory during a call above what was taken before it.

    Raises:
        SystemExit: There is no GPU, and this is not Linux, whose /proc is read.
    """
    if DEVICE.type == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    if not Path('/proc/self/clear_refs').exists():
        raise SystemExit(
            'memory is measured on Linux only; leave out bmn, gtad, neck, one_stage and scale.'
        )
    gc.collect()
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak of what was before
    before = psutil.Process().memory_info().rss
    function()
    lines = Path('/proc/self/status').read_text().splitlines()
    (peak_kib,) = (int(line.split()[1]) for line in lines if line.startswith('VmHWM:'))
    return (peak_kib * 1024 - before) / 1e6


def has_fast_bfloat16() -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if DEVICE.type == 'cuda':
        return torch.cuda.get_device_capability()[0] >= 8
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, 'get_capabilities') else {}
    return bool(known.get('avx512_bf16') or known.get('amx_bf16'))


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    cpu = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.exists():
        names = [x for x in info.read_text().splitlines() if x.startswith('model name')]
        cpu = names[0].split(':', 1)[1].strip() if names else cpu
    return {
        'device': DEVICE.type,
        'cpu': cpu,
        'cores': psutil.cpu_count(logical=False),
        'threads': torch.get_num_threads(),
        'memory_gb': round(psutil.virtual_memory().total / 1e9, 1),
        'gpu': torch.cuda.get_device_name() if DEVICE.type == 'cuda' else None,
        'load_at_start': psutil.getloadavg()[0],
        'python': platform.python_version(),
        'torch': str(torch.__version__),
    }


def _short(value: float) -> str:
    return f'{value:.3g}' if value < 1000 else f'{value:,.0f}'
