"""Figures of a log that stay on the device until somebody reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

_MOST_WAITING = 1000  # so that what nobody reads takes no memory worth a word


class DeviceHistory(HistoryBuffer):
    """MMEngine's history of one figure, whose newest values may still lie on a GPU.

    To read a value from a GPU is to wait until it has finished all its work. Here a value is kept
    where it is; whoever reads the history fetches all that wait, in one copy. A copy of it, in a
    checkpoint too, is MMEngine's own ``HistoryBuffer``.

    Args:
        before: What was in the log before, if anything.

    Examples:
        >>> import torch
        >>> history = DeviceHistory()
        >>> for value in (1.0, 2.0):
        ...     history.update(torch.tensor(value))
        >>> history.data[0].tolist()
        [1.0, 2.0]
    """

    _values: np.ndarray
    _counts: np.ndarray

    def __init__(self, before: HistoryBuffer | None = None) -> None:
        self._waiting: list[Tensor] = []
        super().__init__()
        values, counts = (np.zeros(0), np.zeros(0, int)) if before is None else before.data
        self._log_history, self._count_history = values, counts

    def update(self, log_val: Any, count: int = 1) -> None:
        """Add a number, or a tensor of one number, which must not change afterwards."""
        if not isinstance(log_val, Tensor):
            self.fetch()
            super().update(log_val, count)
            return
        if self._waiting and self._waiting[-1].dtype != log_val.dtype:
            self.fetch()
        self._waiting.append(log_val.reshape(()))
        if len(self._waiting) >= _MOST_WAITING:
            self.fetch()

    def fetch(self) -> None:
        """Bring here what waits on the device."""
        if not self._waiting:
            return
        values = torch.stack(self._waiting).tolist()
        self._waiting.clear()
        kept = slice(-self.max_length, None)
        self._values = np.append(self._values, values)[kept]
        self._counts = np.append(self._counts, np.ones(len(values), int))[kept]

    # what every method of HistoryBuffer reads
    @property
    def _log_history(self) -> np.ndarray:
        self.fetch()
        return self._values

    @_log_history.setter
    def _log_history(self, values: np.ndarray) -> None:
        self._values = values

    @property
    def _count_history(self) -> np.ndarray:
        self.fetch()
        return self._counts

    @_count_history.setter
    def _count_history(self, counts: np.ndarray) -> None:
        self._counts = counts

    def __reduce__(self) -> tuple:
        return HistoryBuffer, (self._log_history, self._count_history, self.max_length)
