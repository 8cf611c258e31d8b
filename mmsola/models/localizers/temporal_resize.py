"""From a sequence at its native rate to the fixed length of a localizer's head."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: The span of a sequence that covers just what the head sees.
WHOLE = (0.0, 1.0)


def is_fitting(num_snippets: int, span: tuple[float, float], temporal_dim: int | None) -> bool:
    """Whether a sequence is what the head takes as it is."""
    return temporal_dim is None or (num_snippets == temporal_dim and span == WHOLE)


def resize_to_head(sequence: Tensor, span: tuple[float, float], temporal_dim: int) -> Tensor:
    """Read a sequence at the centres of the head's ``temporal_dim`` equal cells.

    Linear between the centres of snippets; before the first and after the last one their value
    stays. Where several snippets fall into a cell, as many points of it are averaged. A sequence
    at the head's own rate is cut, not interpolated.

    Args:
        sequence: ``(C, T)``.
        span: Where the outer edges of its first and last snippet lie, in units of what the head
            sees. ``(-0.1, 1.1)`` is a sequence with a margin on either side.
        temporal_dim: Length of the result, in cells.

    Returns:
        ``(C, temporal_dim)``.

    Raises:
        ValueError: The sequence is empty, or its span is.
    """
    num_snippets = sequence.shape[-1]
    start, end = span
    if num_snippets == 0 or not end > start:
        raise ValueError(
            f'cannot resize {num_snippets} snippets that span {start} to {end} of what the head '
            'sees; expected at least one snippet, and an end after the start.'
        )
    if is_fitting(num_snippets, span, temporal_dim):
        return sequence
    snippets_per_cell = num_snippets / (temporal_dim * (end - start))
    # a hair of rounding must not turn a rate of 1 into two points a cell
    points = max(1, math.ceil(snippets_per_cell - 1e-6))
    at = (torch.arange(temporal_dim * points, dtype=torch.float64) + 0.5) / (temporal_dim * points)
    position = ((at - start) / (end - start) * num_snippets - 0.5).clamp(0, num_snippets - 1)
    position = torch.where((position - position.round()).abs() < 1e-6, position.round(), position)
    before = position.floor().long()
    share = (position - before).to(sequence.device, sequence.dtype)
    before = before.to(sequence.device)
    after = (before + 1).clamp(max=num_snippets - 1)
    values = torch.lerp(sequence[:, before], sequence[:, after], share)
    return values.unflatten(-1, (temporal_dim, points)).mean(-1) if points > 1 else values
