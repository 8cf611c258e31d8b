"""MMAction2's BMN with a neck, whole batches, and the same numbers in less time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmaction.models.localizers.bmn import BMN as StockBMN
from mmaction.models.losses import BMNLoss
from mmaction.structures import ActionDataSample
from torch import Tensor

from mmsola.models.localizers.anchor_overlap import (
    batched_labels,
    greatest_covered,
    greatest_tiou,
    on_device,
    segments_at,
)
from mmsola.models.localizers.boundary_matching import BoundaryMatching
from mmsola.models.localizers.proposals import boundary_matching_proposals, ranked_proposals
from mmsola.models.localizers.snippet_neck import SnippetNeckMixin
from mmsola.models.localizers.sparse_sampling import computed_in


class BMN(SnippetNeckMixin, StockBMN):
    """MMAction2's ``BMN`` that accepts ``neck=``; the same parameters and state dict.

    Batches of any size predict (the stock class drops all videos but the first), and videos without
    segments train (it stops at them).

    Args:
        fast: Compute the boundary-matching map by :class:`BoundaryMatching`, equal up to rounding;
            False takes the stock layers.

    ``neck`` is that of :class:`SnippetNeckMixin`; all other arguments are MMAction2's.

    Examples:
        >>> import torch
        >>> sizes = dict(hidden_dim_1d=16, hidden_dim_2d=8, hidden_dim_3d=16, num_samples=8)
        >>> nms = dict(soft_nms_alpha=0.4, soft_nms_low_threshold=0.5, soft_nms_high_threshold=0.9)
        >>> model = BMN(
        ...     temporal_dim=16, feat_dim=12, boundary_ratio=0.5, num_samples_per_bin=3,
        ...     post_process_top_k=100, neck=dict(type='SoLa', frozen=False), **sizes, **nms
        ... )
        >>> confidence, start, end = model([torch.rand(12, 30)])
        >>> tuple(confidence.shape), tuple(start.shape)
        ((1, 2, 16, 16), (1, 16))
    """

    def __init__(self, *args: Any, fast: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fast = fast
        self._matching: BoundaryMatching | None = None
        self._anchors: tuple[Tensor, ...] | None = None  # proposals and cells, for labels

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[ActionDataSample], **kwargs: Any
    ) -> list[dict]:
        """Ranked proposals of each video, ``{'video_name', 'proposal_list'}``."""
        outputs = [output.float().cpu().numpy() for output in self._forward(batch_inputs)]
        return [
            {
                'video_name': sample.metainfo['video_name'],
                'proposal_list': ranked_proposals(
                    boundary_matching_proposals(start, end, confidence),
                    sample.metainfo,
                    self.soft_nms_alpha,
                    self.soft_nms_low_threshold,
                    self.soft_nms_high_threshold,
                    self.post_process_top_k,
                    self.feature_extraction_interval,
                ),
            }
            for confidence, start, end, sample in zip(*outputs, batch_data_samples)
        ]

    def loss(
        self, batch_inputs: Tensor, batch_data_samples: list[ActionDataSample], **kwargs: Any
    ) -> dict[str, Tensor]:
        """MMAction2's loss, which stays a number where no proposal is a good match.

        Its regression part is a mean over proposals chosen by how many match well. Where none
        does (empty ground truth, or only segments shorter than a cell) that is 0 / 0; the part is
        left out of such a batch.
        """
        segments = [sample.gt_instances['gt_bbox'] for sample in batch_data_samples]
        labels = [label.to(batch_inputs.device) for label in self.generate_labels(segments)]
        tiou_map, start_label, end_label = labels
        confidence, start, end = self._forward(batch_inputs)
        if isinstance(self.loss_cls, BMNLoss) and not (tiou_map * self.bm_mask > 0.7).any():
            loss = self.loss_cls.tem_loss(start, end, start_label, end_label)
            loss = loss + self.loss_cls.pem_cls_loss(
                confidence[:, 1], tiou_map * self.bm_mask, self.bm_mask
            )
            return {'loss': loss}
        return {
            'loss': self.loss_cls(
                confidence, start, end, tiou_map, start_label, end_label, self.bm_mask
            )[0]
        }

    def generate_labels(self, gt_bbox: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """TIoU map ``(B, T, T)``, start and end labels ``(B, T)``, as MMAction2's."""
        arrays = self.match_map, np.stack([self.anchors_tmins, self.anchors_tmaxs], axis=1)
        self._anchors = proposals, cells = on_device(self._anchors, arrays, gt_bbox[0].device)
        width = 3 / self.tscale

        def labels_of(segments: Tensor) -> tuple[Tensor, ...]:
            return (
                greatest_tiou(proposals, segments).unflatten(1, (self.tscale, self.tscale)),
                greatest_covered(cells, segments_at(segments[..., 0], width)),
                greatest_covered(cells, segments_at(segments[..., 1], width)),
            )

        tiou_map, start, end = batched_labels(gt_bbox, len(proposals), labels_of)
        return tiou_map, start, end

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if not self.fast:
            return super()._forward(x)
        base = self.x_1d_b(x)
        start = self.x_1d_s(base).squeeze(1)
        end = self.x_1d_e(base).squeeze(1)
        matching = self._boundary_matching(base.device)
        conv3d, conv2d = self.x_3d_p[0], self.x_2d_p[0]
        blocks = torch.relu(matching(self.x_1d_p(base), conv3d))
        # a convolution of width 1 sees one proposal at a time, so it can stay on the columns too
        weights = conv2d.weight.flatten(1).chunk(len(blocks), dim=1)
        mixed = sum(
            torch.nn.functional.linear(block, weight) for block, weight in zip(blocks, weights)
        )
        features = matching.to_map(torch.relu(mixed + conv2d.bias))
        return self.x_2d_p[2:](features), start, end

    def _boundary_matching(self, device: torch.device) -> BoundaryMatching:
        dtype = computed_in(self.sample_mask.dtype)
        matching = self._matching
        if matching is None or matching.column_of.device != device or matching.dtype != dtype:
            # made in inference, it must still be fit for training
            with torch.inference_mode(False):
                self._matching = BoundaryMatching(self.sample_mask.to(device), self.num_samples)
        assert self._matching is not None
        return self._matching

    def __getstate__(self) -> dict[str, Any]:
        # sparse tensors can be neither copied nor pickled; it is made again when it is needed
        return {**self.__dict__, '_matching': None}

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._matching = None  # the sampling is part of the checkpoint
