"""Figures that stay on the device until they are read are the figures that were logged."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmsola.engine import deferred_scalars_hook
from mmsola.engine.device_history import DeviceHistory
from mmsola.engine.launch import build_runner

VALUES = [0.1, 2.0, -3.5, 0.7, 11.0, 0.3]


def histories(values=VALUES, **settings):
    """MMEngine's of these numbers, and ours of tensors of them and, now and then, a number."""
    plain, ours = HistoryBuffer(**settings), DeviceHistory(HistoryBuffer(**settings))
    for i, value in enumerate(values):
        value = float(np.float32(value))
        plain.update(value)
        ours.update(value if i % 4 == 3 else torch.tensor(value))
    return plain, ours


@pytest.mark.parametrize('name', ['mean', 'min', 'max', 'current'])
@pytest.mark.parametrize('window', [(), (3,)])
def test_statistics_are_those_of_mmengine(name, window):
    plain, ours = histories()
    window = () if name == 'current' else window
    assert ours.statistics(name, *window) == plain.statistics(name, *window)
    assert ours.data[0].tolist() == plain.data[0].tolist()
    assert ours.data[1].tolist() == plain.data[1].tolist()


def test_nothing_is_fetched_before_somebody_reads(monkeypatch):
    history, fetched = DeviceHistory(), []
    stack = torch.stack
    monkeypatch.setattr(torch, 'stack', lambda values: fetched.append(len(values)) or stack(values))
    for value in VALUES:
        history.update(torch.tensor(value))
    assert not fetched
    assert history.current() == pytest.approx(0.3)
    assert history.mean() and fetched == [6]  # the second reader finds nothing new
    history.update(torch.tensor(1.0))
    assert history.max() == 11 and fetched == [6, 1]


def test_it_goes_on_from_what_was_logged_before():
    before = HistoryBuffer([1.0, 2.0], [1, 1])
    history = DeviceHistory(before)
    history.update(torch.tensor(3.0))
    assert history.data[0].tolist() == [1.0, 2.0, 3.0]
    assert before.data[0].tolist() == [1.0, 2.0]


@pytest.mark.parametrize('copied', [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_is_mmengines_own(copied):
    plain, ours = histories()
    found = copied(ours)
    assert type(found) is HistoryBuffer
    assert found.data[0].tolist() == plain.data[0].tolist()
    assert found.data[1].dtype == plain.data[1].dtype
    assert DeviceHistory().data[1].dtype == HistoryBuffer([1.0], [1]).data[1].dtype


def test_it_keeps_the_newest_and_takes_any_kind_of_number():
    history = DeviceHistory()
    history.max_length = 4
    for value in (1, 2.5, torch.tensor(3.0), torch.tensor([4.0]), torch.tensor(5), torch.tensor(6)):
        history.update(value)
    assert history.data[0].tolist() == [3.0, 4.0, 5.0, 6.0]
    assert len(history.data[1]) == 4


def trained(cfg, tmp_path, name, hook):
    cfg = copy.deepcopy(cfg)
    cfg.launcher, cfg.work_dir = 'none', str(tmp_path / name)
    cfg.default_hooks.runtime_info = dict(type=hook)
    runner = build_runner(cfg)
    runner.train()
    return runner


def test_log_and_checkpoint_of_a_training_are_the_same(tiny_config, tmp_path, monkeypatch):
    expected = trained(tiny_config, tmp_path, 'plain', 'RuntimeInfoHook')
    monkeypatch.setattr(deferred_scalars_hook, '_must_be_waited_for', lambda value: True)
    found = trained(tiny_config, tmp_path, 'deferred', 'DeferredScalarsHook')
    assert type(found.message_hub.log_scalars['train/kl']) is DeviceHistory
    hubs = []
    for name in ('plain', 'deferred'):
        content = torch.load(tmp_path / name / 'epoch_2.pth', weights_only=True)
        hubs.append(content['message_hub']['log_scalars'])
    for logs in ((found.message_hub.log_scalars, expected.message_hub.log_scalars), hubs[::-1]):
        assert logs[0].keys() == logs[1].keys()
        for key in logs[1]:
            if not key.endswith('time'):
                assert logs[0][key].data[0].tolist() == logs[1][key].data[0].tolist()
    assert all(type(history) is HistoryBuffer for history in hubs[1].values())


def test_a_figure_is_kept_as_it_was(monkeypatch):
    """A model may write its next figure into the same memory."""
    monkeypatch.setattr(deferred_scalars_hook, '_must_be_waited_for', lambda value: True)
    hub = deferred_scalars_hook.MessageHub('figures')
    runner = type('Run', (), {'message_hub': hub})()
    hook, figure = deferred_scalars_hook.DeferredScalarsHook(), torch.zeros(())
    for value in (1.0, 2.0):
        hook.after_train_iter(runner, 0, outputs={'loss': figure.fill_(value)})
    assert hub.get_scalar('train/loss').data[0].tolist() == [1.0, 2.0]
