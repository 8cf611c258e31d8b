from mmsola.models.data_preprocessors import SnippetDataPreprocessor
from mmsola.models.heads import SimilarityMatchingHead
from mmsola.models.localizers import BMN, PEM, TEM, EndToEndLocalizer, SnippetNeckMixin, TCANet
from mmsola.models.losses import SimilarityMatchingLoss
from mmsola.models.necks import SoLa, TemporalSmoothing
from mmsola.models.pretrainers import SoLaPretrainer

__all__ = [
    'BMN',
    'EndToEndLocalizer',
    'PEM',
    'SimilarityMatchingHead',
    'SimilarityMatchingLoss',
    'SnippetDataPreprocessor',
    'SoLa',
    'SnippetNeckMixin',
    'SoLaPretrainer',
    'TCANet',
    'TEM',
    'TemporalSmoothing',
]
