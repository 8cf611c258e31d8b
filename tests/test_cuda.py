"""What a GPU must get right. Skipped where there is none: ``python -m pytest -m cuda``."""

from __future__ import annotations

import copy
import gc
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from generated_videos import write_video
from mmaction.registry import MODELS
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapper
from small_localizers import BMN, CHANNELS, GTAD
from small_pretrainings import pretraining_model, sola_checkpoint, without_validation
from small_recognizers import recognizer, weights
from test_contract import LOCALIZERS, batch, build, config
from torch.optim import AdamW
from torch.testing import assert_close

from mmsola.apis.export import export_features
from mmsola.apis.extraction import extract_features
from mmsola.datasets.features.feature_bank import FeatureBank
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.videos.video_list import find_videos
from mmsola.engine.captured_step import CapturedStep
from mmsola.engine.device_history import DeviceHistory
from mmsola.engine.launch import build_runner
from mmsola.engine.mixed_precision import enable_amp
from mmsola.evaluation.host_copy import on_host
from mmsola.models import SoLa
from mmsola.models.encoders import SnippetEncoder

pytestmark = pytest.mark.cuda

RUNS = itertools.count()


@pytest.fixture(autouse=True)
def deterministic(monkeypatch):
    """What is compared to the last bit must not depend on the order in which threads end.

    Nor what is compared with a CPU on the ten bits that convolutions may be rounded to.
    """
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture
def checkpoint(tmp_path):
    """Of SoLa pretraining, with an open gate."""
    return sola_checkpoint(tmp_path, CHANNELS)


def pretrained(cfg, validates=False, amp=False, **options):
    """The runner of a pretraining."""
    cfg = copy.deepcopy(cfg)
    cfg.launcher = 'none'
    if not validates:
        without_validation(cfg)
        cfg.custom_hooks = [dict(type='GateWarmupHook', num_steps=4, until=None)]
    cfg.merge_from_dict({'train_cfg.max_epochs': 4, 'train_dataloader.batch_size': 6, **options})
    if amp:
        enable_amp(cfg)
    if not cfg.resume:
        cfg.work_dir += f'_{next(RUNS)}'
    runner = build_runner(cfg)
    runner.train()
    return runner


def losses_of(runner):
    return runner.message_hub.get_scalar('train/loss').data[0].tolist()


def state_of(runner):
    return {key: value.cpu() for key, value in runner.model.state_dict().items()}


def log_of(runner):
    return '\n'.join(file.read_text() for file in Path(runner.work_dir).glob('*/*.log'))


# Pretraining --------------------------------------------------------------------------------------


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_a_bank_on_the_gpu_gives_the_windows_of_one_on_the_host(dtype, demo_root, device):
    store = FeatureStore(demo_root / 'data' / 'demo' / 'features')
    videos = [(store, name) for name in store.names()]
    banks = [FeatureBank(videos, dtype, device=where) for where in (device, 'cpu')]
    assert banks[0].on_gpu
    chosen, fractions = np.arange(6) % len(videos), np.linspace(0, 0.99, 6)
    found, expected = (bank.windows(chosen, fractions, 23) for bank in banks)
    assert found.device.type == 'cuda'
    assert torch.equal(found.cpu(), expected)
    name = store.names()[0]
    assert np.array_equal(banks[0].read(name), banks[1].read(name))


@pytest.mark.parametrize(
    'options',
    [
        {},
        {'optim_wrapper.clip_grad': dict(max_norm=0.01)},
        {'param_scheduler': [dict(type='LinearLR', start_factor=0.1, end=9, by_epoch=False)]},
        {'model.step': (1, 2)},
        {'model.neck.standardize': dict(scale='input')},
        {'custom_hooks': [dict(type='EMAHook', momentum=0.1)]},
        {'train_dataloader.dataset.bank': None},
    ],
    ids=['plain', 'clipped', 'schedule', 'steps', 'scaled', 'ema', 'files'],
)
def test_recorded_steps_are_the_steps(options, tiny_config):
    found = pretrained(tiny_config, **{'train_cfg.capture': True, **options})
    expected = pretrained(tiny_config, **{'train_cfg.capture': False, **options})
    assert losses_of(found) == pytest.approx(losses_of(expected), rel=1e-3)
    assert_close(state_of(found), state_of(expected), rtol=1e-3, atol=1e-4)
    assert type(found.message_hub.log_scalars['train/kl']) is DeviceHistory


