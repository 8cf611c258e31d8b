"""MMAction2's TCANet with a neck, whole batches."""

from __future__ import annotations

from mmaction.models.localizers.tcanet import TCANet as StockTCANet

from mmsola.models.localizers.snippet_neck import SnippetNeckMixin


class TCANet(SnippetNeckMixin, StockTCANet):
    """MMAction2's ``TCANet`` that accepts ``neck=``, which the stock class swallows and ignores.

    Batches of any size predict; the stock class gives all their proposals to the first video.
    """

    predicts_one_video = True
