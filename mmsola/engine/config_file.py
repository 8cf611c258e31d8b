"""One way to read a config, for every command and for Python."""

from __future__ import annotations

import argparse
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
    options = cfg_options if isinstance(cfg_options, Mapping) else _parsed(cfg_options or ())
    try:
        cfg.merge_from_dict(dict(options))
    except (KeyError, TypeError, IndexError) as error:
        raise ConfigOptionError(
            f'{name}: the settings {dict(options)} do not fit it: {error}\n  expected: keys that '
            'lead to settings, and to entries that its lists have\n  fix: correct the keys'
        ) from error
    return cfg


def _read(config: str) -> Config:
    path = _path_of(config)
    try:
        return Config.fromfile(path)
    except ConfigFileError as error:  # of a base
        raise ConfigFileError(f'{config}: {error}') from error


def _path_of(config: str) -> str:
    if config.startswith(PREFIX):
        return str(shipped_config(config))
    if '::' in config:
        return Config._get_cfg_path(config, '')[0]
    if not Path(config).is_file():
        shipped = same_file_name(config)
        fix = f'mmsola ships one of that name: {shipped[0]}' if shipped else 'correct the path'
        raise ConfigFileError(
            f'{config}: no such config file\n  expected: a file, or {PREFIX}<method>/<config>.py\n'
            f'  fix: {fix}'
        )
    return config


def _parsed(options: Sequence[str]) -> dict[str, Any]:
    for option in options:
        if '=' not in option:
            raise ConfigOptionError(
                f'--cfg-options {option}: has no value\n  expected: key=value, such as '
                'train_cfg.max_epochs=2\n  fix: write the value behind the key, without white space'
            )
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument('--options', nargs='*', action=DictAction)
    return parser.parse_args(['--options', *options]).options or {}
