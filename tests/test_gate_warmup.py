"""The gate stays shut for its first steps, whatever interrupts them."""

import copy

import pytest
import torch
from mmengine.runner import Runner


def train(cfg, max_epochs, num_steps, **options):
    """Two steps an epoch."""
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict({'train_cfg.max_epochs': max_epochs, **options})
    cfg.custom_hooks = [dict(type='GateWarmupHook', num_steps=num_steps)]
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.experiment_name = f'{max_epochs}_{num_steps}_{len(options)}'
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.model


@pytest.mark.parametrize(('num_steps', 'shut'), [(0, False), (3, False), (4, True), (9, True)])
def test_the_gate_moves_only_after_the_warmup(tiny_config, num_steps, shut):
    model = train(tiny_config, max_epochs=2, num_steps=num_steps)
    assert (model.neck.alpha.item() == 0) is shut


def test_the_predictor_learns_behind_a_shut_gate(tiny_config):
    torch.manual_seed(0)
    first = train(tiny_config, max_epochs=1, num_steps=9).head.predictor[0].weight
    later = train(tiny_config, max_epochs=2, num_steps=9).head.predictor[0].weight
    assert not torch.equal(first, later)


def test_a_resumed_run_does_not_shut_the_gate_again(tiny_config):
    whole = train(tiny_config, max_epochs=3, num_steps=3)
    tiny_config.work_dir += '_resumed'
    train(tiny_config, max_epochs=2, num_steps=3)
    resumed = train(tiny_config, max_epochs=3, num_steps=3, resume=True)
    assert whole.neck.alpha.item() != 0
    assert torch.equal(whole.neck.alpha, resumed.neck.alpha)
