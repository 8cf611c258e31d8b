"""Training and testing from Python, several times in one process as a notebook does."""

import time

import torch
from mmengine.logging import MessageHub

from mmsola import apis
from mmsola.version import __version__, commit, provenance

NO_PICTURES = {'custom_hooks.1.num_videos': 0}


def test_trainings_in_one_process_share_nothing(tiny_config, tmp_path, monkeypatch):
    # as if all began in one second, by which MMEngine tells runs apart
    monkeypatch.setattr(time, 'strftime', lambda *_: '20260101_000000')
    runners = [
        apis.train(tiny_config, tmp_path / name, seed, cfg_options=NO_PICTURES)
        for name, seed in (('first', 3), ('other', 4), ('again', 3))
    ]
    first, other, again = (runner.model.state_dict() for runner in runners)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    assert len({runner.experiment_name for runner in runners}) == 3
    for runner in runners:
        hub = MessageHub.get_instance(runner.experiment_name)
        assert len(hub.get_scalar('train/loss')._log_history) == 4  # 2 epochs of 2 steps
        assert (tmp_path / runner.work_dir / 'epoch_2.pth').exists()


def test_a_training_goes_on_and_is_tested_from_python(tiny_config, tmp_path):
    work_dir = tmp_path / 'run'
    one_epoch = {**NO_PICTURES, 'train_cfg.max_epochs': 1}
    apis.train(tiny_config, work_dir, seed=0, cfg_options=one_epoch)
    runner = apis.train(tiny_config, work_dir, seed=0, resume=True, cfg_options=NO_PICTURES)
    whole = apis.train(tiny_config, tmp_path / 'whole', seed=0, cfg_options=NO_PICTURES)
    assert runner.epoch == 2 and runner.iter == 4
    resumed, at_once = runner.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(resumed[key], at_once[key]) for key in resumed)
    figures = apis.test(tiny_config, work_dir / 'epoch_2.pth', tmp_path / 'tested', NO_PICTURES)
    assert 0 < figures['probe/auc'] < 1
    assert 'epoch' not in tiny_config  # neither changes the config that it was given
    assert tiny_config.work_dir == str(tmp_path / 'work_dir')


def test_a_checkpoint_says_what_made_it(tiny_config, tmp_path):
    options = {**NO_PICTURES, 'train_cfg.max_epochs': 1}
    apis.train(tiny_config, tmp_path / 'run', cfg_options=options)
    meta = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=True)['meta']
    assert {key: meta[key] for key in provenance()} == {
        'mmsola': __version__,
        'commit': commit(),
        'threads': 1,  # of the run, whatever this process has
    }


def test_what_apis_offers_can_be_imported():
    assert all(callable(getattr(apis, name)) for name in apis.__all__)
    assert set(apis.__all__) <= set(dir(apis))
