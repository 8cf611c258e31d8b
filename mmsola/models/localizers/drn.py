"""MMAction2's DRN with a neck, where MMAction2 is installed from source."""

from __future__ import annotations

from mmaction.models.localizers.drn.drn import DRN as StockDRN

from mmsola.models.localizers.snippet_neck import SnippetNeckMixin


class DRN(SnippetNeckMixin, StockDRN):
    """MMAction2's ``DRN`` that accepts ``neck=``.

    Its inputs are ``(T, C)``, T = 32 stretches of the video, each the maximum over its snippets;
    they are the sequence that passes the neck.
    """

    feat_dim_key = 'feature_dim'
    temporal_dim_key = None
    channels_last = True
    predicts_one_video = True
