"""What every registered localizer, with SoLa or without, must take from the ecosystem.

Copies, averages, precision, compilation, processes, and checkpoints with and without a neck: one
test each, over all of them, with the real Runner. A localizer that is registered and not listed
here fails the first test.
"""

from __future__ import annotations

import mmsola  # noqa: F401  before MMAction2, which it makes work

# isort: split
import copy
import io
import pickle
import socket

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, METRICS, MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import ExponentialMovingAverage
from mmengine.structures import InstanceData
from small_localizers import (
    ACTIONFORMER,
    BMN,
    CHANNELS,
    GTAD,
    LENGTH,
    TCANET,
    TEM,
    TEMPORALMAXER,
    TRIDET,
)
from small_pretrainings import sola_checkpoint
from torch.testing import assert_close
from torch.utils.data import Dataset
from warm_processes import CONTEXT

from mmsola.engine.launch import build_runner
from mmsola.engine.sync_buffers_hook import SyncBuffersHook
from mmsola.models import SoLa, localizers

LOCALIZERS = {
    cfg['type']: cfg for cfg in (BMN, TEM, TCANET, GTAD, ACTIONFORMER, TEMPORALMAXER, TRIDET)
}
#: Further arms of some of them, which need a neck.
ARMS = {'TriDet, boundaries': dict(TRIDET, neck_feeds='boundaries')}
ELSEWHERE = {
    'PEM': 'reads descriptions of proposals and takes no neck',
    'DRN': "is not in MMAction2's wheel; test_localization_configs.py trains it where it is",
    'EndToEndLocalizer': 'is an encoder in front of one of these',
}
WITH_NECK = [
    *((name, neck) for name in [*LOCALIZERS, *ARMS] for neck in ('trained', 'frozen')),
    *((name, 'beside') for name in ('BMN', 'ActionFormer')),
]
ALL = pytest.mark.parametrize(('name', 'neck'), [*((name, '') for name in LOCALIZERS), *WITH_NECK])


def test_every_registered_localizer_is_listed():
    registered = {kind.__name__ for kind in [*localizers._LOCALIZERS, *localizers.ONE_STAGE]}
    registered |= {
        kind.__name__
        for kind in MODELS.module_dict.values()
        if isinstance(kind, type) and issubclass(kind, localizers.SnippetNeckMixin)
        if kind.__module__.startswith('mmsola.')
    }
    assert registered | {'EndToEndLocalizer'} <= LOCALIZERS.keys() | ELSEWHERE.keys()


# --- what they are given --------------------------------------------------------------------------


@DATASETS.register_module()
class EightVideos(Dataset):
    """Sequences of several lengths with a segment each, as the Runner's loader takes them."""

    metainfo: dict = {}

    def __init__(self, dtype=torch.float32):
        generator = torch.Generator().manual_seed(0)
        self.items = []
        for i in range(8):
            sample = ActionDataSample()
            segments = np.array([[0.1, 0.4 + i / 20], [0.5, 0.9]])
            sample.gt_instances = InstanceData(
                gt_bbox=torch.from_numpy(segments),
                gt_segments=torch.from_numpy(segments * LENGTH),
                gt_labels=torch.tensor([0, 1]),
            )
            given = torch.tensor([[0.1, 0.4, 0.9], [0.2, 0.5, 0.5]], dtype=dtype)
            sample.proposals = InstanceData(proposals=given)
            sample.set_metainfo(
                dict(video_name=f'video_{i}', duration_second=10.0, duration_frame=160)
            )
            inputs = torch.randn(CHANNELS, LENGTH + 5 * (i % 3), generator=generator)
            self.items.append({'inputs': inputs.to(dtype), 'data_samples': sample})

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return copy.deepcopy(self.items[index])


@METRICS.register_module()
class CountsResults(BaseMetric):
    """How many videos there were results of."""

    def process(self, data_batch, data_samples):
        self.results += [1] * len(data_samples)

    def compute_metrics(self, results):
        return {'videos': len(results)}


@pytest.fixture
def checkpoint(tmp_path):
    """Of SoLa pretraining, with an open gate."""
    return sola_checkpoint(tmp_path, CHANNELS)


