"""TriDet with a neck for snippet features."""

from __future__ import annotations

from typing import Any, ClassVar

from mmaction.registry import MODELS

from mmsola.models.localizers.one_stage import OneStageLocalizer
from mmsola.models.localizers.snippet_neck import SnippetNeckMixin


@MODELS.register_module()
class TriDet(SnippetNeckMixin, OneStageLocalizer):
    """TriDet (Shi et al., CVPR 2023) that accepts ``neck=``, in the arithmetic of OpenTAD's port.

    Predictions depend on the length that a sequence is padded to, as in the original. The running
    norm of the loss is in the state dict. See :class:`OneStageLocalizer` for the arguments.

    Examples:
        >>> import torch
        >>> model = TriDet(feat_dim=16, num_classes=3, channels=16, max_snippets=576)
        >>> model([torch.randn(16, 100)], mode='tensor').logits.shape
        torch.Size([1, 1134, 3])
    """

    temporal_dim_key = None
    predicts_in_seconds = True
    parts: ClassVar[dict[str, dict[str, Any]]] = {
        'embedding': {
            'type': 'SnippetEmbedding',
            'noise': 0.0005,
            'norm_eps': 1e-6,
            'mask_activations': True,
        },
        'backbone': {'type': 'SGPPyramid'},
        'pyramid': {'type': 'PyramidNorm', 'norm_eps': 1e-6},
        'head': {'type': 'TridentHead'},
        'test_cfg': {
            'score_threshold': 0.001,
            'top_k': 2000,
            'min_length': -1.0,  # segments of no length as well
            'per_level': False,
            'nms': {'sigma': 0.5, 'min_score': 0.001, 'max_segments': 2000},
        },
    }
