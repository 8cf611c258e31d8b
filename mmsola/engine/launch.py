"""What the command lines that run a config share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mmaction.registry import RUNNERS
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from mmsola import compat


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that MMAction2's train.py and test.py have in common."""
    parser.add_argument(
        '--work-dir', help='folder for logs and results; default work_dirs/<config name>'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings to override: key=value, lists as key="[a,b]" or key=a,b, no white space',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torchrun sets LOCAL_RANK; older launchers hand it over as an argument
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config file and lay the shared arguments over it.

    The work directory is, in falling order: the argument, the config's, the config file's name.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    return cfg


def build_runner(cfg: Config) -> Runner:
    """MMEngine's Runner of a config; several processes work on a CPU too."""
    compat.init_cpu_process_group(cfg)
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