def config_of(name, neck, checkpoint):
    cfg = dict({**LOCALIZERS, **ARMS}[name])
    if not neck:
        cfg.pop('neck_feeds', None)
    if neck == 'trained':
        cfg['neck'] = dict(type='SoLa', hidden_channels=4, frozen=False)
    elif neck == 'frozen':
        pretrained = dict(type='Pretrained', checkpoint=checkpoint)
        cfg['neck'] = dict(type='SoLa', hidden_channels=4, init_cfg=pretrained)
    elif neck == 'beside':
        sola = config_of(name, 'frozen', checkpoint)['neck']
        cfg.update(neck=dict(type='PlainBeside', neck=sola), feat_dim=2 * CHANNELS)
    return cfg


def build(name, neck, checkpoint):
    torch.manual_seed(0)
    model = MODELS.build(config_of(name, neck, checkpoint))
    if neck:
        model.neck.init_weights()
    return model


def batch(dtype=torch.float32):
    items = EightVideos(dtype)
    return {key: [items[i][key] for i in range(4)] for key in ('inputs', 'data_samples')}


def outputs(model, dtype=torch.float32):
    """Raw outputs, losses and predictions, the last two under one seed."""
    model = model.eval()
    with torch.no_grad():
        raw = model(batch(dtype)['inputs'], None, 'tensor')
        torch.manual_seed(3)  # BMN, TCANet and GTAD draw which proposals count
        losses = model(**batch(dtype), mode='loss')
        found = model(**batch(dtype), mode='predict')
    return raw, losses, len(found)


def config(name, neck, checkpoint, tmp_path, **changes):
    """Two epochs of two steps on the eight videos."""
    loader = dict(
        batch_size=4,
        num_workers=0,
        dataset=dict(type='EightVideos'),
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='pseudo_collate'),
    )
    cfg = Config(
        dict(
            default_scope='mmaction',
            model=config_of(name, neck, checkpoint),
            train_dataloader=loader,
            val_dataloader=loader,
            test_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=1),
            val_cfg=dict(),
            test_cfg=dict(),
            val_evaluator=dict(type='CountsResults'),
            test_evaluator=dict(type='CountsResults'),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-3)),
            default_hooks=dict(
                sync_buffers=dict(type='SyncBuffersHook'),
                logger=dict(type='LoggerHook', interval=1),
            ),
            custom_hooks=[],
            randomness=dict(seed=0),
            work_dir=str(tmp_path / 'work_dir'),
            launcher='none',
        )
    )
    cfg.merge_from_dict(changes)
    return cfg


def frozen_bytes(model):
    neck = getattr(model, 'neck', None)
    return {k: v.clone() for k, v in neck.state_dict().items()} if neck is not None else {}


def assert_equal_weights(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key


# --- copies, precision, compilation ---------------------------------------------------------------


def pickled(model):
    return pickle.loads(pickle.dumps(model))


def whole_save(model):
    """``torch.save(model)``, which people do although state dicts are better."""
    buffer = io.BytesIO()
    torch.save(model, buffer)
    return torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)


@ALL
@pytest.mark.parametrize('how', [copy.deepcopy, pickled, whole_save])
def test_a_model_that_ran_can_be_copied(name, neck, how, checkpoint):
    model = build(name, neck, checkpoint)
    expected = outputs(model)
    assert_close(outputs(how(model)), expected)


