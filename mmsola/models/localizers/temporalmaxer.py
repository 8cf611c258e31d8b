"""TemporalMaxer with a neck for snippet features."""

from __future__ import annotations

from typing import Any, ClassVar

from mmaction.registry import MODELS

from mmsola.models.localizers.actionformer import ActionFormer
from mmsola.models.localizers.one_stage import OneStageLocalizer
from mmsola.models.localizers.snippet_neck import SnippetNeckMixin


@MODELS.register_module()
class TemporalMaxer(SnippetNeckMixin, OneStageLocalizer):
    """TemporalMaxer (Tang et al., 2023) that accepts ``neck=``: max pooling instead of attention.

    Same numbers as the published code, but for the running norm of the loss, which is in the state
    dict here, and for training videos without segments, which stop the original. With the default
    group norm a prediction depends on the length that a sequence is padded to, as published. See
    :class:`OneStageLocalizer` for the arguments.

    Examples:
        >>> import torch
        >>> model = TemporalMaxer(feat_dim=16, num_classes=3, channels=16, max_snippets=576)
        >>> model([torch.randn(16, 100)], mode='tensor').logits.shape
        torch.Size([1, 1134, 3])
    """

    temporal_dim_key = None
    predicts_in_seconds = True
    parts: ClassVar[dict[str, dict[str, Any]]] = {
        **ActionFormer.parts,  # embedding and decoding
        'backbone': {'type': 'MaxPoolPyramid'},
        'pyramid': {'type': 'PyramidNorm', 'norm': 'group'},
        'head': {'type': 'PointHead', 'assigner': {'type': 'CostAssigner'}},
    }