def test_recorded_steps_in_bfloat16_are_the_steps(tiny_config):
    options = {'optim_wrapper.dtype': 'bfloat16'}
    found = pretrained(tiny_config, amp=True, **{'train_cfg.capture': True, **options})
    expected = pretrained(tiny_config, amp=True, **{'train_cfg.capture': False, **options})
    assert losses_of(found) == pytest.approx(losses_of(expected), rel=1e-2)


def test_a_dynamic_loss_scale_is_not_recorded_and_says_why(tiny_config):
    runner = pretrained(tiny_config, amp=True)
    assert 'Training steps are not recorded: a loss scale is looked for' in log_of(runner)
    assert np.isfinite(losses_of(runner)).all()


def test_trainings_one_after_another_are_recorded(tiny_config):
    """Also once the graphs of the first are gone, and as people train: not deterministic."""
    torch.use_deterministic_algorithms(False)
    losses = []
    for _ in range(3):
        losses.append(losses_of(pretrained(tiny_config, **{'train_cfg.capture': True})))
        gc.collect()
    assert losses[1] == losses[2] == pytest.approx(losses[0], rel=1e-5)


def pretraining_step(device):
    """A recorded step, its model, and windows to train on."""
    model = pretraining_model().to(device)
    torch.nn.init.constant_(model.neck.alpha, 0.3)
    wrapper = OptimWrapper(AdamW(model.parameters(), lr=0.01, fused=True))
    windows = [{'inputs': [torch.rand(4, 6, 23, device=device)]} for _ in range(8)]
    return CapturedStep(model, wrapper), model, wrapper, windows


def test_an_optimizer_that_is_loaded_is_recorded_anew(device):
    step, _, wrapper, windows = pretraining_step(device)
    for i, data in enumerate(windows):
        if i % 3 == 2:
            wrapper.optimizer.load_state_dict(copy.deepcopy(wrapper.optimizer.state_dict()))
        assert np.isfinite(step(data)['loss'].item())
    assert not step.failure


def test_a_training_goes_on_where_a_recording_fails(device):
    """The predictor asks the GPU for a number, and then draws random ones."""
    step, model, _, windows = pretraining_step(device)
    inner = model.head.predictor

    class Asks(torch.nn.Module):
        def forward(self, x):
            assert x.sum().item() < 1e9
            return torch.nn.functional.dropout(inner(x), 0.5)

    model.head.predictor = Asks()
    losses = [step(data)['loss'].item() for data in windows]
    assert step.failure and np.isfinite(losses).all()
    torch.cuda.empty_cache()
    other, *_ = pretraining_step(device)
    assert all(np.isfinite(other(data)['loss'].item()) for data in windows)
    assert not other.failure


def test_a_compiled_loss_is_the_loss(tiny_config):
    compiled = {'model.compile': dict(backend='aot_eager')}  # needs no compiler
    found, expected = pretrained(tiny_config, **compiled), pretrained(tiny_config)
    assert losses_of(found) == pytest.approx(losses_of(expected), rel=1e-3)


@pytest.mark.parametrize('capture', [True, False])
def test_a_resumed_pretraining_is_one_that_was_never_interrupted(capture, tiny_config):
    options = {'train_cfg.capture': capture}
    whole = pretrained(tiny_config, **options)
    half = pretrained(tiny_config, **{**options, 'train_cfg.max_epochs': 2})
    tiny_config.work_dir, tiny_config.resume = half.work_dir, True
    resumed = pretrained(tiny_config, **options)
    assert resumed.iter == whole.iter
    for key, value in state_of(whole).items():
        assert torch.equal(state_of(resumed)[key], value), key


def test_a_pretraining_on_a_gpu_is_that_on_a_cpu(tiny_config, monkeypatch):
    """With its validations; sums in another order round otherwise."""
    found = pretrained(tiny_config, validates=True)
    monkeypatch.setattr('mmengine.device.utils.DEVICE', 'cpu')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    expected = pretrained(tiny_config, validates=True)
    assert losses_of(found) == pytest.approx(losses_of(expected), rel=1e-3)
    for key in ('probe/auc', 'tsm/self_similarity'):
        values = [r.message_hub.get_scalar(f'val/{key}').current() for r in (found, expected)]
        assert values[0] == pytest.approx(values[1], abs=0.02)


def test_figures_and_features_come_from_the_gpu_as_they_are(device):
    history = DeviceHistory()
    for value in (1.5, 2.5, 3.5):
        history.update(torch.tensor(value, device=device))
    assert history.data[0].tolist() == [1.5, 2.5, 3.5]
    assert type(copy.deepcopy(history)) is HistoryBuffer
    tensors = [torch.rand(3, 4).T, torch.rand(5), torch.rand(2, 3).half()]
    moved = [x.to(device) if i != 1 else x for i, x in enumerate(tensors)]
    for found, expected in zip(on_host(moved), tensors):
        assert np.array_equal(found, expected.float().numpy())


