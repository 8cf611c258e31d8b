"""Train and test what a config describes, as often as one likes in one process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from mmsola.engine.config_file import Options, read_config
from mmsola.engine.launch import build_runner, set_work_dir
from mmsola.engine.threads import threads_put_back


def train(
    config: str | Path | Config,
    work_dir: str | Path | None = None,
    seed: int | None = None,
    resume: bool | str | Path = False,
    cfg_options: Options | None = None,
) -> Runner:
    """Train until the last epoch.

    Args:
        config: A config, its file, or one that mmsola ships: ``mmsola::bmn/bmn_demo.py``.
        work_dir: Folder for logs and checkpoints; None takes the config's, or one in ``work_dirs``
            with the config file's name.
        seed: Random seed; None takes the config's.
        resume: Go on from this checkpoint; True or ``'auto'`` takes the newest of ``work_dir``, if
            there is one.
        cfg_options: Settings to override, ``{'train_cfg.max_epochs': 2}``.

    Returns:
        MMEngine's Runner: ``runner.model`` is what was trained, and ``runner.work_dir`` has the
        checkpoints.

    Raises:
        ConfigFileError: There is no such config.
        ConfigOptionError: A setting does not fit it.

    Example::

        from mmsola.apis import train

        runner = train('mmsola::sola/sola_pretrain_demo.py', seed=0)
    """
    cfg = _run_config(config, work_dir, cfg_options)
    if resume:
        cfg.resume = True
        cfg.load_from = None if resume is True or resume == 'auto' else str(resume)
    cfg.randomness = {'seed': None, **(cfg.get('randomness') or {})}
    if seed is not None:
        cfg.randomness.seed = seed
    with threads_put_back():
        runner = build_runner(cfg)
        runner.train()
    return runner


def test(
    config: str | Path | Config,
    checkpoint: str | Path,
    work_dir: str | Path | None = None,
    cfg_options: Options | None = None,
) -> Mapping[str, float]:
    """Measure a checkpoint as a config says.

    Args:
        config: As for :func:`train`.
        checkpoint: Its checkpoint, or a pattern that one file matches.
        work_dir: Folder for logs and results.
        cfg_options: Settings to override.

    Returns:
        The figures by name, such as ``'loc/AUC'``.
    """
    cfg = _run_config(config, work_dir, cfg_options)
    cfg.load_from = str(checkpoint)
    with threads_put_back():
        return build_runner(cfg).test()


def _run_config(
    config: str | Path | Config, work_dir: str | Path | None, cfg_options: Options | None
) -> Config:
    cfg = read_config(config, cfg_options)
    set_work_dir(cfg, work_dir)
    return cfg
