"""What the subcommands do, as functions for scripts and notebooks.

Each is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmsola.apis.export import export_features
    from mmsola.apis.extraction import extract_features
    from mmsola.apis.inference import LocalizationInferencer
    from mmsola.apis.publish import publish_model
    from mmsola.apis.study import run_study
    from mmsola.apis.training import test, train

__all__ = [
    'LocalizationInferencer',
    'export_features',
    'extract_features',
    'publish_model',
    'run_study',
    'test',
    'train',
]

_MODULES = {
    'LocalizationInferencer': 'inference',
    'export_features': 'export',
    'extract_features': 'extraction',
    'publish_model': 'publish',
    'run_study': 'study',
    'test': 'training',
    'train': 'training',
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
