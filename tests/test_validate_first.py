"""Validation before the first step, and the one that a kill may have cost."""

import copy
import itertools
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

RUNS = itertools.count()


def train(cfg, **options):
    """Two steps an epoch; the probe is left out, the hook is what counts."""
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict(options)
    # of one name and one second, MMEngine would give this run the best score of another
    cfg.experiment_name = f'validate_first_{next(RUNS)}'
    cfg.custom_hooks = [dict(type='ValidateFirstHook')]
    cfg.val_evaluator = cfg.test_evaluator = [dict(type='SelfSimilarity')]
    cfg.default_hooks.checkpoint.update(save_best='tsm/self_similarity', rule='less')
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def validated(runner):
    """Epochs that the log of a whole run says were validated."""
    return len(runner.message_hub.get_scalar('val/tsm/self_similarity').data[0])


def test_a_run_validates_before_its_first_step_and_after_each_epoch(tiny_config):
    assert validated(train(tiny_config)) == 3


def test_a_resumed_run_makes_up_for_the_validation_that_a_kill_cost(tiny_config):
    tiny_config.optim_wrapper.optimizer.lr = 0.05
    train(tiny_config)
    work_dir = Path(tiny_config.work_dir)
    (best,) = work_dir.glob('best_*.pth')
    weights = torch.load(best, weights_only=True)['state_dict']
    # as MMEngine leaves it before it validates: the checkpoint, and no best one of this epoch
    newest = work_dir / 'epoch_2.pth'
    checkpoint = torch.load(newest, weights_only=True)
    for key in ('best_score', 'best_ckpt'):
        checkpoint['message_hub']['runtime_info'].pop(key, None)
    torch.save(checkpoint, newest)
    best.unlink()
    train(tiny_config, resume=True)
    (again,) = work_dir.glob('best_*.pth')
    assert again.name == 'best_tsm_self_similarity_epoch_2.pth'
    found = torch.load(again, weights_only=True)['state_dict']
    expected = checkpoint['state_dict']
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert set(weights) == set(found)


def test_a_run_resumed_between_validations_repeats_none(tiny_config):
    options = {'train_cfg.max_epochs': 3, 'train_cfg.val_interval': 3}
    whole = train(tiny_config, **options)
    (Path(tiny_config.work_dir) / 'last_checkpoint').write_text(
        str(Path(tiny_config.work_dir) / 'epoch_2.pth')
    )
    resumed = train(tiny_config, resume=True, **options)
    assert validated(whole) == validated(resumed) == 2


def test_settings_that_do_not_go_together_fail_before_the_baseline(tiny_config):
    options = {'train_dataloader.dataset.pipeline.0.window': 20}
    with pytest.raises(ValueError, match='windows of 20 snippets, but position 18'):
        train(tiny_config, **options)


def test_checkpoints_are_written_beside_and_renamed(tiny_config, monkeypatch):
    from mmengine.fileio import LocalBackend

    train(tiny_config)
    newest = Path(tiny_config.work_dir) / 'epoch_2.pth'
    whole = newest.read_bytes()

    def killed(self, obj, filepath):
        Path(filepath).write_bytes(obj[: len(obj) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalBackend, 'put', killed)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, **{'train_cfg.max_epochs': 2})
    assert newest.read_bytes() == whole
