from mmsola.models.data_preprocessors import SnippetDataPreprocessor
from mmsola.models.heads import SimilarityMatchingHead
from mmsola.models.losses import SimilarityMatchingLoss
from mmsola.models.necks import SoLa
from mmsola.models.pretrainers import SoLaPretrainer

__all__ = [
    'SimilarityMatchingHead',
    'SimilarityMatchingLoss',
    'SnippetDataPreprocessor',
    'SoLa',
    'SoLaPretrainer',
]
