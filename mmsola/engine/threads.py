"""Threads of a run on a CPU: a setting of the config, since figures depend on it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from threadpoolctl import threadpool_limits

#: Of a config that does not say it.
DEFAULT_THREADS = 1

_VARIABLES = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS')


class ThreadsError(ValueError):
    """``num_threads`` of a config is no number of threads."""


def threads_of(cfg: Mapping[str, Any]) -> int:
    """``num_threads`` of a config.

    Raises:
        ThreadsError: It is no whole number above 0.
    """
    number = cfg.get('num_threads', DEFAULT_THREADS)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ThreadsError(f'num_threads is {number!r}; expected a whole number, 1 or more.')
    return number


def compute_with_threads(number: int) -> None:
    """Let this process compute with so many threads, whatever the machine and environment have.

    Sums are split among threads, and another split rounds otherwise. Call it before anything is
    computed; processes that are started later inherit it.
    """
    for variable in _VARIABLES:
        os.environ[variable] = str(number)
    torch.set_num_threads(number)
    threadpool_limits(number)  # of NumPy, SciPy and scikit-learn


def threads_line(number: int) -> str:
    """What a log says of it."""
    return (
        f'Computing with {number} CPU thread{"s" * (number != 1)} (num_threads in the config; '
        'another number gives slightly other figures).'
    )


def compute_with_chosen_threads(options: Mapping[str, Any] | None) -> None:
    """What ``--cfg-options num_threads=N`` asks for; without it all cores are used.

    For tools that do not measure: a feature or a score differs in its last digit only.
    """
    if options and 'num_threads' in options:
        compute_with_threads(threads_of(options))
