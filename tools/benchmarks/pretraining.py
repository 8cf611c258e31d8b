"""SoLa pretraining: the arithmetic of a step, and the time it waits for data."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import torch
from measure import DEVICE, Row, has_fast_bfloat16, seconds, side_by_side
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook

from mmsola.engine.launch import build_runner

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def step(repeats: int, tiny: bool) -> list[Row]:
    """Forward, backward and AdamW of a batch of windows at HACS' shape."""
    batch_size, window, channels = (4, 23, 16) if tiny else (256, 23, 2048)
    windows = torch.randn(batch_size, window, channels, device=DEVICE).transpose(1, 2)
    models, optimizers = [], []
    for _ in range(2):
        model = MODELS.build(
            dict(
                type='SoLaPretrainer',
                neck=dict(type='SoLa', in_channels=channels),
                head=dict(type='SimilarityMatchingHead', in_channels=channels),
            )
        ).to(DEVICE)
        torch.nn.init.constant_(model.neck.alpha, 0.3)
        models.append(model)
        optimizers.append(torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True))

    def whole_window() -> None:
        model = models[0]
        loss = model.head.loss(model.neck(windows)[..., 4:19:2])['loss']
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()

    def gathered(dtype: torch.dtype | None = None) -> None:
        with torch.autocast(DEVICE.type, dtype) if dtype else contextlib.nullcontext():
            loss = models[1].loss(windows)['loss']
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()

    shape = f'B={batch_size}, window {window}, C={channels}'
    number = 20 if DEVICE.type == 'cuda' else 1
    rows = [
        side_by_side(
            Row(
                f'Similarity Matching step, {shape}',
                's',
                before_is='whole window',
                after_is='gathered positions',
                must='2.5x',
            ),
            lambda: seconds(whole_window, number),
            lambda: seconds(gathered, number),
            repeats,
        )
    ]
    if has_fast_bfloat16():
        rows.append(
            side_by_side(
                Row(
                    f'the same in bfloat16, {shape}',
                    's',
                    before_is='whole window, float32',
                    after_is='gathered, autocast',
                    must='2.5x (4x)',
                ),
                lambda: seconds(whole_window, number),
                lambda: seconds(lambda: gathered(torch.bfloat16), number),
                repeats,
            )
        )
    return rows


def waiting(repeats: int, tiny: bool) -> list[Row]:
    """Share of the training time that goes to waiting for data, on what features are here."""
    sets = ['demo'] if tiny else ['isl_i3d', 'charades_clip']
    rows = []
    for name in sets:
        if not (CONFIGS.parent / 'data' / name).exists():
            print(f'data/{name} is not here: no rows of it', file=sys.stderr)
            continue
        # a bank on a GPU takes no workers
        for workers in (0, 2) if DEVICE.type == 'cpu' else (0,):
            row = Row(
                f'pretraining on {name}, {workers} workers: waiting for data',
                '%',
                before_is='files',
                after_is='feature bank',
                must='5 % (1 %)',
                shows='share',
            )
            rows.append(
                side_by_side(
                    row,
                    lambda: _share_waiting(name, workers, with_bank=False),  # noqa: B023
                    lambda: _share_waiting(name, workers, with_bank=True),  # noqa: B023
                    1 if tiny else min(repeats, 3),
                    warm_up=False,
                )
            )
    return rows


class _Waiting(Hook):
    """Adds up MMEngine's own ``data_time`` and ``time``, once the first epochs are over."""

    priority = 'VERY_LOW'

    def __init__(self, skip_epochs: int) -> None:
        self.skip_epochs = skip_epochs
        self.data_sec = self.all_sec = 0.0

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        if runner.epoch >= self.skip_epochs:
            scalars = runner.message_hub.log_scalars
            self.data_sec += scalars['train/data_time'].current()
            self.all_sec += scalars['train/time'].current()


def _share_waiting(name: str, workers: int, with_bank: bool) -> float:
    cfg = Config.fromfile(str(CONFIGS / 'sola' / f'sola_pretrain_{name}.py'))
    cfg.launcher = 'none'
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=100)
    cfg.train_dataloader.num_workers = workers
    cfg.train_dataloader.persistent_workers = workers > 0
    if not with_bank:
        cfg.train_dataloader.dataset.bank = None
    for split in ('val', 'test'):
        for part in ('cfg', 'dataloader', 'evaluator'):
            cfg[f'{split}_{part}'] = None
    cfg.custom_hooks = []
    cfg.log_level = 'WARNING'
    cfg.default_hooks.checkpoint.interval = 100
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as work_dir:
        cfg.work_dir = work_dir
        os.chdir(CONFIGS.parent)  # configs name data relative to the repository
        try:
            runner = build_runner(cfg)
            waits = _Waiting(skip_epochs=2)
            runner.register_hook(waits)
            runner.train()
        finally:
            os.chdir(here)
    return 100 * waits.data_sec / waits.all_sec
