"""Every config of pretraining runs: on generated data in the containers and layouts it names.

Those of localizers are in test_localization_configs.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from generated_data import NUM_VIDEOS, write_snippet_data
from mmengine.config import Config
from mmengine.runner import Runner
from shipped_configs import ROOT, shipped_configs

from mmsola.apis.export import _datasets
from mmsola.models import SoLaPretrainer

CONFIGS = [path for path in shipped_configs().values() if path.stem.startswith('sola_pretrain_')]


def test_there_are_configs():
    assert len(CONFIGS) >= 6


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_trains_two_steps_and_validates(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(path)
    specs = list(_datasets([cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader]))
    # relative to the working directory; long paths also make MMEngine's layout of configs crawl
    assert all(spec.data_root.startswith('data/') for spec in specs)
    write_snippet_data(specs, np.random.default_rng(0))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.batch_size = NUM_VIDEOS // 2
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    for hook in cfg.custom_hooks:
        if hook.type == 'TSMVisualizationHook':
            hook.num_videos = 1
        if hook.type == 'GateWarmupHook':
            hook.update(num_steps=0, until=None)
    cfg.work_dir = 'work_dir'

    runner = Runner.from_cfg(cfg)
    assert isinstance(runner.model, SoLaPretrainer)
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.train()

    assert runner.iter == 2
    # alpha starts at 0, so the first step moves it alone of the neck, and the second the rest
    moved = {k for k, v in runner.model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == set(before)
    scores = runner.message_hub.log_scalars
    best = cfg.default_hooks.checkpoint.save_best
    history = scores[f'val/{best}'].data[0]
    # before the first step and after the last one
    assert len(history) == 2 and np.isfinite(history).all()
    assert np.isfinite(scores['train/loss'].data[0]).all()
    assert list(Path(cfg.work_dir).glob(f'best_{best.replace("/", "_")}_epoch_*.pth'))
    assert len(list(Path(cfg.work_dir, 'tsm').iterdir())) == 1


@pytest.mark.parametrize('method', sorted({path.parent for path in shipped_configs().values()}))
def test_a_method_has_a_page_and_its_metafile_names_configs_that_are_there(method):
    """As MMAction2 has them; `mim` reads the metafiles that model-index.yml lists."""
    page = (method / 'README.md').read_text()
    for link in re.findall(r'\]\((?!https?:)([^)#]+)', page):
        assert (method / link).exists(), link
    metafile = method / 'metafile.yml'
    if method.name in ('recognition', 'study'):  # no checkpoint, no figure
        return
    models = yaml.safe_load(metafile.read_text())['Models']
    assert models
    for model in models:
        config = ROOT / model['Config']
        assert config.parent == method and config.stem == model['Name'] and config.exists()
