"""Pretraining at scale: cost against the number of videos, and HACS' 150 epochs on one GPU."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import DEVICE, Row, in_a_process, peak_megabytes
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope

from mmsola.datasets import SnippetFeatureDataset
from mmsola.engine.launch import build_runner

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'sola' / 'sola_pretrain_hacs_i3d.py'
LENGTH = 200  # snippets a video
HACS_VIDEOS = 37_600


class GeneratedStore:
    """Stands for a feature store: videos are stretches of one slow random walk, made at once."""

    def __init__(self, num_channels: int) -> None:
        rng = np.random.default_rng(0)
        steps = rng.standard_normal((20_000, num_channels), np.float32)
        # neighbours are alike, and a hundred snippets away nothing is
        kernel = np.exp(-np.arange(40) / 8, dtype=np.float32)
        self.walk = sum(weight * np.roll(steps, i, axis=0) for i, weight in enumerate(kernel))
        self.num_channels = num_channels

    def shape(self, name: str) -> tuple[int, int]:
        return LENGTH, self.num_channels

    def read(self, name: str) -> np.ndarray:
        first = 7919 * int(name) % (len(self.walk) - LENGTH)
        return self.walk[first : first + LENGTH]

    def stamp(self, name: str) -> tuple[int, int]:
        return LENGTH, 0

    def settings(self) -> dict:
        return {'generated': self.num_channels}


@DATASETS.register_module()
class GeneratedWindows(SnippetFeatureDataset):
    """A SnippetFeatureDataset of any number of videos, without files."""

    def __init__(self, num_videos: int, num_channels: int, **kwargs: Any) -> None:
        self.num_videos = num_videos
        self.num_channels = num_channels
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        self.store = GeneratedStore(self.num_channels)
        return [
            {'video_name': str(i), 'num_snippets': LENGTH, 'record': None}
            for i in range(self.num_videos)
        ]


class _Clock(Hook):
    """When each epoch ended, and the losses."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.kl: list[float] = []

    def before_train(self, runner) -> None:
        self.ends.append(_now())

    def after_train_epoch(self, runner) -> None:
        self.ends.append(_now())
        scalar = runner.message_hub.log_scalars['train/kl']
        self.kl.append(float(scalar.mean(len(runner.train_dataloader))))


