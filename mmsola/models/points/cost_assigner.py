"""Points and segments matched by what is predicted."""

from __future__ import annotations

import torch
from mmaction.registry import TASK_UTILS
from torch import Tensor

from mmsola.models.losses.focal_loss import sigmoid_focal_loss
from mmsola.models.losses.offset_diou_loss import centred_diou_loss
from mmsola.models.points.center_assigner import (
    CenterAssigner,
    PointTargets,
    classes_of_shortest,
    distances_to_ends,
    no_targets,
    offsets_of,
)


@TASK_UTILS.register_module()
class CostAssigner(CenterAssigner):
    """Classes as :class:`CenterAssigner`; the segment to regress is the cheapest (TemporalMaxer).

    The cost is the focal loss of the segment's class plus ``iou_weight`` times the distance-IoU
    loss, over all segments that hold the point, whatever their length. So a point may regress
    another segment than the one whose class it learns, as published.

    Args:
        radius: As in :class:`CenterAssigner`.
        cls_weight: Of the class in the cost.
        iou_weight: Of the distance-IoU loss in the cost.
        keep_percent: Share of the points inside of a segment, the cheapest, that count in full.
        confuse_weight: How much the others inside of it count. With the published 1 and 0 all do
            in full.

    Examples:
        >>> import torch
        >>> points = torch.tensor([[time, 0.0, 4.0, 1.0] for time in range(6)])
        >>> segments, labels = torch.tensor([[1.0, 4.0]]), torch.tensor([0])
        >>> predicted = dict(logits=torch.zeros(6, 1), offsets=torch.ones(6, 2))
        >>> valid = torch.ones(6, dtype=torch.bool)
        >>> targets = CostAssigner().assign(points, segments, labels, 1, valid, **predicted)
        >>> targets.classes.flatten().tolist()
        [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    """

    def __init__(
        self,
        radius: float | None = 1.5,
        cls_weight: float = 1.0,
        iou_weight: float = 2.0,
        keep_percent: float = 1.0,
        confuse_weight: float = 0.0,
    ) -> None:
        super().__init__(radius)
        self.cls_weight = cls_weight
        self.iou_weight = iou_weight
        self.keep_percent = keep_percent
        self.confuse_weight = confuse_weight

    @torch.no_grad()
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
        """Targets of one video; as :meth:`CenterAssigner.assign`."""
        if not len(segments):
            return no_targets(points, num_classes)
        distances = distances_to_ends(points, segments)  # S x N x 2
        cost = self._cost(points, distances, labels, valid, logits, offsets)  # S x N
        lengths = self.lengths_of_candidates(points, segments, distances)
        shortest = lengths.amin(dim=1)
        # only a point whose shortest segment has a price is positive
        lengths = torch.where(cost.isfinite(), lengths, torch.inf)
        return PointTargets(
            classes_of_shortest(lengths, shortest, labels, num_classes, points.dtype),
            offsets_of(distances, cost.argmin(dim=1), points),
            self._weights(cost),
        )

    def _cost(
        self,
        points: Tensor,
        distances: Tensor,
        labels: Tensor,
        valid: Tensor,
        logits: Tensor,
        offsets: Tensor,
    ) -> Tensor:
        """``(S, N)``, infinite where a point is padding or outside of the segment."""
        num_points, num_classes = logits.shape
        logits = logits.to(points.dtype)
        # the focal loss of a class against all: the others as background, this one as itself
        background = sigmoid_focal_loss(logits, torch.zeros_like(logits))  # S x K
        itself = sigmoid_focal_loss(logits, torch.ones_like(logits))
        of_class = background.sum(1, keepdim=True) - background + itself
        diou = centred_diou_loss(
            offsets.to(points.dtype)[:, None].expand_as(distances), distances / points[:, None, 3:]
        )
        cost = self.cls_weight * of_class[:, labels] + self.iou_weight * diou
        holds = (distances >= 0).all(dim=2) & valid[:, None]
        return torch.where(holds, cost, torch.inf)

    def _weights(self, cost: Tensor) -> Tensor:
        inside = cost.isfinite()  # S x N
        weights = cost.new_ones(len(cost))
        weights[inside.any(dim=1)] = self.confuse_weight
        kept = (inside.sum(dim=0) * self.keep_percent).long()  # N
        rank = cost.argsort(dim=0).argsort(dim=0)
        weights[(rank < kept).any(dim=1)] = 1.0
        return weights
