"""TriDet's head: an end is the expectation over bins that neighbours vote on."""

from __future__ import annotations

from typing import Any

import torch
from mmaction.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from mmsola.models.heads.point_head import PointHead, PointPredictions
from mmsola.models.heads.point_tower import PointTower
from mmsola.models.losses.offset_diou_loss import offset_giou
from mmsola.models.points.center_assigner import PointTargets

_LEAST_OVERLAP = 1e-6  # below it the gradient of a root has no limit


@MODELS.register_module()
class TridentHead(PointHead):
    """Offsets from start, end and centre together (TriDet, CVPR 2023).

    The start of class c, seen from point t, is an expectation over the ``num_bins + 1`` points up
    to t: softmax of the start logits there, plus what t itself says of each distance. Beyond the
    border the logits are 0. The end likewise. Start and end logits do not train the pyramid.

    The loss on a positive class counts as much as its segment overlaps: times ``GIoU ** power``.

    Args:
        num_bins: Farthest end, in strides of the level.
        boundary_kernel_size: Of the convolutions to start and end, odd.
        iou_power: How much the overlap counts.
        kwargs: Those of :class:`PointHead`.

    Source: the numbers are those of OpenTAD's port.

    Examples:
        >>> head = TridentHead(num_classes=3, in_channels=4, num_levels=2, num_bins=2)
        >>> masks = [torch.ones(1, 1, length, dtype=torch.bool) for length in (8, 4)]
        >>> predictions = head([torch.rand(1, 4, 8), torch.rand(1, 4, 4)], masks)
        >>> tuple(predictions.logits.shape), tuple(predictions.offsets.shape)
        ((1, 12, 3), (1, 12, 3, 2))
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        channels: int | None = None,
        num_bins: int = 16,
        boundary_kernel_size: int = 3,
        iou_power: float = 0.2,
        norm_eps: float = 1e-6,
        mask_activations: bool = True,
        **kwargs: Any,
    ) -> None:
        self.num_bins = num_bins
        super().__init__(
            num_classes,
            in_channels,
            channels,
            norm_eps=norm_eps,
            mask_activations=mask_activations,
            **kwargs,
        )
        self.iou_power = iou_power
        width = channels or in_channels
        self.start, self.end = (
            PointTower(
                in_channels, width, num_classes, kernel_size=boundary_kernel_size, **self._tower
            )
            for _ in range(2)
        )

    def forward(
        self,
        features: list[Tensor],
        masks: list[Tensor],
        boundary_features: list[Tensor] | None = None,
    ) -> PointPredictions:
        """As :meth:`PointHead.forward`; starts and ends are read where offsets are."""
        logits, offsets = [], []
        of_boundaries = features if boundary_features is None else boundary_features
        for scale, x, at, mask in zip(self.level_scales, features, of_boundaries, masks):
            logits.append(self.classification(x, mask))
            bins = (scale * self.regression(at, mask)).relu()
            fixed = at.detach()
            offsets.append(self.decoded(bins, self.start(fixed, mask), self.end(fixed, mask)))
        return PointPredictions(torch.cat(logits, dim=1), torch.cat(offsets, dim=1))

    def decoded(self, bins: Tensor, start: Tensor, end: Tensor) -> Tensor:
        """Offsets ``(B, T, K, 2)`` of one level.

        Args:
            bins: ``(B, T, 2 * (num_bins + 1))``, what each point says of the distances to the
                start, the farthest first, and then of those to the end, the nearest first.
            start: Logits ``(B, T, K)``.
            end: Logits ``(B, T, K)``.
        """
        before, after = bins[:, :, None].chunk(2, dim=3)  # B x T x 1 x bins
        distance = torch.arange(self.num_bins + 1, device=bins.device, dtype=bins.dtype)
        starts = F.pad(start, (0, 0, self.num_bins, 0)).unfold(1, self.num_bins + 1, 1)
        ends = F.pad(end, (0, 0, 0, self.num_bins)).unfold(1, self.num_bins + 1, 1)
        left = (starts + before).softmax(dim=3) @ distance.flip(0)  # B x T x K
        right = (ends + after).softmax(dim=3) @ distance
        return torch.stack([left, right], dim=3)

    def _num_regressed(self) -> int:
        return 2 * (self.num_bins + 1)

    def _sums(
        self, predictions: PointPredictions, targets: PointTargets, positive: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        of_class = self.loss_cls(predictions.logits, self._smoothed(targets.classes))  # B x S x K
        learned = (targets.classes > 0) & positive[:, :, None]  # B x S x K
        offsets = predictions.offsets[learned]
        wanted = targets.offsets[:, :, None].expand_as(predictions.offsets)[learned]
        overlap = offset_giou(offsets, wanted).clamp(min=_LEAST_OVERLAP)
        factor = torch.ones_like(of_class).masked_scatter(learned, overlap**self.iou_power)
        classification = (of_class * factor * valid[:, :, None]).sum()
        return classification, self.loss_reg(offsets, wanted).sum()
