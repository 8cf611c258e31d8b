"""Errors of a config are of a class of our own, which the command lines show as one message."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmsola.engine.checkpoint_fits_hook import CheckpointFitsHook
from mmsola.engine.class_names_hook import ClassNamesHook
from mmsola.engine.command_line import run
from mmsola.engine.mixed_precision import enable_amp
from mmsola.engine.quiet_console import runner_class
from mmsola.engine.run_config_error import RunConfigError
from mmsola.models import SoLa
from mmsola.models.localizers import OneStageLocalizer


def amp_of_a_wrapper_of_the_users():
    enable_amp(Config(dict(optim_wrapper=dict(type='ApexOptimWrapper'))))


def unknown_runner():
    runner_class(Config(dict(runner_type='NoSuchRunner')))


def runner_of(model, **kwargs):
    idle = dict(_train_loop=None, _load_from='given.pth', _resume=False, optim_wrapper=None)
    return SimpleNamespace(**{**idle, 'model': model, **kwargs})


def load_under_a_sola(*names):
    model = nn.Module()
    model.neck = SoLa(in_channels=4, hidden_channels=3)
    weights = {
        name + key: value for name in names for key, value in model.neck.state_dict().items()
    }
    CheckpointFitsHook().after_load_checkpoint(runner_of(model), {'state_dict': weights})


def resume_after_freezing():
    was, now = (
        torch.optim.SGD(nn.Linear(4, 2, bias=bias).parameters(), lr=0.1) for bias in (True, False)
    )
    runner = runner_of(nn.Module(), _resume=True, optim_wrapper=SimpleNamespace(optimizer=now))
    checkpoint = {'state_dict': {}, 'optimizer': was.state_dict()}
    CheckpointFitsHook().after_load_checkpoint(runner, checkpoint)


def one_stage(*class_names):
    model = OneStageLocalizer.__new__(OneStageLocalizer)
    nn.Module.__init__(model)
    model.num_classes, model.class_names = 2, class_names or None
    return model


def load_classes(model, *classes):
    checkpoint = {'meta': {'dataset_meta': {'classes': list(classes)}}}
    ClassNamesHook().after_load_checkpoint(runner_of(model), checkpoint)


def validate_classes(model, *classes):
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo={'classes': classes}))
    ClassNamesHook().before_val(runner_of(model, val_dataloader=loader))


@pytest.mark.parametrize(
    ('refused', 'message'),
    [
        (amp_of_a_wrapper_of_the_users, 'ApexOptimWrapper'),
        (unknown_runner, 'NoSuchRunner'),
        (load_under_a_sola, 'given.pth: holds no SoLa'),
        (
            lambda: load_under_a_sola('backbone.'),
            "given.pth: holds a SoLa under the prefix 'backbo",
        ),
        (resume_after_freezing, 'trained 2 parameters, this config trains 1'),
        (lambda: load_classes(one_stage(), 'run'), "1 classes ('run'), but num_classes=2"),
        (lambda: load_classes(one_stage('jump', 'run'), 'run', 'jump'), "class 0 is 'run'"),
        (lambda: load_classes(one_stage('jump', 'run'), 'jump'), 'has 1 classes'),
        (lambda: validate_classes(one_stage('jump', 'run'), 'swim'), "the class 'swim' was never"),
    ],
)
def test_a_refused_config_is_answered_with_the_message_alone(refused, message):
    with pytest.raises(SystemExit) as ended:
        run(refused)
    assert message in str(ended.value)
    assert isinstance(ended.value.__context__, RunConfigError)
