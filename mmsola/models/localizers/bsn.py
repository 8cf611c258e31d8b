"""MMAction2's two networks of BSN: TEM takes a neck, PEM cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmaction.models.localizers.bsn import PEM as StockPEM
from mmaction.models.localizers.bsn import TEM as StockTEM
from torch import Tensor

from mmsola.models.localizers.anchor_overlap import (
    greatest_covered,
    segment_batches,
    segments_at,
)
from mmsola.models.localizers.snippet_neck import SnippetNeckMixin


class TEM(SnippetNeckMixin, StockTEM):
    """MMAction2's ``TEM`` that accepts ``neck=``, and videos without segments.

    Examples:
        >>> model = TEM(
        ...     temporal_dim=16, boundary_ratio=0.1, tem_feat_dim=12, tem_hidden_dim=8,
        ...     tem_match_threshold=0.5, neck=dict(type='SoLa', frozen=False)
        ... )
        >>> [tuple(x.shape) for x in model([torch.rand(12, 30)])]
        [(3, 16)]
    """

    feat_dim_key = 'tem_feat_dim'

    def generate_labels(self, gt_bbox: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Labels ``(B, T)`` of action, start and end, as MMAction2's."""
        device = gt_bbox[0].device
        cells = np.stack([self.anchors_tmins, self.anchors_tmaxs], axis=1)
        anchors = torch.from_numpy(cells).to(device)
        rows = []
        for segments in segment_batches(gt_bbox, device, len(anchors)):
            length = segments[..., 1] - segments[..., 0]
            width = (self.boundary_ratio * length).clamp_min(1 / self.temporal_dim)
            rows.append(
                (
                    greatest_covered(anchors, segments),
                    greatest_covered(anchors, segments_at(segments[..., 0], width)),
                    greatest_covered(anchors, segments_at(segments[..., 1], width)),
                )
            )
        action, start, end = (torch.cat(column).float() for column in zip(*rows))
        return action, start, end


class PEM(StockPEM):
    """MMAction2's ``PEM``, which refuses a neck.

    Raises:
        ValueError: A neck is given.
    """

    def __init__(self, *args: Any, neck: dict | None = None, **kwargs: Any) -> None:
        if neck is not None:
            raise ValueError(
                'PEM takes no neck: it reads boundary-sensitive descriptions of proposals, not '
                'snippet features. Put the neck into the TEM that makes them.'
            )
        super().__init__(*args, **kwargs)
