"""What the command lines that run a config share."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from mmsola.atomic import remove_partials
from mmsola.engine.checkpoint_fits_hook import CheckpointFitsHook
from mmsola.engine.class_names_hook import ClassNamesHook
from mmsola.engine.config_file import add_cfg_options, read_config
from mmsola.engine.cpu_process_group import init_cpu_process_group
from mmsola.engine.exact_resume_hook import ExactResumeHook
from mmsola.engine.feature_statistics_hook import FeatureStatisticsHook
from mmsola.engine.learnable_segments_hook import LearnableSegmentsHook
from mmsola.engine.misspelt_keys import misspelt_lines
from mmsola.engine.newest_checkpoint import newest_whole_checkpoint
from mmsola.engine.provenance_hook import ProvenanceHook
from mmsola.engine.quiet_console import runner_class
from mmsola.engine.run_config_error import RunConfigError
from mmsola.engine.seconds import settle_seconds
from mmsola.engine.threads import compute_with_threads, threads_line, threads_of
from mmsola.engine.unwrap import unwrapped_model
from mmsola.engine.validate_first_hook import ValidateAtResumeHook
from mmsola.engine.wrapped_datasets import dataset_configs
from mmsola.models import SoLa
from mmsola.models.checkpoint_file import (
    MissingCheckpoint,
    check_is_there,
    named_checkpoint,
    read_state_dict,
)
from mmsola.models.necks.nested_necks import loadable_parts
from mmsola.models.necks.sola_checkpoint import sola_prefixes
from mmsola.models.necks.statistics_checkpoint import statistics_prefixes

#: What every run has.
_HOOKS = (
    CheckpointFitsHook,
    ClassNamesHook,
    ExactResumeHook,
    FeatureStatisticsHook,
    LearnableSegmentsHook,
    ProvenanceHook,
    ValidateAtResumeHook,
)


_runs = itertools.count()


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that MMAction2's train.py and test.py have in common."""
    parser.add_argument(
        '--work-dir', help='folder for logs and results; default work_dirs/<config name>'
    )
    add_cfg_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torchrun sets LOCAL_RANK; older launchers hand it over as an argument
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config file and lay the shared arguments over it.

    The work directory is, in falling order: the argument, the config's, the config file's name.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    set_work_dir(cfg, args.work_dir)
    return cfg


def set_work_dir(cfg: Config, work_dir: str | Path | None) -> None:
    """This one, else the config's, else one of the config file's name."""
    if work_dir is not None:
        cfg.work_dir = str(work_dir)
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(cfg.filename or 'config').stem)


def build_runner(cfg: Config) -> Runner:
    """MMEngine's Runner of a config; several processes work on a CPU too.

    ``load_from`` may be a pattern that one file matches, such as ``work_dirs/bmn/best_*.pth``.
    """
    misspelt = misspelt_lines(cfg)
    num_threads = threads_of(cfg)
    compute_with_threads(num_threads)
    init_cpu_process_group(cfg)
    leave_out_idle_workers(cfg)
    settled = settle_seconds(cfg)
    name_apart(cfg)
    if cfg.get('load_from'):
        cfg.load_from = named_checkpoint(cfg.load_from)
    if cfg.get('work_dir'):
        clean_up(cfg)
    try:
        runner = runner_class(cfg).from_cfg(cfg)
    except Exception:
        for line in misspelt:  # likely the cause
            print(line, file=sys.stderr)
        raise
    for line in misspelt:
        runner.logger.warning(line)
    for level, line in settled:
        runner.logger.log(level, line)
    runner.logger.info(threads_line(num_threads))
    check_neck(cfg, unwrapped_model(runner))
    for kind in _HOOKS:
        if not any(isinstance(hook, kind) for hook in runner.hooks):
            runner.register_hook(kind())
    return runner


def name_apart(cfg: Config) -> None:
    """Give each run of this process after the first a name of its own.

    MMEngine keeps loggers, curves and pictures by a name, which has the second in which a run
    began: two runs that began in one second would share them.
    """
    run = next(_runs)
    if run:
        stem = Path(cfg.filename or 'config').stem
        cfg.experiment_name = f'{cfg.get("experiment_name") or stem}_{run}'


def clean_up(cfg: Config) -> None:
    """Make good what a kill left in the work directory.

    Unfinished files of dead processes are removed, and a training that shall be resumed is from
    its newest whole checkpoint.
    """
    if get_rank() == 0 and Path(cfg.work_dir).is_dir():
        removed = remove_partials(cfg.work_dir)
        if removed:
            print_log(f'{cfg.work_dir}: {removed} unfinished files of a kill removed.', 'current')
    if cfg.get('resume') and cfg.get('load_from') is None:
        newest = newest_whole_checkpoint(cfg.work_dir)
        cfg.load_from = None if newest is None else str(newest)
        cfg.resume = newest is not None


def leave_out_idle_workers(cfg: Config) -> None:
    """Let no worker carry to the training what its feature bank holds in the same memory.

    Workers would take cores and copies, for nothing. Only a bank that always maps a file
    (``memory_share=0``) has something to read ahead.
    """
    loader = cfg.get('train_dataloader')
    if not loader or 'dataset' not in loader or not loader.get('num_workers'):
        return
    banks = [config.get('bank') for config in dataset_configs(loader.dataset)]
    if any(bank is None or bank.get('memory_share') == 0 for bank in banks):
        return
    print_log(
        f'train_dataloader: its {loader.num_workers} workers are left out, since the feature bank '
        'keeps the features in memory; bank=None reads files, and with workers.',
        'current',
    )
    loader.update(num_workers=0, persistent_workers=False)
    loader.pop('prefetch_factor', None)


def check_neck(cfg: Config, model: nn.Module) -> None:
    """Refuse a neck that would do nothing, before the first step.

    Raises:
        RunConfigError: The config has a neck outside of its model; the model swallowed it; or it is
            a frozen SoLa and nothing will be loaded into it.
        CheckpointError: The Pretrained checkpoint of a SoLa or Standardize is not there, and
            ``load_from`` does not hold the module either.
    """
    if 'neck' in cfg:
        raise RunConfigError(
            'the config has a neck of its own, where nobody looks for it; expected it inside of '
            'the model: model=dict(neck=dict(...)).'
        )
    wanted = cfg.model.get('neck')
    if wanted is None:
        return
    neck = getattr(model, 'neck', None)
    if neck is None:
        raise RunConfigError(
            f'{cfg.model.type}: takes neck={dict(wanted)} and ignores it. Derive a class of it '
            'from mmsola.SnippetNeckMixin and name that one in the config.'
        )
    load_from = cfg.get('load_from')
    for prefix, part in loadable_parts(neck).items():
        init_cfg = part.init_cfg or {}
        if isinstance(part, SoLa) and part.frozen and not init_cfg and not load_from:
            raise RunConfigError(
                f'model.{prefix[:-1]}: a frozen SoLa into which nothing is loaded changes nothing. '
                "Set init_cfg=dict(type='Pretrained', checkpoint=...) to a checkpoint of SoLa "
                'pretraining, or frozen=False to train it along.'
            )
        if init_cfg.get('type') == 'Pretrained':
            try:
                check_is_there(init_cfg['checkpoint'])
            except MissingCheckpoint:
                if not load_from or not _holds(part, load_from):
                    raise


def _holds(part: nn.Module, checkpoint: str) -> bool:
    state_dict = read_state_dict(Path(checkpoint))
    find = sola_prefixes if isinstance(part, SoLa) else statistics_prefixes
    return bool(find(state_dict))
