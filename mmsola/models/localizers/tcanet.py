"""MMAction2's TCANet with a neck, whole batches, and the same numbers in less time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from mmaction.models.localizers.tcanet import TBR
from mmaction.models.localizers.tcanet import TCANet as StockTCANet
from mmaction.models.localizers.utils import (
    batch_iou,
    bbox_se_transform_batch,
    bbox_se_transform_inv,
    bbox_xw_transform_batch,
    bbox_xw_transform_inv,
)
from mmaction.structures import ActionDataSample
from torch import Tensor

from mmsola.models.localizers.boundary_regression import precise, regress_boundaries
from mmsola.models.localizers.proposals import ranked_proposals
from mmsola.models.localizers.snippet_neck import SnippetNeckMixin


class TCANet(SnippetNeckMixin, StockTCANet):
    """MMAction2's ``TCANet`` that accepts ``neck=``, which the stock class swallows and ignores.

    The same parameters and state dict. Batches of any size predict; the stock class gives all their
    proposals to the first video.

    Args:
        fast: Compute the boundary regressors by :func:`regress_boundaries`, equal up to rounding;
            False takes the stock layers.

    ``neck`` is that of :class:`SnippetNeckMixin`; all other arguments are MMAction2's.

    Examples:
        >>> sizes = dict(feat_dim=12, temporal_dim=16, se_sample_num=8, action_sample_num=16)
        >>> model = TCANet(neck=dict(type='SoLa', frozen=False), **sizes)
        >>> model([torch.rand(12, 30)]).shape
        torch.Size([1, 512, 16])
    """

    def __init__(self, *args: Any, fast: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fast = fast

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[ActionDataSample], **kwargs: Any
    ) -> list[dict]:
        """Ranked proposals of each video, of all three stages, ``{'video_name', 'proposal_list'}``.

        A refined proposal scores the tIoU found for it times the score it was given, as the paper
        has it. In MMAction2 all score 0 and their order means nothing: it writes the number of the
        video in its batch over the given scores before it multiplies them.
        """
        features = self._forward(batch_inputs)
        proposals, video = _joined(
            [sample.proposals['proposals'] for sample in batch_data_samples], features
        )
        kept = _is_proposal(proposals)
        proposals, video = proposals[kept], video[kept]
        score = proposals[:, 2]
        stages = [
            torch.cat([refined, (score * tiou)[:, None]], dim=1)
            for tiou, refined, *_ in self._stages(features, proposals[:, :2], video)
        ]
        found = torch.stack(stages)
        found = found.detach().to(precise(found)).cpu().numpy()
        video_of = video.cpu().numpy()
        return [
            {
                'video_name': sample.metainfo['video_name'],
                'proposal_list': ranked_proposals(
                    found[:, video_of == i].reshape(-1, 3),
                    sample.metainfo,
                    self.soft_nms_alpha,
                    self.soft_nms_low_threshold,
                    self.soft_nms_high_threshold,
                    self.post_process_top_k,
                    self.feature_extraction_interval,
                ),
            }
            for i, sample in enumerate(batch_data_samples)
        ]

    def loss(
        self, batch_inputs: Tensor, batch_data_samples: list[ActionDataSample], **kwargs: Any
    ) -> dict[str, Tensor]:
        """MMAction2's losses of regression and tIoU, ``rloss1`` to ``rloss3`` and ``iloss1`` to 3.

        As there, the i-th segment of a video's ground truth is what its i-th proposal should be.
        """
        features = self._forward(batch_inputs)
        given = [sample.proposals['proposals'] for sample in batch_data_samples]
        most = max(map(len, given))
        wanted = []
        for rows, sample in zip(given, batch_data_samples):
            segments = sample.gt_instances['gt_bbox']
            if len(segments) > most:
                segments = segments[torch.randperm(len(segments))[:most]]
            wanted.append(F.pad(segments, (0, 0, 0, len(rows) - len(segments))))  # or cut
        proposals, video = _joined(given, features)
        gt_boxes, _ = _joined(wanted, features)
        kept = _is_proposal(proposals)
        stages = self._stages(features, proposals[kept, :2], video[kept], gt_boxes[kept])
        rlosses, ilosses = zip(*(losses for _, _, *losses in stages))
        return {
            **{f'rloss{i}': loss for i, loss in enumerate(rlosses, start=1)},
            **{f'iloss{i}': loss for i, loss in enumerate(ilosses, start=1)},
        }

    def _stages(
        self, features: Tensor, segments: Tensor, video: Tensor, gt_boxes: Tensor | None = None
    ) -> Iterator[tuple]:
        """TIoU ``(N,)``, refined segments ``(N, 2)`` and the two losses, thrice."""
        if not self.fast:
            features = features[video]
        for tbr, threshold in ((self.tbr1, 0.5), (self.tbr2, 0.6), (self.tbr3, 0.7)):
            if self.fast:
                stage = _refine(tbr, segments, features, video, gt_boxes, threshold)
            else:
                stage = tbr(segments, features, gt_boxes, threshold, gt_boxes is not None)
            segments = stage[1]
            yield stage


def _refine(
    tbr: TBR,
    segments: Tensor,
    features: Tensor,
    video: Tensor,
    gt_boxes: Tensor | None,
    threshold: float,
) -> tuple:
    """What ``tbr`` returns for ``features[video]``."""
    start_end, centre_width = regress_boundaries(tbr, segments, features, video)
    centre_width, tiou = centre_width[:, :2], centre_width[:, 2].sigmoid()
    step = 0.2 if gt_boxes is None else 1.0  # MMAction2's
    by_start_end = bbox_se_transform_inv(segments, start_end, step)
    by_centre_width = bbox_xw_transform_inv(segments, centre_width, 0.1, 0.2)
    refined = ((by_start_end + by_centre_width) / 2).clamp(min=0)
    if gt_boxes is None:
        return tiou, refined, 0, 0
    match = batch_iou(segments, gt_boxes)
    rloss = sum(
        tbr.regress_loss(found, target(segments, gt_boxes), match, threshold)
        for found, target in (
            (start_end, bbox_se_transform_batch),
            (centre_width, bbox_xw_transform_batch),
        )
    )
    return tiou, refined, rloss, tbr.iou_loss(tiou, match, threshold)


def _joined(rows: list[Tensor], features: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of all videos, and the video of each; where and as precise as the features."""
    device, dtype = features.device, precise(features)
    lengths = torch.tensor([len(every) for every in rows])
    video = torch.repeat_interleave(torch.arange(len(rows)), lengths)
    return torch.cat([every.to(device, dtype) for every in rows]), video.to(device)


def _is_proposal(proposals: Tensor) -> Tensor:
    """All but MMAction2's padding, rows of zeros."""
    return proposals[:, :2].sum(dim=1) > 0