@ALL
def test_a_model_that_ran_can_be_averaged(name, neck, checkpoint):
    model = build(name, neck, checkpoint)
    outputs(model)
    average = ExponentialMovingAverage(model, momentum=0.5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:  # BMN's sampling is a constant
                parameter.mul_(1.1)
    average.update_parameters(model)
    average.update_parameters(model)
    assert_close(outputs(average.module), outputs(model))


@ALL
def test_double_precision_is_single_precision_with_more_digits(name, neck, checkpoint):
    model = build(name, neck, checkpoint)
    single = outputs(model)[0]
    double = outputs(model.double(), torch.float64)
    for a, b in zip(single, double[0]):
        assert b.dtype == torch.float64
        assert_close(a.double(), b, rtol=1e-3, atol=1e-4)
    assert all(torch.isfinite(value) for value in double[1].values())


@ALL
def test_a_compiled_model_computes_the_same(name, neck, checkpoint):
    """Traced by TorchDynamo; no compiler is needed for that."""
    model = build(name, neck, checkpoint)
    expected = outputs(model)[0]
    torch._dynamo.reset()
    compiled = torch.compile(model, backend='eager')
    with torch.no_grad():
        assert_close(compiled(batch()['inputs'], None, 'tensor'), expected)


# --- the Runner -----------------------------------------------------------------------------------


@ALL
def test_train_then_test_with_an_average_in_one_process(name, neck, checkpoint, tmp_path):
    """With gradients accumulated over two steps."""
    hooks = [dict(type='EMAHook', momentum=0.1)]
    cfg = config(name, neck, checkpoint, tmp_path, custom_hooks=hooks)
    cfg.optim_wrapper.accumulative_counts = 2
    runner = build_runner(cfg)
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    runner.train()
    assert runner.test() == {'videos': 8}
    after = runner.model.state_dict()
    moved = [key for key in before if not torch.equal(before[key], after[key])]
    assert any('neck' not in key for key in moved)
    saved = torch.load(tmp_path / 'work_dir' / 'epoch_2.pth', weights_only=False)['state_dict']
    if neck == 'frozen':
        expected = torch.load(checkpoint)['state_dict']
        assert_equal_weights({k: after[k] for k in expected}, expected)
        assert_equal_weights({k: saved[k] for k in expected}, expected)


@ALL
def test_a_resumed_training_is_one_that_was_not_interrupted(name, neck, checkpoint, tmp_path):
    whole = build_runner(config(name, neck, checkpoint, tmp_path))
    whole.train()
    work_dir = str(tmp_path / 'other')
    first = config(name, neck, checkpoint, tmp_path, work_dir=work_dir)
    first.train_cfg.max_epochs = 1
    build_runner(first).train()
    if neck == 'frozen':  # it is in the localizer's own checkpoint by now
        (tmp_path / 'sola.pth').unlink()
    second = build_runner(config(name, neck, checkpoint, tmp_path, work_dir=work_dir, resume=True))
    second.train()
    assert second.iter == whole.iter
    assert_equal_weights(second.model.state_dict(), whole.model.state_dict())


@pytest.mark.parametrize(('name', 'neck'), WITH_NECK)
@pytest.mark.parametrize('average', [False, True], ids=['', 'EMA'])
@pytest.mark.parametrize('held', ['plain', 'whole'])
def test_a_training_begins_from_a_checkpoint(name, neck, average, held, checkpoint, tmp_path):
    """One without a neck fills the head, one with it the neck as well, whatever EMAHook copied."""
    if held == 'plain' and neck == 'beside':
        return  # a plain head reads half of the channels
    source = build(name, neck if held == 'whole' else '', checkpoint)
    with torch.no_grad():
        for value in source.parameters():
            value.add_(0.01)
    torch.save({'state_dict': source.state_dict()}, tmp_path / 'start.pth')
    hooks = [dict(type='EMAHook')] if average else []
    cfg = config(name, neck, checkpoint, tmp_path, custom_hooks=hooks)
    cfg.load_from = str(tmp_path / 'start.pth')
    pretrained = torch.load(checkpoint)['state_dict']
    if held == 'whole':  # which needs the pretrained SoLa no more
        (tmp_path / 'sola.pth').unlink()
    cfg.optim_wrapper.optimizer.lr = 1e-9
    runner = build_runner(cfg)
    runner.train()
    found = runner.model.state_dict()
    for key, value in source.state_dict().items():
        if value.is_floating_point() and 'running' not in key:
            assert_close(found[key], value, atol=1e-6, rtol=1e-6)
    if held == 'plain' and neck == 'frozen':
        assert_equal_weights({k: found[k] for k in pretrained}, pretrained)


def test_a_pattern_may_name_the_checkpoint_to_begin_from_or_to_test(checkpoint, tmp_path):
    model = build('TEM', 'frozen', checkpoint)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'best_one.pth')
    pattern = str(tmp_path / 'best_*.pth')
    runner = build_runner(config('TEM', 'frozen', checkpoint, tmp_path, load_from=pattern))
    assert runner.test() == {'videos': 8}
    assert_equal_weights(runner.model.state_dict(), model.state_dict())
    (tmp_path / 'best_two.pth').write_bytes((tmp_path / 'best_one.pth').read_bytes())
    with pytest.raises(ValueError, match='expected one matching checkpoint, found'):
        build_runner(config('TEM', 'frozen', checkpoint, tmp_path, load_from=pattern))


