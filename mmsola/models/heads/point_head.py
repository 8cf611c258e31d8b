"""Class and distances to both ends, at each point of a pyramid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmaction.registry import MODELS, TASK_UTILS
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmsola.models.heads.point_tower import PointTower
from mmsola.models.points.center_assigner import PointTargets
from mmsola.models.points.pyramid_points import default_ranges, pyramid_points

_NEVER = 1e-6  # what a class that training does not have begins with


class PointPredictions(NamedTuple):
    """What is predicted of all points, level by level.

    Attributes:
        logits: ``(B, S, K)``.
        offsets: Distances to start and end over the point's stride, ``(B, S, 2)``; of each class
            ``(B, S, K, 2)`` where a head has its own for each class.
    """

    logits: Tensor
    offsets: Tensor


@MODELS.register_module()
class PointHead(BaseModule):
    """Focal loss on classes, distance-IoU on offsets (ActionFormer, TemporalMaxer).

    Both losses are divided by a running mean of the number of positive points, which begins at
    ``init_loss_norm`` and is part of the state dict, so that a resumed training goes on with it
    (the original begins anew). In a distributed job it counts the points of all processes, so that
    the gradient is that of one process with the whole batch.

    Args:
        num_classes: K.
        in_channels: C of the pyramid.
        channels: Width of the convolutions; None is ``in_channels``.
        num_levels: Levels of the pyramid.
        num_convs: Convolutions before the last one.
        kernel_size: Of the convolutions, odd.
        ranges: Least and greatest reach of each level from a point to the farther end, in grid
            units. None is ActionFormer's: 0-4, 4-8, 8-16, ...; the last one has no limit.
        assigner: Config of what assigns segments to points.
        loss_cls: Config of the loss on classes.
        loss_reg: Config of the loss on offsets.
        loss_weight: Of the loss on offsets; 0 or less weighs it so that it is as large as that on
            classes.
        label_smoothing: Share of a target that goes to all classes.
        init_loss_norm: What the running mean begins with.
        loss_norm_momentum: How much of it stays at each step.
        prior: Probability of each class that an untrained head predicts.
        first_offset: Bias of the last convolution of offsets, over the stride, at the beginning. 0
            leaves it as the authors have it, and the offsets to chance: where those to the start,
            or to the end, begin below 0 at all points, ReLU cuts them off, and they have no
            gradient (seen in a narrow head with few steps). With 1 they begin above 0.
        empty_classes: Indices of classes that training never has (EPIC-Kitchens); they begin with a
            probability of 1e-6. ``ClassNamesHook`` finds them in the training data by itself.
        norm_eps: Of the norms.
        mask_activations: OpenTAD's arithmetic (:class:`PointTower`).

    Raises:
        ValueError: There are not as many ranges as levels.

    Examples:
        >>> head = PointHead(num_classes=3, in_channels=4, num_levels=2)
        >>> masks = [torch.ones(1, 1, length, dtype=torch.bool) for length in (8, 4)]
        >>> predictions = head([torch.rand(1, 4, 8), torch.rand(1, 4, 4)], masks)
        >>> tuple(predictions.logits.shape), tuple(predictions.offsets.shape)
        ((1, 12, 3), (1, 12, 2))
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        channels: int | None = None,
        num_levels: int = 6,
        num_convs: int = 2,
        kernel_size: int = 3,
        ranges: Sequence[Sequence[float]] | None = None,
        assigner: dict | None = None,
        loss_cls: dict | None = None,
        loss_reg: dict | None = None,
        loss_weight: float = 1.0,
        label_smoothing: float = 0.0,
        init_loss_norm: float = 100.0,
        loss_norm_momentum: float = 0.9,
        prior: float = 0.01,
        first_offset: float = 0.0,
        empty_classes: Sequence[int] = (),
        norm_eps: float = 1e-5,
        mask_activations: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.ranges = (
            default_ranges(num_levels) if ranges is None else [tuple(pair) for pair in ranges]
        )
        if len(self.ranges) != num_levels:
            raise ValueError(
                f'{type(self).__name__}: {len(self.ranges)} ranges for {num_levels} levels; give '
                'one pair (least, greatest reach) for each level.'
            )
        self.assigner = TASK_UTILS.build(assigner or {'type': 'CenterAssigner'})
        self.loss_cls = MODELS.build(loss_cls or {'type': 'SnippetFocalLoss'})
        self.loss_reg = MODELS.build(loss_reg or {'type': 'OffsetDIoULoss'})
        self.loss_weight = loss_weight
        self.label_smoothing = label_smoothing
        self.loss_norm_momentum = loss_norm_momentum
        self.register_buffer('running_norm', torch.tensor(float(init_loss_norm)))
        self.running_norm: Tensor
        width = channels or in_channels
        self._tower: dict[str, Any] = {
            'num_convs': num_convs,
            'norm_eps': norm_eps,
            'mask_activations': mask_activations,
        }
        self.classification = PointTower(
            in_channels, width, num_classes, kernel_size=kernel_size, **self._tower
        )
        self.regression = PointTower(
            in_channels, width, self._num_regressed(), kernel_size=kernel_size, **self._tower
        )
        self.level_scales = nn.Parameter(torch.ones(num_levels))
        bias, offset_bias = self.classification.out.bias, self.regression.out.bias
        assert bias is not None and offset_bias is not None
        nn.init.constant_(bias, _logit(prior))
        if first_offset:
            nn.init.constant_(offset_bias, first_offset)
        self.prior = prior
        self.silence(empty_classes)

    @torch.no_grad()
    def silence(self, classes: Sequence[int]) -> None:
        """Let classes of these indices begin with a probability of 1e-6.

        Those whose bias is no more what it began with, since weights were loaded or learned, stay.
        """
        bias = self.classification.out.bias
        assert bias is not None
        for index in classes:
            if torch.isclose(bias[index], bias.new_tensor(_logit(self.prior))):
                bias[index] = _logit(_NEVER)

    def forward(
        self,
        features: list[Tensor],
        masks: list[Tensor],
        boundary_features: list[Tensor] | None = None,
    ) -> PointPredictions:
        """Predictions of levels ``(B, C, T_l)`` with masks ``(B, 1, T_l)``.

        Offsets are read from ``boundary_features`` where these are given.
        """
        features = [x.contiguous() for x in features]  # once, for both towers
        of_boundaries = features if boundary_features is None else boundary_features
        logits = [self.classification(x, mask) for x, mask in zip(features, masks)]
        offsets = [
            (scale * self.regression(x, mask)).relu()
            for scale, x, mask in zip(self.level_scales, of_boundaries, masks)
        ]
        return PointPredictions(torch.cat(logits, dim=1), torch.cat(offsets, dim=1))

    def points(self, masks: list[Tensor]) -> Tensor:
        """Points of all levels, ``(S, 4)`` float32: time, least reach, greatest reach, stride."""
        like = torch.zeros((), device=masks[0].device)
        return torch.cat(pyramid_points([mask.shape[-1] for mask in masks], self.ranges, like))

    def loss(
        self,
        features: list[Tensor],
        masks: list[Tensor],
        segments: Sequence[Tensor],
        labels: Sequence[Tensor],
        **boundary_features: list[Tensor],
    ) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            features: ``(B, C, T_l)`` of each level.
            masks: ``(B, 1, T_l)``.
            segments: ``(N_i, 2)`` of each video, in grid units.
            labels: ``(N_i,)``, indices of classes.
            boundary_features: As :meth:`forward` takes them.
        """
        predictions = self(features, masks, **boundary_features)
        # half precision would lose the losses' small differences
        predictions = PointPredictions(
            *(x.to(torch.promote_types(x.dtype, torch.float32)) for x in predictions)
        )
        with torch.autocast(features[0].device.type, enabled=False):
            valid = torch.cat(masks, dim=2)[:, 0]  # B x S
            targets = self.targets(predictions, self.points(masks), valid, segments, labels)
            positive = (targets.classes.sum(dim=2) > 0) & valid
            norm = self._updated_norm((targets.weights * positive).sum())
            classification, regression = self._sums(predictions, targets, positive, valid)
            loss_cls, loss_reg = classification / norm, regression / norm
            if self.loss_weight > 0:
                weight: float | Tensor = self.loss_weight
            else:
                weight = loss_cls.detach() / loss_reg.detach().clamp(min=0.01)
            return {'loss_cls': loss_cls, 'loss_reg': weight * loss_reg}

    def targets(
        self,
        predictions: PointPredictions,
        points: Tensor,
        valid: Tensor,
        segments: Sequence[Tensor],
        labels: Sequence[Tensor],
    ) -> PointTargets:
        """What the points of each video learn, stacked: ``(B, S, ...)``."""
        with torch.no_grad():
            columns = zip(
                *(
                    self.assigner.assign(
                        points,
                        segment.to(points),
                        label.to(points.device),
                        self.num_classes,
                        *of_video,
                    )
                    for segment, label, *of_video in zip(segments, labels, valid, *predictions)
                )
            )
            return PointTargets(*(torch.stack(column) for column in columns))

    def _num_regressed(self) -> int:
        return 2

    def _sums(
        self, predictions: PointPredictions, targets: PointTargets, positive: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Both losses, summed over the points that count."""
        of_class = self.loss_cls(predictions.logits, self._smoothed(targets.classes))  # B x S x K
        weight = torch.where(positive, targets.weights, 1.0) * valid  # B x S
        of_offsets = self.loss_reg(predictions.offsets[positive], targets.offsets[positive])
        return (of_class.sum(dim=2) * weight).sum(), (of_offsets * targets.weights[positive]).sum()

    def _smoothed(self, classes: Tensor) -> Tensor:
        return classes * (1 - self.label_smoothing) + self.label_smoothing / (self.num_classes + 1)

    def _updated_norm(self, num_positive: Tensor) -> Tensor:
        if not self.training:
            return num_positive.clamp(min=1)
        num_positive = num_positive.detach().clone()
        all_reduce(num_positive)
        with torch.no_grad():
            self.running_norm.mul_(self.loss_norm_momentum).add_(
                num_positive.clamp(min=1), alpha=1 - self.loss_norm_momentum
            )
        # gradients are averaged over processes: each divides by its share of the points
        return self.running_norm / get_world_size()


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