def growth(repeats: int, tiny: bool) -> list[Row]:
    """An epoch over 1, 10 and 100 times the videos."""
    base, channels = (4, 8) if tiny else (HACS_VIDEOS // 100, 64)
    factors = (1, 10, 100)
    measured = {
        factor: [
            in_a_process(_pretrain, base * factor, channels, 3, 'float32', None, 64)
            for _ in range(1 if tiny else min(repeats, 2))
        ]
        for factor in factors
    }
    rows = []
    for factor in factors[1:]:
        videos = f'{base * factor:,} videos against {base:,}, C={channels}'
        for key, what, unit in (
            ('epoch_sec', 'an epoch', 's'),
            ('fill_sec', 'filling the bank', 's'),
            ('bank_mb', 'memory of the bank', 'MB'),
            ('step_mb', 'memory of training above it', 'MB'),
        ):
            row = Row(f'{what}, {videos}', unit, must=f'at most {factor}x', shows='growth')
            row.before_is, row.after_is = f'{base:,} videos', f'{base * factor:,} videos'
            row.before = [each[key] for each in measured[1]]
            row.after = [each[key] for each in measured[factor]]
            rows.append(row)
    return rows


def hacs(repeats: int, tiny: bool) -> list[Row]:
    """150 epochs over as many features as HACS has, through the runner.

    In float32 step by step, against recorded steps and steps in bfloat16.
    """
    videos, channels, epochs = (300, 16, 2) if tiny else (HACS_VIDEOS, 2048, 150)
    if not tiny and DEVICE.type == 'cpu':
        raise SystemExit(
            'the row hacs takes a GPU with 40 GB free (31 GB of features); on a CPU it would '
            'take hours. Add --tiny to see that it runs.'
        )
    rows = []
    # the backend without a compiler shows that the road is open
    compiled = {'backend': 'aot_eager'} if tiny else {'mode': 'reduce-overhead'}
    shape = (videos, channels, epochs, 'float16')
    plain = in_a_process(_pretrain, *shape, None, 256, False, False)
    for name, dtype, compile, capture in (
        ('float32, recorded', None, False, 'auto'),
        ('bfloat16', 'bfloat16', False, False),
        ('bfloat16, recorded', 'bfloat16', False, 'auto'),
        ('bfloat16, compiled', 'bfloat16', compiled, False),
    ):
        ours = in_a_process(_pretrain, *shape, dtype, 256, compile, capture)
        what = f'{epochs} epochs over {videos:,} videos of {LENGTH} x {channels}'
        both = dict(before_is='float32, step by step', after_is=name)
        time_row = Row(what, 's', gpu_must='30 s (12 s)', **both)
        time_row.before, time_row.after = [plain['train_sec']], [ours['train_sec']]
        epoch_row = Row(f'{what}: an epoch', 's', **both)
        epoch_row.before, epoch_row.after = [plain['epoch_sec']], [ours['epoch_sec']]
        kl_row = Row(f'{what}: kl of the last epoch', '', gpu_must='as float32', **both)
        kl_row.before, kl_row.after = plain['kl'][-1:], ours['kl'][-1:]
        rows += [time_row, epoch_row, kl_row]
    return rows


def _pretrain(
    num_videos: int,
    num_channels: int,
    epochs: int,
    bank_dtype: str,
    autocast_dtype: str | None,
    batch_size: int,
    compile: bool | dict = False,
    capture: bool | str = 'auto',
) -> dict:
    """Seconds and megabytes of pretraining, in a fresh process."""
    init_default_scope('mmaction')
    cfg = Config.fromfile(str(CONFIG))
    cfg.launcher = 'none'
    cfg.log_level = 'WARNING'
    for split in ('val', 'test'):
        for part in ('cfg', 'dataloader', 'evaluator'):
            cfg[f'{split}_{part}'] = None
    cfg.train_cfg.update(max_epochs=epochs, val_interval=epochs + 1, capture=capture)
    cfg.custom_hooks = []
    cfg.env_cfg.mp_cfg.mp_start_method = 'spawn'  # as this process was
    cfg.default_hooks.checkpoint.interval = 10 * epochs
    cfg.model.neck.in_channels = cfg.model.head.in_channels = num_channels
    cfg.model.compile = compile
    cfg.train_dataloader.batch_size = batch_size
    cfg.train_dataloader.dataset = dict(
        type='GeneratedWindows',
        num_videos=num_videos,
        num_channels=num_channels,
        pipeline=cfg.window_pipeline,
        bank=dict(dtype=bank_dtype),
    )
    if autocast_dtype is not None:
        wrapper = 'AmpOptimWrapper' if DEVICE.type == 'cuda' else 'BFloat16OptimWrapper'
        cfg.optim_wrapper.type = wrapper
        if DEVICE.type == 'cuda':
            # bfloat16 reaches as far as float32: there is no loss scale to look for
            cfg.optim_wrapper.update(dtype=autocast_dtype, loss_scale=dict(enabled=False))
    with tempfile.TemporaryDirectory() as cfg.work_dir:
        runner = build_runner(cfg)
        clock = _Clock()
        runner.register_hook(clock)
        began = _now()
        bank_mb = peak_megabytes(lambda: runner.train_dataloader)  # builds it
        filled = _now()
        step_mb = peak_megabytes(runner.train)
    laps = np.diff(clock.ends)
    return {
        'fill_sec': filled - began,
        'epoch_sec': float(np.median(laps[1:])),
        'train_sec': clock.ends[-1] - clock.ends[0],
        'bank_mb': bank_mb,
        'step_mb': step_mb,
        'kl': clock.kl,
    }


def _now() -> float:
    if DEVICE.type == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter()
