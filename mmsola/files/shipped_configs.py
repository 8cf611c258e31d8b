"""Configs that come with mmsola, by the names ``mmsola::<method>/<config>.py``."""

from __future__ import annotations

import difflib
from pathlib import Path

PREFIX = 'mmsola::'
_PACKAGE = Path(__file__).resolve().parents[1]


class ConfigFileError(FileNotFoundError):
    """A config that is not there; the message says what is."""


def config_folder() -> Path:
    """Where they lie: in a wheel inside of the package, in a clone beside it."""
    in_wheel = _PACKAGE / '.mim' / 'configs'
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent / 'configs'


def shipped_names() -> list[str]:
    """All names, configs that can be run before the bases that they are made of."""
    folder = config_folder()
    found = [path.relative_to(folder) for path in folder.rglob('*.py')]
    return [f'{PREFIX}{path.as_posix()}' for path in sorted(found, key=_bases_last)]


def shipped_config(name: str) -> Path:
    """The file of a name.

    Raises:
        ConfigFileError: mmsola has no config of that name; names the nearest.
    """
    path = config_folder() / name.removeprefix(PREFIX)
    if name in shipped_names():
        return path
    raise ConfigFileError(
        f'{name}: no such config in {config_folder()}\n  expected: {_nearest(name)}\n'
        '  fix: correct the name; mmsola configs lists them all'
    )


def same_file_name(path: str | Path) -> list[str]:
    """Names of the shipped configs whose file is called as this one."""
    return [name for name in shipped_names() if Path(name).name == Path(path).name]


def _bases_last(path: Path) -> tuple[bool, Path]:
    return '_base_' in path.parts, path


def _nearest(name: str) -> str:
    names = shipped_names()
    near = same_file_name(name) or difflib.get_close_matches(name, names, 1, 0)
    return near[0] if near else f'{PREFIX}<method>/<config>.py'
