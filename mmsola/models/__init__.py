from mmsola.models import backbones  # noqa: F401  their parts are registered
from mmsola.models.data_preprocessors import SnippetDataPreprocessor
from mmsola.models.heads import SimilarityMatchingHead
from mmsola.models.localizers import (
    BMN,
    GTAD,
    PEM,
    TEM,
    ActionFormer,
    EndToEndLocalizer,
    SnippetNeckMixin,
    TCANet,
    TemporalMaxer,
    TriDet,
)
from mmsola.models.losses import SimilarityMatchingLoss
from mmsola.models.necks import NeckSequence, PlainBeside, SoLa, Standardize, TemporalSmoothing
from mmsola.models.pretrainers import SoLaPretrainer

__all__ = [
    'ActionFormer',
    'BMN',
    'EndToEndLocalizer',
    'GTAD',
    'NeckSequence',
    'PEM',
    'PlainBeside',
    'SimilarityMatchingHead',
    'SimilarityMatchingLoss',
    'SnippetDataPreprocessor',
    'SoLa',
    'SnippetNeckMixin',
    'SoLaPretrainer',
    'Standardize',
    'TCANet',
    'TEM',
    'TemporalMaxer',
    'TemporalSmoothing',
    'TriDet',
]
