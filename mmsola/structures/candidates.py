"""Segments that a one-stage localizer predicts, before and after suppression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Candidates(NamedTuple):
    """Labelled segments of one video.

    Attributes:
        segments: ``(N, 2)``, start and end in grid units.
        scores: ``(N,)``.
        labels: ``(N,)`` int64, indices of classes.
    """

    segments: Tensor
    scores: Tensor
    labels: Tensor


def join(parts: Sequence[Candidates]) -> Candidates:
    """All candidates of one or more parts, one part after the other."""
    return Candidates(*(torch.cat(column) for column in zip(*parts)))
