"""Configs whose runs are compared: each has a validation that measures it."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from mmsola.engine.config_file import Options, read_config
from mmsola.engine.misspelt_keys import warn_of_misspelt_keys
from mmsola.engine.run_config_error import RunConfigError


def read_measured_config(config: str | Path | Config, options: Options | None = None) -> Config:
    """A config with settings laid over it, to be trained in any folder; warns of misspelt keys.

    Args:
        config: As for :func:`read_config`.
        options: As there.

    Raises:
        RunConfigError: It has no validation.
        ConfigFileError: There is no such file.
        ConfigOptionError: A setting does not fit it.
    """
    cfg = read_config(config, options)
    if cfg.get('val_evaluator') is None:
        raise RunConfigError(
            f'{cfg.filename or config}: has no validation, so there is nothing to compare.'
        )
    cfg.pop('work_dir', None)
    warn_of_misspelt_keys(cfg)
    return cfg


def chosen_by(cfg: Config, name: str | Path) -> str:
    """The figure by which a pretraining chooses its epoch.

    Raises:
        RunConfigError: It has none.
    """
    key = cfg.get('default_hooks', {}).get('checkpoint', {}).get('save_best')
    if not isinstance(key, str) or cfg.get('val_evaluator') is None:
        raise RunConfigError(
            f'{name}: needs validation and one figure to choose the epoch by; set '
            "default_hooks=dict(checkpoint=dict(save_best='probe/auc'))."
        )
    return key
