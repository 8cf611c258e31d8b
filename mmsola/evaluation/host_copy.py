"""Many tensors of a batch to the memory of the host, in one copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def on_host(tensors: Sequence[Tensor], dtype: torch.dtype = torch.float32) -> list[np.ndarray]:
    """Tensors of any shapes as arrays of one precision.

    Those on a GPU come together: to wait for it once for each video takes longer than to compute.

    Examples:
        >>> [x.tolist() for x in on_host([torch.ones(2), torch.zeros(1, 1).half()])]
        [[1.0, 1.0], [[0.0]]]
    """
    away = [x for x in tensors if _is_away(x)]
    if not away:
        return [x.to(dtype).numpy() for x in tensors]
    copied = torch.cat([x.to(dtype).reshape(-1) for x in away]).cpu()
    parts = iter(copied.split([x.numel() for x in away]))
    return [
        next(parts).reshape(x.shape).numpy() if _is_away(x) else x.to(dtype).numpy()
        for x in tensors
    ]


def each_on_host(
    rows: Sequence[dict[str, Tensor]], dtype: torch.dtype = torch.float32
) -> list[dict[str, np.ndarray]]:
    """The same for the named tensors of several videos."""
    arrays = iter(on_host([x for row in rows for x in row.values()], dtype))
    return [{name: next(arrays) for name in row} for row in rows]


def _is_away(x: Tensor) -> bool:
    return x.device.type != 'cpu'
