from mmsola.models.necks.sola import SoLa
from mmsola.models.necks.temporal_smoothing import TemporalSmoothing

__all__ = ['SoLa', 'TemporalSmoothing']