# Localizers ---------------------------------------------------------------------------------------


def moved(value, device):
    if isinstance(value, (list, tuple)):
        return [moved(item, device) for item in value]
    return value.to(device)


@pytest.mark.parametrize('neck', ['', 'frozen'])
@pytest.mark.parametrize('name', LOCALIZERS)
def test_a_localizer_computes_on_a_gpu_what_it_computes_on_a_cpu(name, neck, checkpoint, device):
    model = build(name, neck, checkpoint).eval()
    inputs = batch()['inputs']
    with torch.no_grad():
        expected = model(inputs, None, 'tensor')
        found = model.to(device)(moved(inputs, device), None, 'tensor')
    assert_close(moved(found, 'cpu'), moved(expected, 'cpu'), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('name', ['BMN', 'TCANet', 'GTAD'])
def test_fast_layers_are_the_plain_ones_on_a_gpu(name, checkpoint, device):
    inputs, outputs = moved(batch()['inputs'], device), []
    for fast in (True, False):
        model = build(name, '', checkpoint).to(device).eval()
        model.fast = fast
        outputs.append(model(inputs, None, 'tensor'))
    assert_close(*outputs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('neck', ['', 'trained', 'frozen'])
@pytest.mark.parametrize('name', LOCALIZERS)
def test_a_localizer_trains_resumes_and_is_tested(name, neck, checkpoint, tmp_path):
    hooks = [dict(type='EMAHook', momentum=0.1)]
    whole = build_runner(config(name, neck, checkpoint, tmp_path, custom_hooks=hooks))
    assert next(whole.model.parameters()).is_cuda
    whole.train()
    assert whole.test() == {'videos': 8}
    changes = dict(custom_hooks=hooks, work_dir=str(tmp_path / 'other'))
    first = config(name, neck, checkpoint, tmp_path, **changes)
    first.train_cfg.max_epochs = 1
    build_runner(first).train()
    resumed = build_runner(config(name, neck, checkpoint, tmp_path, resume=True, **changes))
    resumed.train()
    assert resumed.iter == whole.iter
    # a sparse product adds in any order
    assert_close(state_of(resumed), state_of(whole), rtol=1e-3, atol=1e-4)
    if neck == 'frozen':
        for key, value in torch.load(checkpoint)['state_dict'].items():
            assert torch.equal(state_of(whole)[key], value)


# Files --------------------------------------------------------------------------------------------


def test_an_export_from_the_gpu_is_that_of_the_cpu(demo_root, tmp_path, device):
    store = FeatureStore(demo_root / 'data' / 'demo' / 'features')
    torch.manual_seed(0)
    neck = SoLa(8, hidden_channels=3, frozen=True)
    neck.load_state_dict({**neck.state_dict(), 'alpha': torch.tensor([0.7])})
    export_features(neck, [store], tmp_path / 'host')
    export_features(neck, [store], tmp_path / 'gpu', device=device)
    for name in store.names():
        found, expected = (np.load(tmp_path / where / f'{name}.npy') for where in ('gpu', 'host'))
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_extraction_on_the_gpu_gives_the_features_of_the_cpu(tmp_path, device):
    write_video(tmp_path / 'videos' / 'one.mp4', num_frames=40, moving=True)
    cfg = recognizer()
    checkpoint = weights(cfg, tmp_path / 'i3d.pth')
    features = []
    for where in (device, 'cpu'):
        encoder = SnippetEncoder(cfg, checkpoint, stride_frames=4, device=where)
        out = tmp_path / str(where)
        extract_features(encoder, find_videos(tmp_path / 'videos'), out)
        features.append(np.load(out / 'one.npy'))
    np.testing.assert_allclose(*features, rtol=1e-2, atol=1e-3)


def test_a_model_of_the_registry_moves_to_the_gpu_and_back(device):
    """Sparse matrices are made anew where the model is."""
    for cfg in (BMN, GTAD):
        model = MODELS.build(dict(cfg)).eval()
        inputs = batch()['inputs']
        with torch.no_grad():
            expected = model(inputs, None, 'tensor')
            model.to(device)(moved(inputs, device), None, 'tensor')
            assert_close(model.to('cpu')(inputs, None, 'tensor'), expected)
