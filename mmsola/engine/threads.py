"""Threads of a run on a CPU: a setting of the config, since figures depend on it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from threadpoolctl import ThreadpoolController, threadpool_limits

from mmsola.engine.config_file import Options, parsed_options

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


@contextmanager
def threads_put_back() -> Iterator[None]:
    """Leave a process with the threads that it had before, as a notebook expects it."""
    environment = {variable: os.environ.get(variable) for variable in _VARIABLES}
    threads = torch.get_num_threads()
    libraries = {
        library.filepath: library.num_threads for library in ThreadpoolController().lib_controllers
    }
    try:
        yield
    finally:
        for variable, value in environment.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value
        torch.set_num_threads(threads)
        for library in ThreadpoolController().lib_controllers:
            if library.filepath in libraries:
                library.set_num_threads(libraries[library.filepath])


def threads_line(number: int) -> str:
    """What a log says of it."""
    return (
        f'Computing with {number} CPU thread{"s" * (number != 1)} (num_threads in the config; '
        'another number gives slightly other figures).'
    )


def compute_with_chosen_threads(options: Options | None) -> None:
    """What ``--cfg-options num_threads=N`` asks for; without it all cores are used.

    For tools that do not measure: a feature or a score differs in its last digit only.
    """
    chosen = parsed_options(options)
    if 'num_threads' in chosen:
        compute_with_threads(threads_of(chosen))
