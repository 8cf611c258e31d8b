from mmsola.evaluation.linear_probe import LinearProbe
from mmsola.evaluation.localization_metric import LocalizationMetric
from mmsola.evaluation.self_similarity import SelfSimilarity

__all__ = ['LinearProbe', 'LocalizationMetric', 'SelfSimilarity']
