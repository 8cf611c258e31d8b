"""A localizer with a neck through MMEngine's Runner: frozen, resumed, refused."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from small_localizers import GTAD

from mmsola.engine import exact_resume_hook
from mmsola.engine.launch import build_runner, check_neck
from mmsola.evaluation.seeds import validations_of
from mmsola.models import SoLa

CONFIG = Path(__file__).parents[1] / 'configs' / 'bmn' / 'sola_bmn_demo.py'
CHANNELS = 8
TINY = {
    'model.feat_dim': CHANNELS,
    'model.temporal_dim': 16,
    'model.num_samples': 4,
    'model.hidden_dim_1d': 8,
    'model.hidden_dim_2d': 8,
    'model.hidden_dim_3d': 8,
    'model.neck.in_channels': CHANNELS,
    'model.neck.hidden_channels': CHANNELS,
    'train_cfg.max_epochs': 2,
    'train_cfg.val_interval': 1,
    'default_hooks.logger.interval': 1,
}


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    found = SoLa(CHANNELS, hidden_channels=CHANNELS).state_dict()
    found['alpha'].fill_(0.5)
    torch.save({'state_dict': found}, tmp_path / 'best_one.pth')
    return found


@pytest.fixture
def cfg(demo_root, monkeypatch, tmp_path, weights):
    monkeypatch.chdir(demo_root)
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(TINY)
    cfg.model.neck.init_cfg.checkpoint = str(tmp_path / 'best_*.pth')
    cfg.work_dir = str(tmp_path / 'work_dir')
    cfg.launcher = 'none'
    return cfg


def run(cfg, name, **options):
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict(options)
    cfg.experiment_name = name
    runner = build_runner(cfg)
    runner.train()
    return runner


def test_training_leaves_the_bytes_of_a_frozen_neck(cfg, weights):
    runner = run(cfg, 'frozen')
    for key, value in runner.model.neck.state_dict().items():
        assert torch.equal(value, weights[key])
    assert not runner.model.neck.training
    saved = torch.load(Path(cfg.work_dir) / 'epoch_2.pth', weights_only=True)
    assert torch.equal(saved['state_dict']['neck.alpha'], weights['alpha'])
    scores = runner.message_hub.log_scalars
    assert {'val/loc/AUC', 'val/loc/AR@100', 'val/loc/class_agnostic_AP'} <= set(scores)


TEM = dict(
    type='TEM',
    temporal_dim=16,
    boundary_ratio=0.1,
    tem_feat_dim=CHANNELS,
    tem_hidden_dim=8,
    tem_match_threshold=0.5,
)


@pytest.mark.parametrize('localizer', ['TEM', 'BMN', 'GTAD'])
def test_a_resumed_run_equals_one_that_was_never_stopped(cfg, localizer):
    """BMN's and G-TAD's losses draw proposals at random."""
    if localizer != 'BMN':
        model = TEM if localizer == 'TEM' else {**GTAD, 'feat_dim': CHANNELS}
        cfg.model = dict(**model, neck=cfg.model.neck)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    whole = run(cfg, 'whole', **{'train_cfg.max_epochs': 3})
    cfg.work_dir += '_resumed'
    run(cfg, 'first', **{'train_cfg.max_epochs': 1})
    torch.rand(7)  # a process of its own would be at another state too
    resumed = run(cfg, 'second', resume=True, **{'train_cfg.max_epochs': 3})
    assert resumed.iter == whole.iter
    for key, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value), key
    optimizers = [runner.optim_wrapper.state_dict()['state'] for runner in (whole, resumed)]
    for one, other in zip(optimizers[0].values(), optimizers[1].values()):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_an_epoch_draws_the_same_numbers_whatever_was_drawn_before(cfg):
    drawn = []

    class Draws(Hook):
        def after_train_iter(self, runner, **_):
            drawn.append((float(torch.rand(1)), float(np.random.rand()), random.random()))

    for extra in (0, 3):
        runner = build_runner(copy.deepcopy(cfg))
        runner.register_hook(Draws())
        torch.rand(extra)
        runner.train()
    half = len(drawn) // 2
    assert drawn[:half] == drawn[half:] and len(set(drawn[:half])) == half


def test_the_validation_that_a_kill_cost_is_made_up_for(cfg):
    cfg.default_hooks.checkpoint.update(save_best='loc/AUC', rule='greater')
    runner = build_runner(copy.deepcopy(cfg))
    runner.val_loop.run = killed
    with pytest.raises(Killed):
        runner.train()
    runner.logger.handlers.clear()
    work_dir = Path(cfg.work_dir)
    assert (work_dir / 'epoch_1.pth').exists() and not list(work_dir.glob('best_*.pth'))
    cfg.resume, cfg.experiment_name = True, 'again'
    cfg.train_cfg.max_epochs = 1
    again = build_runner(copy.deepcopy(cfg))
    again.train()
    assert 1 in validations_of(work_dir)
    assert [path.name for path in work_dir.glob('best_*.pth')] == ['best_loc_AUC_epoch_1.pth']


class Killed(Exception):
    """What a kill in a validation looks like to this process."""


def killed():
    raise Killed


def test_a_checkpoint_of_the_localizer_tests_without_the_pretrained_one(cfg, tmp_path):
    run(cfg, 'trained')
    (tmp_path / 'best_one.pth').unlink()
    runner = Runner.from_cfg(copy.deepcopy(cfg))
    runner.load_checkpoint(str(Path(cfg.work_dir) / 'epoch_2.pth'))
    trained = runner.test()
    assert trained['loc/AR@100'] > 0


def test_a_stock_config_takes_the_neck_in_two_lines(cfg):
    """Whatever the base config is: custom_imports and model.neck are all that is added."""
    plain = Config.fromfile(CONFIG.with_name('bmn_demo.py'))
    with_sola = Config.fromfile(CONFIG)
    with_sola.model.pop('neck')
    assert with_sola.to_dict() == plain.to_dict()


def test_two_pretrained_checkpoints_of_one_pattern_are_refused(cfg, tmp_path):
    (tmp_path / 'best_two.pth').write_bytes((tmp_path / 'best_one.pth').read_bytes())
    with pytest.raises(ValueError, match='expected one matching checkpoint, found'):
        run(cfg, 'two')


def test_a_missing_pretrained_checkpoint_is_refused(cfg, tmp_path):
    (tmp_path / 'best_one.pth').unlink()
    with pytest.raises(ValueError, match='expected one matching checkpoint, found none'):
        run(cfg, 'none')


def test_a_frozen_neck_that_nothing_is_loaded_into_is_refused_at_the_start(cfg):
    cfg.model.neck.pop('init_cfg')
    with pytest.raises(ValueError, match='nothing is loaded changes nothing'):
        build_runner(cfg)


def test_a_neck_beside_the_model_is_refused(cfg):
    cfg.neck = cfg.model.pop('neck')
    with pytest.raises(ValueError, match='a neck of its own'):
        build_runner(cfg)


def test_a_model_that_swallows_its_neck_is_refused():
    class Swallows(BaseModel):
        def __init__(self, **kwargs):
            super().__init__()

        def forward(self, inputs, data_samples=None, mode='tensor'):
            return inputs

    MODELS.register_module(name='Swallows', module=Swallows, force=True)
    cfg = Config(dict(model=dict(type='Swallows', neck=dict(type='SoLa'))))
    with pytest.raises(ValueError, match='Swallows: takes neck=.* and ignores it'):
        check_neck(cfg, MODELS.build(cfg.model))


@pytest.mark.parametrize('kind', ['cpu', 'cuda', 'npu'])
def test_a_step_is_seeded_as_torch_does_it(kind, monkeypatch):
    monkeypatch.setattr(exact_resume_hook, 'get_device', lambda: kind)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(8)
    exact_resume_hook._seed_torch(7)
    assert torch.equal(torch.rand(3), expected)
