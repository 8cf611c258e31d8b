from mmsola.models.necks.feature_pyramid import FeaturePyramid
from mmsola.models.necks.neck_sequence import NeckSequence
from mmsola.models.necks.plain_beside import PlainBeside
from mmsola.models.necks.pyramid_norm import PyramidNorm
from mmsola.models.necks.sola import SoLa
from mmsola.models.necks.standardize import Standardize
from mmsola.models.necks.temporal_smoothing import TemporalSmoothing

__all__ = [
    'FeaturePyramid',
    'NeckSequence',
    'PlainBeside',
    'PyramidNorm',
    'SoLa',
    'Standardize',
    'TemporalSmoothing',
]
