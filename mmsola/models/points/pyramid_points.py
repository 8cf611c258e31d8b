"""The grid points of a pyramid, where segments are predicted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_NO_LIMIT = 10000.0  # as published


def default_ranges(num_levels: int) -> list[tuple[float, float]]:
    """ActionFormer's: how far a segment may reach from a point of each level, in grid units.

    Examples:
        >>> default_ranges(3)
        [(0.0, 4.0), (4.0, 8.0), (8.0, 10000.0)]
    """
    ends = [4.0 * 2**level for level in range(num_levels - 1)]
    return [*zip([0.0, *ends], [*ends, _NO_LIMIT])]


def pyramid_points(
    lengths: Sequence[int], ranges: Sequence[Sequence[float]], like: Tensor
) -> list[Tensor]:
    """Points of each level: ``(T_l, 4)`` of time, least reach, greatest reach, stride.

    Point i of level l lies at ``i * 2**l``: on a snippet, without an offset of half a stride.

    Args:
        lengths: T of each level.
        ranges: Least and greatest reach of each level, in grid units; both belong to it.
        like: A tensor of the device and type wanted.
    """
    points = []
    for level, (num_points, (least, greatest)) in enumerate(zip(lengths, ranges)):
        stride = 2**level
        time = stride * torch.arange(num_points, device=like.device, dtype=like.dtype)
        rest = like.new_tensor([least, greatest, stride]).expand(num_points, 3)
        points.append(torch.cat([time[:, None], rest], dim=1))
    return points
