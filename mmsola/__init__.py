"""SoLa for MMAction2: a Soft-Landing between frozen snippet features and localizers.

``import mmsola``, or ``custom_imports = dict(imports=['mmsola'])`` in a config, makes today's stack
work and registers everything in MMAction2's registries.
"""

from mmsola import compat

compat.apply()

from typing import Any  # noqa: E402

from mmaction import registry as _registries  # noqa: E402
from mmengine.registry import Registry  # noqa: E402

from mmsola import datasets, engine, evaluation, models  # noqa: E402
from mmsola.version import __version__  # noqa: E402

__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'models']


def __getattr__(name: str) -> Any:
    """What mmsola has registered, so that ``type='mmsola.BMN'`` or ``'mmsola.SoLa'`` works."""
    for registry in vars(_registries).values():
        if isinstance(registry, Registry):
            found = registry.module_dict.get(name)
            if getattr(found, '__module__', '').startswith('mmsola.'):
                return found
    found = vars(models.localizers).get(name)  # one whose name MMAction2 keeps for its own
    if found is None:
        raise AttributeError(f"module 'mmsola' has no attribute {name!r}")
    return found
