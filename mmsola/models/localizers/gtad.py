"""G-TAD with a neck for snippet features."""

from __future__ import annotations

from mmaction.registry import MODELS

from mmsola.models.localizers.snippet_neck import SnippetNeckMixin
from mmsola.models.localizers.subgraph_localizer import SubgraphLocalizer


@MODELS.register_module()
class GTAD(SnippetNeckMixin, SubgraphLocalizer):
    """G-TAD (Xu et al., CVPR 2020) that accepts ``neck=``, which MMAction2 does not have.

    Batches of any size train and predict; the authors' code fixes it. See
    :class:`SubgraphLocalizer` for the arguments; ``neck`` is that of :class:`SnippetNeckMixin`.

    Examples:
        >>> import torch
        >>> sizes = dict(hidden_dim_1d=16, hidden_dim_2d=8, hidden_dim_3d=16, graph_dim=8)
        >>> model = GTAD(
        ...     feat_dim=12, temporal_dim=16, max_duration=10, graph_groups=4, **sizes,
        ...     neck=dict(type='SoLa', frozen=False)
        ... )
        >>> confidence, start, end = model([torch.rand(12, 30)])
        >>> tuple(confidence.shape), tuple(start.shape)
        ((1, 2, 10, 16), (1, 16))
    """
