from mmsola.models.necks.sola import SoLa

__all__ = ['SoLa']
