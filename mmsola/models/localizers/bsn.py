"""MMAction2's two networks of BSN: TEM takes a neck, PEM cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmaction.models.localizers.bsn import PEM as StockPEM
from mmaction.models.localizers.bsn import TEM as StockTEM
from torch import Tensor

from mmsola.models.localizers.anchor_overlap import (
    batched_labels,
    greatest_covered,
    on_device,
    segments_at,
)
from mmsola.models.localizers.snippet_neck import SnippetNeckMixin


class TEM(SnippetNeckMixin, StockTEM):
    """MMAction2's ``TEM`` that accepts ``neck=``, and videos without segments.

    Examples:
        >>> import torch
        >>> model = TEM(
        ...     temporal_dim=16, boundary_ratio=0.1, tem_feat_dim=12, tem_hidden_dim=8,
        ...     tem_match_threshold=0.5, neck=dict(type='SoLa', frozen=False)
        ... )
        >>> [tuple(x.shape) for x in model([torch.rand(12, 30)])]
        [(3, 16)]
    """

    feat_dim_key = 'tem_feat_dim'
    _anchors: tuple[Tensor, ...] | None = None  # cells, for labels

    def generate_labels(self, gt_bbox: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Labels ``(B, T)`` of action, start and end, as MMAction2's."""
        arrays = (np.stack([self.anchors_tmins, self.anchors_tmaxs], axis=1),)
        self._anchors = (cells,) = on_device(self._anchors, arrays, gt_bbox[0].device)

        def labels_of(segments: Tensor) -> tuple[Tensor, ...]:
            length = segments[..., 1] - segments[..., 0]
            width = (self.boundary_ratio * length).clamp_min(1 / self.temporal_dim)
            return (
                greatest_covered(cells, segments),
                greatest_covered(cells, segments_at(segments[..., 0], width)),
                greatest_covered(cells, segments_at(segments[..., 1], width)),
            )

        action, start, end = batched_labels(gt_bbox, len(cells), labels_of)
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
