"""ActionFormer with a neck for snippet features."""

from __future__ import annotations

from typing import Any, ClassVar

from mmaction.registry import MODELS

from mmsola.models.localizers.one_stage import OneStageLocalizer
from mmsola.models.localizers.snippet_neck import SnippetNeckMixin


@MODELS.register_module()
class ActionFormer(SnippetNeckMixin, OneStageLocalizer):
    """ActionFormer (Zhang et al., ECCV 2022) that accepts ``neck=``.

    Same numbers as the published code, but for the running norm of the loss, which is in the state
    dict here. See :class:`OneStageLocalizer` for the arguments.

    Examples:
        >>> import torch
        >>> model = ActionFormer(feat_dim=16, num_classes=3, channels=16, max_snippets=576)
        >>> model([torch.randn(16, 100)], mode='tensor').logits.shape
        torch.Size([1, 1134, 3])
    """

    temporal_dim_key = None
    predicts_in_seconds = True
    parts: ClassVar[dict[str, dict[str, Any]]] = {
        'embedding': {'type': 'SnippetEmbedding'},
        'backbone': {'type': 'LocalTransformer'},
        'pyramid': {'type': 'PyramidNorm'},
        'head': {'type': 'PointHead'},
        'test_cfg': {
            'score_threshold': 0.001,
            'top_k': 2000,
            'min_length': 0.05,
            'nms': {'sigma': 0.5, 'min_score': 0.001, 'max_segments': 200},
        },
    }
