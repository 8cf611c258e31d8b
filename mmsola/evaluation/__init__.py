from mmsola.evaluation.boundary_probe import BoundaryProbe
from mmsola.evaluation.change_contrast import ChangeContrast
from mmsola.evaluation.linear_probe import LinearProbe
from mmsola.evaluation.localization_metric import LocalizationMetric
from mmsola.evaluation.self_similarity import SelfSimilarity

__all__ = [
    'BoundaryProbe',
    'ChangeContrast',
    'LinearProbe',
    'LocalizationMetric',
    'SelfSimilarity',
]
