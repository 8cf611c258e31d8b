"""A tiny data set and a config that runs on it in a second; nothing outside pytest's folders."""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, config
from mmengine.device import utils as mmengine_device
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from warm_processes import unformatted

from mmsola.datasets.generated.demo_data import make_demo_data

DEMO_CONFIG = Path(__file__).parents[1] / 'configs' / 'sola' / 'sola_pretrain_demo.py'
CHANNELS = 8
# what makes the demo config small
TINY = {
    'model.neck.in_channels': CHANNELS,
    'model.neck.hidden_channels': CHANNELS,
    'model.head.in_channels': CHANNELS,
    'model.head.predictor_channels': CHANNELS,
    'train_dataloader.batch_size': 8,
    'train_cfg.max_epochs': 2,
    'train_cfg.val_interval': 1,
    'default_hooks.checkpoint.interval': 1,
    'default_hooks.logger.interval': 1,
    'custom_hooks.2.num_steps': 2,  # of GateWarmupHook
    'custom_hooks.2.until': None,
}


def pytest_addoption(parser):
    parser.addoption(
        '--fuzz-seconds',
        type=float,
        default=6.0,
        help='how long test_fuzz.py damages files, all kinds together; default 6',
    )


@pytest.fixture(autouse=True)
def device(request, monkeypatch):
    """Where a test computes: the CPU, whatever the machine has; the GPU where it is marked cuda."""
    if request.node.get_closest_marker('cuda') is not None:
        if not torch.cuda.is_available():
            pytest.skip('no GPU')
        return torch.device('cuda')
    # Runners, banks and commands take a GPU where they see one, and so do processes of a test
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(mmengine_device, 'DEVICE', 'cpu')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    return torch.device('cpu')


@pytest.fixture(autouse=True)
def mmaction_scope():
    """Resolve names as in a config of MMAction2; what a Runner of another test set is undone."""
    with DefaultScope.overwrite_default_scope('mmaction'):
        yield


@pytest.fixture(autouse=True)
def nothing_logged_before():
    """A Runner takes over what another of its name logged in the same second, a best score too."""
    MessageHub._instance_dict.clear()
    Visualizer._instance_dict.clear()


def pytest_collection_finish():
    """What is imported by now is garbage never; each data set of MMEngine looks through it all."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope='session', autouse=True)
def configs_without_layout():
    """Valid Python all the same; laying them out takes longer than most trainings here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, 'FormatCode', unformatted)
        yield


@pytest.fixture(scope='session', autouse=True)
def own_check_cache(tmp_path_factory):
    """Passed checks are remembered for this session only, and not in the user's cache."""
    before = os.environ.get('MMSOLA_CACHE')
    os.environ['MMSOLA_CACHE'] = str(tmp_path_factory.mktemp('cache'))
    yield
    if before is None:
        del os.environ['MMSOLA_CACHE']
    else:
        os.environ['MMSOLA_CACHE'] = before


@pytest.fixture(scope='session')
def demo_root(tmp_path_factory):
    """A working directory with the demo data set where its config looks for it. Read only.

    16 training and 6 validation videos of 8 channels.
    """
    root = tmp_path_factory.mktemp('demo')
    make_demo_data(root / 'data' / 'demo', 16, 6, num_channels=CHANNELS)
    return root


@pytest.fixture
def tiny_config(demo_root, monkeypatch, tmp_path):
    """The demo config over the tiny data set: 2 epochs of 2 steps, validated after each."""
    monkeypatch.chdir(demo_root)
    cfg = Config.fromfile(DEMO_CONFIG)
    cfg.merge_from_dict(TINY)
    cfg.work_dir = str(tmp_path / 'work_dir')
    return cfg


@pytest.fixture(scope='session')
def tiny_options():
    """The same as arguments of --cfg-options."""
    return [f'{key}={value}' for key, value in TINY.items()]


@pytest.fixture
def log_lines():
    """What MMEngine's current logger says while the test runs, without the decoration."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, logger = Keep(), MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
