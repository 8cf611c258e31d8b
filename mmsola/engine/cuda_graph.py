"""Work of a GPU that is recorded once, and then only played back."""

from __future__ import annotations

from collections.abc import Callable
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

    def warm_up(self, function: Callable[[], Any]) -> Any:
        """On a stream of its own, as PyTorch asks for before a recording."""
        stream = torch.cuda.Stream()
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
        try:
            # other threads, which read features or write checkpoints, may go on
            with torch.cuda.graph(
                self._graph, pool=CudaGraph._pool, capture_error_mode='thread_local'
            ):
                function()
        except BaseException:
            torch.cuda.set_stream(stream)
            raise

    def replay(self) -> None:
        self._graph.replay()
