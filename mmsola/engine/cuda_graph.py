"""Work of a GPU that is recorded once, and then only played back."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import torch


class Graph(Protocol):
    """Keeps what a function does, and does it again."""

    def warm_up(self, function: Callable[[], Any]) -> Any:
        """Run the function, before it is recorded."""

    def record(self, function: Callable[[], object]) -> None:
        """Record what the function does, without doing it."""

    def replay(self) -> None:
        """Do what was recorded."""


class CudaGraph:
    """What is launched on a GPU; one launch plays it back."""

    _pool: Any = None  # of memory, which all graphs share: only one of them runs at a time
    # one for all: PyTorch hands out few, and would come round to the one that it records on
    _warm_up_stream: Any = None

    def warm_up(self, function: Callable[[], Any]) -> Any:
        """On a stream of its own, as PyTorch asks for before a recording."""
        if CudaGraph._warm_up_stream is None:
            CudaGraph._warm_up_stream = torch.cuda.Stream()
        stream = CudaGraph._warm_up_stream
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            result = function()
        torch.cuda.current_stream().wait_stream(stream)
        return result

    def record(self, function: Callable[[], object]) -> None:
        if CudaGraph._pool is None:
            CudaGraph._pool = torch.cuda.graph_pool_handle()
        self._graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.current_stream()
        _forget_workspaces()
        try:
            # other threads, which read features or write checkpoints, may go on
            with (
                _no_garbage_collection(),
                torch.cuda.graph(
                    self._graph, pool=CudaGraph._pool, capture_error_mode='thread_local'
                ),
            ):
                function()
        except BaseException:
            torch.cuda.set_stream(stream)
            pool, CudaGraph._pool = CudaGraph._pool, None
            _leave_recording(pool)
            raise
        finally:
            _forget_workspaces()

    def replay(self) -> None:
        self._graph.replay()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Free nothing while something is recorded: that of another graph would end the recording."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _forget_workspaces() -> None:
    """Let cuBLAS take its workspaces anew.

    One that was taken in a recording lies in the memory of the graphs, and may not outlive them.
    """
    forget = getattr(torch._C, '_cuda_clearCublasWorkspaces', None)
    if forget is not None:
        forget()


def _leave_recording(pool: Any) -> None:
    """Undo what PyTorch before 2.13 leaves behind where a recording fails.

    Memory would still be meant for the graph, and the random generator would wait for its replay.
    """
    device = torch.cuda.current_device()
    for name in ('_cuda_endAllocateToPool', '_cuda_endAllocateCurrentStreamToPool'):
        if hasattr(torch._C, name):
            with suppress(Exception):  # it was left properly
                getattr(torch._C, name)(device, pool)
    with suppress(Exception):
        generator = torch.cuda.default_generators[device]
        generator.graphsafe_set_state(generator.clone_state())