@pytest.mark.parametrize('frozen', [False, True])
def test_freezing_across_a_resume_says_what_to_do(frozen, checkpoint, tmp_path):
    cfg = config('TEM', 'frozen', checkpoint, tmp_path)
    cfg.model.neck.frozen = frozen
    cfg.train_cfg.max_epochs = 1
    build_runner(cfg).train()
    cfg = config('TEM', 'frozen', checkpoint, tmp_path, resume=True)
    cfg.model.neck.frozen = not frozen
    with pytest.raises(ValueError, match=r'frozen or unfrozen since(?s:.*)without resume'):
        build_runner(cfg).train()


def test_a_plain_checkpoint_under_a_neck_is_not_tested(checkpoint, tmp_path):
    torch.save({'state_dict': build('TEM', '', checkpoint).state_dict()}, tmp_path / 'plain.pth')
    for neck in ('trained', 'frozen'):
        cfg = config('TEM', neck, checkpoint, tmp_path, load_from=str(tmp_path / 'plain.pth'))
        with pytest.raises(ValueError, match='holds no SoLa, and the config has one'):
            build_runner(cfg).test()


def test_a_sola_elsewhere_in_a_checkpoint_is_named(checkpoint, tmp_path):
    weights = torch.load(checkpoint)['state_dict']
    moved = {key.replace('neck.', 'backbone.sola.'): value for key, value in weights.items()}
    torch.save({'state_dict': moved}, tmp_path / 'moved.pth')
    cfg = config('TEM', 'trained', checkpoint, tmp_path, load_from=str(tmp_path / 'moved.pth'))
    with pytest.raises(ValueError, match=r"under the prefix 'backbone\.sola\.'"):
        build_runner(cfg).train()


def test_a_missing_pretrained_checkpoint_is_told_before_anything_is_read(checkpoint, tmp_path):
    cfg = config('TEM', 'frozen', str(tmp_path / 'gone_*.pth'), tmp_path)
    cfg.train_dataloader.dataset.type = 'NobodyAsksForIt'
    with pytest.raises(ValueError, match='expected one matching checkpoint, found none'):
        build_runner(cfg)


# --- several processes ----------------------------------------------------------------------------


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def in_processes(function, world_size, *arguments):
    torch.multiprocessing.start_processes(
        _join,
        (function, world_size, free_port(), *arguments),
        nprocs=world_size,
        start_method=CONTEXT.get_start_method(),
    )


def _join(rank, function, world_size, port, *arguments):
    torch.distributed.init_process_group(
        'gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=world_size
    )
    function(rank, *arguments)
    torch.distributed.destroy_process_group()


def average_buffers(rank):
    torch.manual_seed(0)
    model = torch.nn.Module()
    model.neck, model.norm = SoLa(CHANNELS, frozen=True), torch.nn.BatchNorm1d(3)
    model.norm.running_mean.fill_(float(rank))
    model.register_buffer('mask', torch.tensor([True, False]))
    before = frozen_bytes(model)

    class Runs:
        pass

    Runs.model = model
    hook = SyncBuffersHook()
    assert hook.distributed
    hook.after_train_epoch(Runs)
    assert_equal_weights(frozen_bytes(model), before)
    assert_close(model.norm.running_mean, torch.ones(3))  # of 0, 1 and 2


def test_equal_buffers_keep_their_bytes_in_three_processes():
    in_processes(average_buffers, 3)


def train_in_two(rank, checkpoint, out):
    from torch.nn.parallel import DistributedDataParallel

    for name, neck in WITH_NECK:
        if neck != 'beside':
            model = build(name, neck, checkpoint)
            before = frozen_bytes(model)
            wrapped = DistributedDataParallel(model, find_unused_parameters=True)
            optimizer = torch.optim.Adam(model.parameters(), 1e-3)
            items = EightVideos()
            own = [items[i] for i in range(4 * rank, 4 * rank + 4)]
            for _ in range(2):
                data = {key: [copy.deepcopy(item[key]) for item in own] for key in own[0]}
                losses = wrapped(**data, mode='loss')
                optimizer.zero_grad()
                sum(losses.values()).backward()
                optimizer.step()
            for key, value in model.named_parameters():
                others = [torch.empty_like(value) for _ in range(2)]
                torch.distributed.all_gather(others, value.detach())
                assert torch.equal(*others), f'{name}: {key}'
            if neck == 'frozen':
                assert_equal_weights(frozen_bytes(model), before)
            else:
                assert not torch.equal(model.neck.alpha, before['alpha'])


def test_two_processes_keep_their_weights_equal(checkpoint, tmp_path):
    in_processes(train_in_two, 2, checkpoint, str(tmp_path))
