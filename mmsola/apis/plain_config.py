"""Configs that come with data: plain settings of registered modules, nothing that names code."""

from __future__ import annotations

import re
from typing import Any

from mmaction.registry import MODELS, TRANSFORMS
from mmaction.utils import register_all_modules
from mmengine.registry import Registry

_PLAIN_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
# MMAction2 compares these itself, in the settings of these keys, and looks them up in no registry.
_NOT_REGISTERED = {
    'consensus': 'AvgConsensus',
    'slow_pathway': 'resnet3d',
    'fast_pathway': 'resnet3d',
}
_SCOPES = {'mmaction', 'mmengine', 'mmcv'}
# What would import a module or load a file of the author's choice.
_REFUSED_KEYS = ('custom_imports', '_base_', 'pretrained', 'init_cfg', 'checkpoint', 'load_from')


class ConfigNotPlainError(ValueError):
    """A config out of a data file that names code or files; the message has the key."""


def check_plain(value: Any, where: str) -> None:
    """Refuse a config that could run code or load files when it is built.

    MMEngine's registries import whatever a ``type`` names, ``'os.system'`` as well as ``'os'``.
    So every ``type`` must be a name that is registered already.

    Args:
        value: The config, as json has it.
        where: File and key, for the message.

    Raises:
        ConfigNotPlainError: Names the key, what was found, what was expected and the fix.
    """
    register_all_modules(init_default_scope=False)
    _check(value, where)


def without_files(value: Any) -> Any:
    """A copy of a config without the keys that name files to load, which a data file must not have.

    Weights are loaded afterwards, so nothing is lost.
    """
    if isinstance(value, dict):
        return {key: without_files(item) for key, item in value.items() if key not in _REFUSED_KEYS}
    return [without_files(item) for item in value] if isinstance(value, (list, tuple)) else value


def _check(value: Any, where: str) -> None:
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check(item, f'{where}[{index}]')
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        here = f'{where}.{key}'
        if key == 'type':
            parent = where.rpartition('.')[2]
            if _NOT_REGISTERED.get(parent, '') != item and not _is_registered(item):
                raise _error(here, item, 'the plain name of a registered module')
        elif key == '_scope_':
            if item not in _SCOPES:
                raise _error(here, item, f'one of {sorted(_SCOPES)}')
        elif key in _REFUSED_KEYS and item:
            raise _error(here, item, 'no such key, since data must not name code or files')
        else:
            _check(item, here)


def _is_registered(name: Any) -> bool:
    if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name):
        return False
    for start in (MODELS, TRANSFORMS):
        registry: Registry | None = start
        while registry is not None:
            if name in registry.module_dict:
                return True
            registry = registry.parent
    return False


def _error(where: str, found: Any, expected: str) -> ConfigNotPlainError:
    return ConfigNotPlainError(
        f'{where} is {str(found)[:120]!r}\n  expected: {expected}\n  fix: do not use this folder '
        "of features unless you trust its author; then name the encoder's config and checkpoint "
        'yourself'
    )
