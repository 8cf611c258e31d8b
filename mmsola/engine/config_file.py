"""One way to read a config, for every command and for Python."""

from __future__ import annotations

import argparse
import contextlib
import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction

from mmsola.files.shipped_configs import PREFIX, ConfigFileError, same_file_name, shipped_config

Options = Mapping[str, Any] | Sequence[str]


class ConfigOptionError(ValueError):
    """A setting that cannot be laid over a config."""


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """The argument ``--cfg-options``; :func:`read_config` takes what it was given."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        default=[],
        metavar='KEY=VALUE',
        help='settings to override; lists as key="[a,b]" or key=a,b, no white space',
    )


def read_config(config: str | Path | Config, cfg_options: Options | None = None) -> Config:
    """Read a config file and lay settings over it; a config that was read is copied first.

    Args:
        config: A file; ``mmsola::bmn/bmn_demo.py``, a config that mmsola ships; or
            ``mmaction::...``, one of MMAction2's.
        cfg_options: ``{'train_cfg.max_epochs': 2}``, or ``['train_cfg.max_epochs=2']`` as on a
            command line.

    Raises:
        ConfigFileError: The file, or one that it is based on, is not there.
        ConfigOptionError: An option is not ``key=value``, or the config has no such list entry.
    """
    cfg = copy.deepcopy(config) if isinstance(config, Config) else _read(str(config))
    name = str(cfg.filename if isinstance(config, Config) else config)
    options = parsed_options(cfg_options)
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, IndexError) as error:
        raise ConfigOptionError(
            f'{name}: the settings {options} do not fit it: {error}\n  expected: keys that '
            'lead to settings, and to entries that its lists have\n  fix: correct the keys'
        ) from error
    return cfg


def parsed_options(options: Options | None) -> dict[str, Any]:
    """Settings by key; those of a command line are read as MMEngine's ``DictAction`` reads them.

    Raises:
        ConfigOptionError: One is not ``key=value``, or its brackets do not match.
    """
    if isinstance(options, Mapping):
        return dict(options)
    parsed = {}
    for option in options or ():
        key, equals, value = option.partition('=')
        if not (key and equals):
            raise ConfigOptionError(
                f'--cfg-options {option}: has no value\n  expected: key=value, such as '
                'train_cfg.max_epochs=2\n  fix: write the value behind the key, without white space'
            )
        try:
            parsed[key] = DictAction._parse_iterable(value)
        except AssertionError as error:
            raise ConfigOptionError(
                f'--cfg-options {option}: {error}\n  expected: a value such as 2, a,b or [a,b]\n'
                '  fix: close every bracket, and put the option into quotes'
            ) from error
    return parsed


def _read(config: str) -> Config:
    path = _path_of(config)
    try:
        return Config.fromfile(path)
    except ConfigFileError as error:  # of a base
        raise ConfigFileError(f'{config}: {error}') from error
    except FileNotFoundError as error:
        missing = error.filename or str(error).removesuffix(' does not exist').split()[-1]
        raise _missing(missing, f'{config}: its base {missing}') from error


def _path_of(config: str) -> str:
    if config.startswith(PREFIX):
        return str(shipped_config(config))
    if '::' in config:
        with contextlib.suppress(ValueError, ImportError, FileNotFoundError, TypeError):
            path = Config._get_cfg_path(config, '')[0]
            if path is not None and Path(path).is_file():
                return path
        package = config.split('::')[0]
        raise ConfigFileError(
            f'{config}: no such config of an installed package {package}\n'
            f'  expected: {PREFIX}<method>/<config>.py, or mmaction::<path of one of its configs>\n'
            '  fix: correct the name'
        )
    if not Path(config).is_file():
        raise _missing(config, config)
    return config


def _missing(file: str, what: str) -> ConfigFileError:
    shipped = same_file_name(file)
    fix = f'mmsola ships one of that name: {shipped[0]}' if shipped else 'correct the path'
    return ConfigFileError(
        f'{what}: no such config file\n  expected: a file, or {PREFIX}<method>/<config>.py\n'
        f'  fix: {fix}'
    )
