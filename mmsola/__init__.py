"""SoLa for MMAction2: a Soft-Landing between frozen snippet features and localizers.

``import mmsola``, or ``custom_imports = dict(imports=['mmsola'])`` in a config, makes today's stack
work and registers everything in MMAction2's registries.
"""

from mmsola import compat

compat.apply()

from mmsola import datasets, engine, evaluation, models  # noqa: E402
from mmsola.models.localizers import *  # noqa: E402,F403  so that type='mmsola.BMN' works
from mmsola.version import __version__  # noqa: E402

__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'models']
