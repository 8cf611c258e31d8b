from mmsola.models.pretrainers.sola_pretrainer import SoLaPretrainer

__all__ = ['SoLaPretrainer']
