"""Which points learn which segments."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmaction.registry import TASK_UTILS
from torch import Tensor

_SAME_LENGTH = 1e-3  # segments so near in length count as equally short, in grid units


class PointTargets(NamedTuple):
    """What the points of one video learn.

    Attributes:
        classes: ``(S, K)``, 1 for each class of a point; all 0 is background.
        offsets: ``(S, 2)``, distance to start and end over the point's stride; of positive points.
        weights: ``(S,)``, how much a point counts.
    """

    classes: Tensor
    offsets: Tensor
    weights: Tensor


@TASK_UTILS.register_module()
class CenterAssigner:
    """Points near the middle of a segment that their level can reach learn it (ActionFormer).

    A point is a candidate where it lies strictly inside of the segment and less than ``radius``
    strides from its centre, and where the farther end is in the level's range, both ends included.
    The shortest segment wins; one as long as that (up to 1e-3) adds its class.

    A segment shorter than a level's stride may hold no point at all, and is then learned nowhere.

    Args:
        radius: In strides of the point's level; None takes every point inside.

    Examples:
        >>> points = torch.tensor([[time, 0.0, 4.0, 1.0] for time in range(6)])
        >>> segments, labels = torch.tensor([[1.0, 4.0]]), torch.tensor([0])
        >>> unused = [torch.zeros(6, 1)] * 3  # predictions, which other assigners ask for
        >>> targets = CenterAssigner().assign(points, segments, labels, 1, *unused)
        >>> targets.classes.flatten().tolist()
        [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    """

    def __init__(self, radius: float | None = 1.5) -> None:
        self.radius = radius

    def assign(
        self,
        points: Tensor,
        segments: Tensor,
        labels: Tensor,
        num_classes: int,
        valid: Tensor,
        logits: Tensor,
        offsets: Tensor,
    ) -> PointTargets:
        """Targets of one video.

        Args:
            points: ``(S, 4)`` of time, least reach, greatest reach, stride.
            segments: ``(N, 2)`` in grid units.
            labels: ``(N,)``.
            num_classes: K.
            valid: ``(S,)``, where a point is no padding; not consulted here.
            logits: ``(S, K)``, and the next: predictions, of which this assigner needs none.
            offsets: ``(S, 2)``.
        """
        if not len(segments):
            return no_targets(points, num_classes)
        distances = distances_to_ends(points, segments)  # S x N x 2
        lengths = self.lengths_of_candidates(points, segments, distances)  # S x N
        shortest, winner = lengths.min(dim=1)
        return PointTargets(
            classes_of_shortest(lengths, shortest, labels, num_classes, points.dtype),
            offsets_of(distances, winner, points),
            points.new_ones(len(points)),
        )

    def lengths_of_candidates(self, points: Tensor, segments: Tensor, distances: Tensor) -> Tensor:
        """Length of each segment for each point, infinite where it is no candidate; ``(S, N)``."""
        time, least, greatest, stride = points[:, :, None].unbind(1)  # each S x 1
        start, end = segments.unbind(1)
        if self.radius is not None:
            centre = 0.5 * (start + end)
            start = torch.maximum(centre - self.radius * stride, start)
            end = torch.minimum(centre + self.radius * stride, end)
        inside = (time > start) & (time < end)
        reach = distances.amax(dim=2)
        candidate = inside & (reach >= least) & (reach <= greatest)
        return torch.where(candidate, (segments[:, 1] - segments[:, 0]), torch.inf)


def no_targets(points: Tensor, num_classes: int) -> PointTargets:
    """Of a video without segments: all of it is background."""
    return PointTargets(
        points.new_zeros(len(points), num_classes),
        points.new_zeros(len(points), 2),
        points.new_ones(len(points)),
    )


def distances_to_ends(points: Tensor, segments: Tensor) -> Tensor:
    """From each point back to each start and on to each end, ``(S, N, 2)`` in grid units."""
    time = points[:, :1]
    return torch.stack([time - segments[:, 0], segments[:, 1] - time], dim=2)


def classes_of_shortest(
    lengths: Tensor, shortest: Tensor, labels: Tensor, num_classes: int, dtype: torch.dtype
) -> Tensor:
    """``(S, K)`` with 1 for the classes of the shortest candidates of each point."""
    wins = (lengths <= shortest[:, None] + _SAME_LENGTH) & lengths.isfinite()  # S x N
    one_hot = torch.nn.functional.one_hot(labels, num_classes).to(dtype)  # N x K
    return (wins.to(dtype) @ one_hot).clamp(max=1)


def offsets_of(distances: Tensor, winner: Tensor, points: Tensor) -> Tensor:
    """Distances to the ends of one segment for each point, over its stride; ``(S, 2)``."""
    row = torch.arange(len(winner), device=winner.device)
    return distances[row, winner] / points[:, 3:]
