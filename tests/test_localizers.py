"""Localizers under mmsola: the stock numbers without a neck, and what a neck must keep to."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmaction.models.localizers import BMN as StockBMN
from mmaction.models.localizers import TEM as StockTEM
from mmaction.models.localizers import TCANet as StockTCANet
from mmaction.models.localizers.utils import post_processing
from mmaction.models.localizers.utils import soft_nms as stock_soft_nms
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData
from small_localizers import BMN, CHANNELS, GTAD, LENGTH, TCANET, TEM
from torch.testing import assert_close

import mmsola
from mmsola.models import SnippetNeckMixin, SoLa
from mmsola.models.localizers import anchor_overlap, register, sparse_sampling
from mmsola.models.localizers.boundary_regression import sampled_convolution
from mmsola.models.localizers.proposals import ranked_proposals
from mmsola.structures.proposal_nms import soft_nms

STOCK = {'BMN': StockBMN, 'TEM': StockTEM, 'TCANet': StockTCANet}
ALL = pytest.mark.parametrize('cfg', [BMN, TEM, TCANET], ids=lambda cfg: cfg['type'])
#: Those that a neck may stand before, and the one that MMAction2 does not have.
WITH_NECK = pytest.mark.parametrize('cfg', [BMN, TEM, TCANET, GTAD], ids=lambda cfg: cfg['type'])
SEGMENTS = [[[0.1, 0.5], [0.3, 0.9]], [[0.5, 0.62]], [[0.0, 1.0]]]


def build(cfg, **kwargs):
    torch.manual_seed(0)
    return MODELS.build({**cfg, **kwargs})


def stock(cfg):
    torch.manual_seed(0)
    return STOCK[cfg['type']](**{k: v for k, v in cfg.items() if k != 'type'})


def sequences(*lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(CHANNELS, length, generator=generator) for length in lengths]


def samples(segments=SEGMENTS, **metainfo):
    out = []
    for i, rows in enumerate(segments):
        sample = ActionDataSample()
        # what MMAction2's GenerateLocalizationLabels makes: (0,) of no segment
        sample.gt_instances = InstanceData(gt_bbox=torch.from_numpy(np.array(rows)))
        sample.proposals = InstanceData(
            proposals=torch.tensor([[0.1, 0.4, 0.9], [0.2, 0.3 + 0.2 * i, 0.5]])
        )
        sample.set_metainfo(
            dict(video_name=f'video_{i}', duration_second=10.3 + i, duration_frame=333 + i)
        )
        sample.set_metainfo(metainfo)
        out.append(sample)
    return out


def trained_sola(tmp_path, channels=CHANNELS, alpha=0.6):
    """A checkpoint of SoLa pretraining with an open gate."""
    torch.manual_seed(1)
    weights = SoLa(channels, hidden_channels=4).state_dict()
    weights['alpha'].fill_(alpha)
    path = tmp_path / 'sola.pth'
    torch.save({'state_dict': {f'neck.{k}': v for k, v in weights.items()}}, path)
    return str(path)


def sola_neck(tmp_path, **kwargs):
    pretrained = dict(type='Pretrained', checkpoint=trained_sola(tmp_path))
    return dict(type='SoLa', hidden_channels=4, init_cfg=pretrained, **kwargs)


def with_sola(cfg, tmp_path, **kwargs):
    model = build(cfg, neck=sola_neck(tmp_path, **kwargs))
    model.init_weights()
    return model


def loss_of(model, inputs, data_samples):
    torch.manual_seed(3)  # BMN and TCANet draw which proposals count
    return model(inputs, data_samples, 'loss')


# --- without a neck -------------------------------------------------------------------------------


@ALL
def test_without_neck_it_is_the_stock_class(cfg):
    ours, theirs = build(cfg), stock(cfg)
    assert type(ours) is not type(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict(), strict=True)
    ours.eval(), theirs.eval()  # TCANet has dropout
    inputs, data_samples = sequences(*[LENGTH] * 3), samples()
    expected = loss_of(theirs, inputs, data_samples)
    found = loss_of(ours, inputs, data_samples)
    assert expected.keys() == found.keys()
    for key in expected:
        assert_close(found[key], expected[key])


@WITH_NECK
def test_a_model_that_predicted_first_can_be_trained(cfg):
    """What is made once, at the first forward, must not belong to inference."""
    ours, inputs = build(cfg), sequences(*[LENGTH] * 3)
    with torch.inference_mode():
        ours.eval()(inputs, samples(), 'predict')
    sum(loss_of(ours, inputs, samples()).values()).backward()


@ALL
def test_gradients_are_those_of_the_stock_class(cfg):
    ours, theirs = build(cfg), stock(cfg)
    ours.load_state_dict(theirs.state_dict())
    for model in (ours.eval(), theirs.eval()):
        sum(loss_of(model, sequences(*[LENGTH] * 3), samples()).values()).backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters()):
        if b.grad is not None:
            assert_close(a.grad, b.grad, msg=lambda text, name=name: f'{name}: {text}')


@ALL
def test_a_batch_predicts_what_the_stock_class_predicts_one_by_one(cfg):
    """Stock BMN drops all videos of a batch but the first, TCANet gives it all proposals."""
    ours, theirs = build(cfg).eval(), stock(cfg).eval()
    ours.load_state_dict(theirs.state_dict())
    inputs, data_samples = sequences(*[LENGTH] * 3), samples()
    with torch.no_grad():
        together = ours(inputs, data_samples, 'predict')
        alone = [theirs([x], [s], 'predict')[0] for x, s in zip(inputs, data_samples)]
    assert len(together) == 3
    for found, expected in zip(together, alone):
        if cfg['type'] == 'TEM':
            assert found[0] == expected[0]
            assert_close(found[1], expected[1], atol=1e-6, rtol=1e-5)
            continue
        assert found['video_name'] == expected['video_name']
        assert len(found['proposal_list']) == len(expected['proposal_list']) > 0
        if cfg['type'] == 'TCANet':  # the stock class scores all 0
            assert_close(by_start(found), by_start(expected), atol=1e-6, rtol=1e-5)
            continue
        for a, b in zip(found['proposal_list'], expected['proposal_list']):
            assert_close(a['score'], b['score'], atol=1e-6, rtol=1e-5)
            assert_close(a['segment'], [float(at) for at in b['segment']])


def by_start(result):
    """Segments of all proposals, whatever their scores."""
    return sorted([float(at) for at in each['segment']] for each in result['proposal_list'])


def test_tcanet_scores_the_found_tiou_times_the_given_score():
    model = build({**TCANET, 'soft_nms_low_threshold': 1.0, 'soft_nms_high_threshold': 1.0}).eval()
    (x,), (sample, *_) = sequences(LENGTH), samples()
    given = sample.proposals['proposals']
    with torch.no_grad():
        (result,) = model([x], [sample], 'predict')
        stages = model._stages(model._forward(x[None]), given[:, :2], torch.zeros(2).long())
        expected = torch.cat([tiou * given[:, 2] for tiou, *_ in stages])
    found = [proposal['score'] for proposal in result['proposal_list']]
    assert_close(found, expected.sort(descending=True).values.tolist())


@ALL
def test_tensor_mode_equals_the_stock_class(cfg):
    ours, theirs = build(cfg).eval(), stock(cfg).eval()
    ours.load_state_dict(theirs.state_dict())
    inputs = sequences(LENGTH, LENGTH)
    assert_close(ours(inputs, None, 'tensor'), theirs(inputs, None, 'tensor'))


def test_fast_and_plain_bmn_are_equal():
    fast, plain = build(BMN), build(BMN, fast=False)
    plain.load_state_dict(fast.state_dict())
    outputs = []
    for model in (fast, plain):
        x = torch.stack(sequences(LENGTH, LENGTH)).requires_grad_()
        confidence, start, end = model._forward(x)
        (confidence.square().sum() + start.sum() - end.sum()).backward()
        outputs.append([confidence, start, end, x.grad, *(p.grad for p in model.parameters())])
    for a, b in zip(*outputs):
        if b is not None:
            assert_close(a, b, atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize('cfg', [BMN, GTAD], ids=['BMN', 'GTAD'])
def test_one_product_as_on_a_gpu_is_that_of_blocks(cfg, monkeypatch):
    monkeypatch.setattr(sparse_sampling, '_BLOCK_CHANNELS', 4)
    model, outputs, calls = build(cfg), [], []
    product = sparse_sampling.sparse_product
    monkeypatch.setattr(
        sparse_sampling, 'sparse_product', lambda x, *a: calls.append(len(x)) or product(x, *a)
    )
    for one_product in (False, True):
        x = torch.stack(sequences(LENGTH, LENGTH)).requires_grad_()
        model._forward(x)  # makes the sampling
        sampled_by = model._matching if cfg is BMN else model._alignment
        sampled_by.sampling.one_product = one_product
        calls.clear()
        confidence, *_ = model._forward(x)
        model.zero_grad()
        confidence.square().sum().backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        outputs.append([confidence, x.grad, *gradients])
        # of two videos and 16 channels; G-TAD's sampling is of one
        assert calls == ([1] if one_product else [2 * 16 // 4])
    for a, b in zip(*outputs):
        assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize('cfg', [BMN, TEM, GTAD], ids=['BMN', 'TEM', 'GTAD'])
def test_labels_do_not_depend_on_how_many_videos_come_together(cfg, monkeypatch):
    """One at a time, two, or all as on a GPU; without segments, too."""
    generator = torch.Generator().manual_seed(0)
    segments = [torch.rand(n, 2, generator=generator).sort(dim=1).values for n in (3, 0, 1, 9, 2)]
    model, found = build(cfg), []
    for numbers in (1, 1500, 10**9):
        monkeypatch.setattr(anchor_overlap, '_CACHED_NUMBERS', numbers)
        found.append(model.generate_labels(segments))
    for labels in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(labels, found[0]))
    assert not any(label[1].any() for label in found[0])
    assert all(label[0].any() for label in found[0])


def test_fast_bmn_follows_a_loaded_sample_mask():
    """The sampling is a weight of the checkpoint: one of another boundary_ratio must count."""
    wide, model = build(BMN, boundary_ratio=0.9), build(BMN)
    x = torch.stack(sequences(LENGTH))
    model._forward(x)
    model.load_state_dict(wide.state_dict())
    assert_close(model._forward(x), wide._forward(x))


def refined_far(cfg, **kwargs):
    """A TCANet whose stages move some segments out of the video."""
    # with 16 points a segment of all 16 snippets would be sampled at kinks of the interpolation
    model = build({**cfg, 'action_sample_num': 12}, **kwargs).eval()
    with torch.no_grad():
        for tbr in (model.tbr1, model.tbr2, model.tbr3):
            tbr.reg1se[4].weight.mul_(3), tbr.reg1xw[6].weight.mul_(3)
    return model


def uneven_samples():
    """Videos of 25, 1 and no proposals; as many segments as that, fewer, and more than in any."""
    generator = torch.Generator().manual_seed(0)
    some = torch.rand(20, 2, generator=generator).sort(dim=1).values
    special = [[0.3, 0.3], [0.0, 1.0], [0.9, 1.4], [0.0, 0.0], [0.6, 0.5]]
    proposals = [torch.cat([torch.tensor(special), some]), some[:1], some[:0]]
    segments = [(proposals[0] + 0.01)[:24].tolist(), some[:1].tolist() * 40, SEGMENTS[0]]
    out = samples(segments)
    for sample, rows in zip(out, proposals):
        sample.proposals = InstanceData(proposals=torch.cat([rows, rows[:, :1]], dim=1))
    return out


def test_fast_and_plain_tcanet_are_equal():
    """Loss, and gradients of inputs and weights, those through the sampled positions included."""
    # in double: in float32 some CPUs round a value to the other side of a kink,
    # where gradients jump
    fast, plain = refined_far(TCANET).double(), refined_far(TCANET, fast=False).double()
    outputs = []
    for model in (fast, plain):
        torch.manual_seed(3)
        x = torch.stack(sequences(*[LENGTH] * 3)).double().requires_grad_()
        losses = model.loss(x, uneven_samples())
        assert all(value > 0 for value in losses.values())  # else nothing would reach the weights
        sum(losses.values()).backward()
        grads = {name: p.grad for name, p in model.named_parameters()}
        outputs.append({**losses, **grads, 'input': x.grad})
    for (name, a), b in zip(outputs[0].items(), outputs[1].values()):
        assert (a is None) == (b is None), name
        if b is not None:
            scale = float(b.detach().abs().max())
            assert_close(a, b, atol=1e-5 * scale, rtol=1e-4, msg=lambda m, n=name: f'{n}: {m}')
    assert sum(value is not None for value in outputs[1].values()) > 60


def test_fast_and_plain_tcanet_refine_alike():
    fast, plain = refined_far(TCANET), refined_far(TCANET, fast=False)
    x = torch.stack(sequences(*[LENGTH] * 3))
    proposals = torch.cat([sample.proposals['proposals'] for sample in uneven_samples()])[:, :2]
    video = torch.tensor([0] * 25 + [1])
    with torch.no_grad():
        found, expected = (
            [(tiou, segments) for tiou, segments, *_ in model._stages(features, proposals, video)]
            for model in (fast, plain)
            for features in [model._forward(x)]
        )
    assert expected[0][1].max() > 1 and expected[0][1].min() == 0  # out of the video
    assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_the_stock_tcanet_equals_ours_on_uneven_batches():
    """Against MMAction2's own loss and predict, which draw and pad."""
    ours, theirs = build(TCANET).eval(), stock(TCANET).eval()
    inputs = sequences(*[LENGTH] * 3)
    expected, found = (loss_of(model, inputs, uneven_samples()) for model in (theirs, ours))
    assert_close(found, expected)
    with torch.no_grad():
        together = ours(inputs, uneven_samples(), 'predict')
        for x, sample, result in zip(inputs[:2], uneven_samples(), together):
            (alone,) = theirs([x], [sample], 'predict')
            assert len(alone['proposal_list']) == len(result['proposal_list']) > 0
            assert_close(by_start(result), by_start(alone), atol=1e-5, rtol=0)
    assert together[2]['proposal_list'] == []


def test_fast_tcanet_samples_in_single_precision_under_autocast():
    """A position among 16 snippets in bfloat16 is off by up to a sixteenth of a snippet."""
    model = build(TCANET)
    tbr, features = model.tbr1, torch.randn(2, 512, LENGTH)
    positions, video = torch.rand(5, 1, 20) * LENGTH, torch.tensor([0, 0, 1, 1, 1])
    expected = sampled_convolution(tbr.reg1xw[0], positions, features, video)
    with torch.autocast('cpu', torch.bfloat16):
        found = sampled_convolution(tbr.reg1xw[0], positions, features, video)
        losses = model(sequences(*[LENGTH] * 3), samples(), 'loss')
    assert found.dtype == torch.float32
    assert_close(found, expected)
    assert all(torch.isfinite(value) for value in losses.values())


def test_a_convolution_of_samples_is_the_stock_one_of_sampled_features():
    conv = torch.nn.Conv1d(8, 12, kernel_size=3, stride=2, padding=1, groups=4)
    features, video = torch.randn(2, 4, 7), torch.tensor([1, 0, 1])
    positions = torch.rand(3, 2, 10) * 7 - 0.5
    positions[0, 0, :2] = torch.tensor([-0.5, 6.5])
    sides = [
        torch.stack([between(features[v], at) for v, at in zip(video, side)])
        for side in positions.unbind(1)
    ]
    expected = conv(torch.cat(sides, dim=1))
    assert_close(sampled_convolution(conv, positions, features, video), expected)


def between(features, positions):
    """Features ``(C, T)`` at fractional positions, zero outside."""
    shares = (1 - (positions[None] - torch.arange(features.shape[1])[:, None]).abs()).clamp(min=0)
    return features @ shares


@pytest.mark.parametrize('top_k', [3, 100])
def test_soft_nms_equals_the_stock_one_ties_included(top_k):
    rng = np.random.default_rng(0)
    for size in (1, 2, 60):
        start = rng.integers(0, 10, size) / 16
        end = start + rng.integers(1, 6, size) / 16
        proposals = np.stack([start, end, rng.integers(1, 5, size) / 5], axis=1)
        np.testing.assert_array_equal(
            soft_nms(proposals, 0.4, 0.5, 0.9, top_k),
            stock_soft_nms(proposals, 0.4, 0.5, 0.9, top_k),
        )
        info = dict(duration_frame=333, duration_second=12.5)
        ours = ranked_proposals(proposals, info, 0.4, 0.5, 0.9, top_k, 16)
        assert ours == post_processing(proposals, info, 0.4, 0.5, 0.9, top_k, 16)


@pytest.mark.parametrize('scores', ['falling', 'alike', 'equal', 'negative'])
def test_soft_nms_of_many_proposals_equals_the_stock_one(scores):
    """Of many, only the best are looked at first: enough where scores fall, and seen where not."""
    rng = np.random.default_rng(0)
    start = rng.random(300)
    score = {
        'falling': rng.random(300) ** 4,
        'alike': 1 - rng.random(300) / 100,
        'equal': np.ones(300),
        'negative': -rng.random(300),
    }[scores]
    proposals = np.stack([start, start + 0.1 + rng.random(300) / 2, score], axis=1)
    np.testing.assert_array_equal(
        soft_nms(proposals, 0.4, 0.0, 0.2, 9), stock_soft_nms(proposals, 0.4, 0.0, 0.2, 9)
    )


def test_soft_nms_takes_segments_that_end_before_they_start():
    """TCANet may refine one to that; a negative union must not make a match of what is apart."""
    rng = np.random.default_rng(0)
    start = rng.random(60)
    proposals = np.stack([start, start + rng.random(60) / 2 - 0.2, rng.random(60)], axis=1)
    np.testing.assert_array_equal(
        soft_nms(proposals, 0.4, 0.0, 0.0, 100), stock_soft_nms(proposals, 0.4, 0.0, 0.0, 100)
    )


# --- registration ---------------------------------------------------------------------------------


def test_both_names_build_the_class_and_registering_again_changes_nothing():
    assert MODELS.get('BMN') is MODELS.get('mmsola.BMN') is mmsola.BMN
    assert register() == []
    assert type(build({**BMN, 'type': 'mmsola.BMN'})) is mmsola.BMN


def test_a_class_that_learned_neck_upstream_is_left_alone(monkeypatch):
    def init(self, neck=None, **kwargs):
        raise NotImplementedError

    monkeypatch.setattr(StockBMN, '__init__', init)
    MODELS.register_module(name='BMN', module=StockBMN, force=True)
    try:
        assert register() == []
        assert MODELS.get('BMN') is StockBMN
    finally:
        MODELS.register_module(name='BMN', module=mmsola.BMN, force=True)


def test_pem_refuses_a_neck_and_says_why():
    with pytest.raises(ValueError, match='not snippet features'):
        MODELS.build(dict(type='PEM', neck=dict(type='SoLa', in_channels=32)))


def test_a_localizer_of_a_third_party_gets_a_neck_in_three_lines():
    class Theirs(BaseModel):
        def __init__(self, in_channels, num_snippets=LENGTH):
            super().__init__()
            self.conv = torch.nn.Conv1d(in_channels, 1, 1)

        def forward(self, inputs, data_samples=None, mode='tensor'):
            return self.conv(torch.stack(inputs))

    class Ours(SnippetNeckMixin, Theirs):
        feat_dim_key, temporal_dim_key = 'in_channels', 'num_snippets'

    model = Ours(CHANNELS, neck=dict(type='SoLa', hidden_channels=4, frozen=False))
    assert model.neck.in_channels == CHANNELS
    assert model(sequences(9, 40)).shape == (2, 1, LENGTH)


def test_a_localizer_that_drops_videos_of_a_batch_is_noticed():
    class Drops(SnippetNeckMixin, StockBMN):
        pass

    model = Drops(**{k: v for k, v in BMN.items() if k != 'type'})
    with torch.no_grad(), pytest.raises(RuntimeError, match='1 results for a batch of 3 videos'):
        model(sequences(*[LENGTH] * 3), samples(), 'predict')


# --- with a neck ----------------------------------------------------------------------------------


@WITH_NECK
def test_the_head_sees_what_the_neck_puts_out(cfg, tmp_path):
    model, plain = with_sola(cfg, tmp_path).eval(), build(cfg).eval()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if 'neck' not in k})
    inputs = sequences(LENGTH, LENGTH)
    changed = list(model.neck(torch.stack(inputs)))
    assert not torch.allclose(changed[0], inputs[0])
    assert_close(model(inputs, None, 'tensor'), plain(changed, None, 'tensor'))


@WITH_NECK
def test_pretrained_weights_reach_the_neck(cfg, tmp_path):
    """BMN and TEM override init_weights without calling their children's."""
    weights = torch.load(trained_sola(tmp_path), weights_only=True)['state_dict']
    model = with_sola(cfg, tmp_path)
    for key, value in weights.items():
        assert torch.equal(model.state_dict()[key], value)


@WITH_NECK
def test_an_untrained_neck_trained_along_starts_as_the_stock_class(cfg):
    model, plain = build(cfg, neck=dict(type='SoLa', frozen=False)).eval(), build(cfg).eval()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if 'neck' not in k})
    inputs = sequences(LENGTH)
    assert_close(model(inputs, None, 'tensor'), plain(inputs, None, 'tensor'), rtol=0, atol=0)


@WITH_NECK
@pytest.mark.parametrize('frozen', [True, False])
def test_training_moves_a_neck_only_when_it_is_not_frozen(cfg, frozen, tmp_path):
    model = with_sola(cfg, tmp_path, frozen=frozen)
    model.train()
    assert model.neck.training is not frozen
    optimizer = dict(type='AdamW', lr=0.1, weight_decay=0.5)
    wrapper = build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=optimizer))
    before = copy.deepcopy(model.neck.state_dict())
    held = {id(p) for group in wrapper.param_groups for p in group['params']}
    assert any(id(p) in held for p in model.neck.parameters()) is not frozen
    data = dict(inputs=sequences(*[LENGTH] * 3), data_samples=samples())
    model.train_step(data, wrapper)
    same = [torch.equal(v, before[k]) for k, v in model.neck.state_dict().items()]
    assert all(same) if frozen else not any(same)


def test_a_frozen_neck_that_nobody_loaded_stops_the_first_step():
    model = build(BMN, neck=dict(type='SoLa'))
    model.init_weights()
    with pytest.raises(ValueError, match='no weights were loaded'):
        model(sequences(LENGTH), samples(SEGMENTS[:1]), 'loss')


def test_a_checkpoint_of_the_whole_localizer_fills_a_frozen_neck(tmp_path):
    model = with_sola(BMN, tmp_path)
    again = build(BMN, neck=dict(type='SoLa', hidden_channels=4))
    again.load_state_dict(model.state_dict())
    assert_close(again(sequences(LENGTH)), model(sequences(LENGTH)))


def test_a_stock_checkpoint_around_a_loaded_neck_is_fine_and_an_empty_one_stops(tmp_path):
    weights = stock(BMN).state_dict()
    model = with_sola(BMN, tmp_path)
    before = copy.deepcopy(model.neck.state_dict())
    model.load_state_dict(weights, strict=False)
    assert all(torch.equal(v, before[k]) for k, v in model.neck.state_dict().items())
    empty = build(BMN, neck=dict(type='SoLa'))
    empty.load_state_dict(weights, strict=False)
    with pytest.raises(ValueError, match='no weights were loaded'):
        empty(sequences(LENGTH), samples(SEGMENTS[:1]), 'predict')


def test_smoothing_is_a_neck_too():
    model = build(BMN, neck=dict(type='TemporalSmoothing', kernel_size=3))
    x = sequences(LENGTH)
    smooth = (x[0][:, :-2] + x[0][:, 1:-1] + x[0][:, 2:]) / 3
    assert_close(model._fit(x, [])[0][:, 1:-1], smooth)


# --- lengths, batches and time --------------------------------------------------------------------


@WITH_NECK
def test_native_sequences_pass_the_neck_before_they_are_resized(cfg, tmp_path):
    """SoLa was trained on native snippet intervals; padding of a batch must not leak in."""
    model = with_sola(cfg, tmp_path)
    inputs = sequences(11, 40, LENGTH, 7)
    fitted = model._fit(inputs, [])
    for x, found in zip(inputs, fitted):
        alone = model._fit([x], [])[0]
        assert found.shape == (CHANNELS, LENGTH)
        assert_close(found, alone)
    assert_close(fitted[2], model.neck(inputs[2][None])[0])
    for mode in ('loss', 'predict'):
        with torch.no_grad():
            model.eval()(inputs, samples([*SEGMENTS, SEGMENTS[0]]), mode)


@pytest.mark.parametrize('cfg', [BMN, GTAD], ids=lambda cfg: cfg['type'])
def test_segments_come_in_seconds_of_the_video(cfg):
    """A proposal of the window's first half must lie in the first half of window_sec."""
    model, inputs = build(cfg).eval(), sequences(LENGTH)
    with torch.no_grad():
        unit = model(inputs, samples([[]], duration_second=1.0, duration_frame=16), 'predict')
        windowed = model(inputs, samples([[]], window_sec=(20.0, 28.0)), 'predict')
    for a, b in zip(unit[0]['proposal_list'], windowed[0]['proposal_list']):
        assert_close(np.array(b['segment']), 20 + 8 * np.array(a['segment']))
        assert a['score'] == b['score']


def test_a_constant_speed_is_read_at_the_centres_of_the_cells():
    """Features that are their own time stay that through any span and length."""
    from mmsola.models.localizers.temporal_resize import resize_to_head

    for length, span in ((50, (0.0, 1.0)), (16, (-0.1, 1.2)), (37, (-0.5, 1.5)), (7, (-0.2, 1.3))):
        start, end = span
        time = start + (torch.arange(length) + 0.5) / length * (end - start)
        found = resize_to_head(time[None], span, 10)
        centres = (torch.arange(10) + 0.5) / 10
        inside = (centres > time[0]) & (centres < time[-1])
        assert inside.sum() >= 8
        assert_close(found[0][inside], centres[inside], atol=1e-5, rtol=0)


def test_before_and_after_the_sequence_its_ends_stay():
    from mmsola.models.localizers.temporal_resize import resize_to_head

    found = resize_to_head(torch.tensor([[1.0, 2.0]]), (0.4, 0.6), 10)[0]
    assert_close(found[:4], torch.ones(4)), assert_close(found[6:], torch.full((4,), 2.0))


def test_a_window_with_a_margin_is_cut_not_interpolated():
    from mmsola.models.localizers.temporal_resize import resize_to_head

    x = sequences(20)[0]
    assert torch.equal(resize_to_head(x, (-2 / 16, 18 / 16), 16), x[:, 2:18])
    assert resize_to_head(x, (0.0, 1.0), 20) is x


def test_many_snippets_in_a_cell_are_all_looked_at():
    from mmsola.models.localizers.temporal_resize import resize_to_head

    spike = torch.zeros(1, 100)
    spike[0, 33] = 1
    assert_close(resize_to_head(spike, (0.0, 1.0), 10).sum(), torch.tensor(0.1))


# --- bad input ------------------------------------------------------------------------------------


@WITH_NECK
def test_channels_of_neck_and_localizer_must_agree(cfg):
    with pytest.raises(ValueError, match='puts out 13 channels, but .*feat_dim=12'):
        build(cfg, neck=dict(type='SoLa', in_channels=13, frozen=False))


@WITH_NECK
def test_features_of_other_channels_name_their_video(cfg):
    with pytest.raises(ValueError, match=r'video_1: expected features \(C, T\) with C=12'):
        build(cfg)([torch.rand(CHANNELS, LENGTH), torch.rand(9, LENGTH)], samples(), 'loss')


@WITH_NECK
def test_videos_without_segments_train_and_give_finite_losses(cfg):
    model = build(cfg)
    for segments in ([[], *SEGMENTS[:1]], [[], []]):
        inputs = sequences(*[LENGTH] * 2)
        for value in loss_of(model, inputs, samples(segments)).values():
            assert torch.isfinite(value)


@pytest.mark.parametrize('cfg', [BMN, GTAD], ids=lambda cfg: cfg['type'])
def test_segments_too_short_for_any_good_proposal_give_a_finite_loss(cfg):
    """Stock BMN, and the published G-TAD, then divide 0 by 0, which ends a training."""
    tiny = samples([[[0.5, 0.5001]]])
    for value in loss_of(build(cfg), sequences(LENGTH), tiny).values():
        assert torch.isfinite(value)


# --- what users of MMAction2 do with any model ----------------------------------------------------


def outputs(model, dtype=torch.float32):
    model.eval()
    with torch.no_grad():
        out = model([row.to(dtype) for row in sequences(LENGTH, LENGTH)], mode='tensor')
    return out if isinstance(out, (tuple, list)) else [out]


@ALL
def test_double_precision_is_that_of_the_stock_class(cfg):
    ours, theirs = build(cfg).double(), stock(cfg).double()
    inputs = [row.double() for row in sequences(LENGTH, LENGTH)]
    ours.eval(), theirs.eval()
    with torch.no_grad():
        found = ours(inputs, mode='tensor')
        expected = theirs(inputs, [], mode='tensor')
    found, expected = (x if isinstance(x, (tuple, list)) else [x] for x in (found, expected))
    for one, other in zip(found, expected):
        assert one.dtype == torch.float64
        assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_runs_where_the_stock_class_does(dtype):
    inputs = torch.stack(sequences(LENGTH, LENGTH)).to(dtype)
    ours, theirs = build(BMN).to(dtype).eval(), stock(BMN).to(dtype).eval()
    with torch.no_grad():
        for one, other in zip(
            ours(list(inputs), mode='tensor'), theirs(list(inputs), [], mode='tensor')
        ):
            assert one.dtype == dtype
            assert_close(one, other, rtol=0.05, atol=0.02)


@pytest.mark.parametrize('cfg', [BMN, GTAD], ids=lambda cfg: cfg['type'])
def test_the_fast_path_follows_a_change_of_precision(cfg):
    model = build(cfg)
    single = outputs(model)
    double = outputs(model.double(), torch.float64)
    assert_close(double, [out.double() for out in single], rtol=1e-4, atol=1e-5)
    assert_close(outputs(model.float()), single)


class TakesAnything(BaseModel):
    """A localizer that hands its arguments on, as many do."""

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.feat_dim = kwargs.get('feat_dim', 7)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return torch.stack(inputs)


class HandsOn(TakesAnything):
    def __init__(self, head=None, **kwargs):
        super().__init__(**kwargs)


class NamedBelow(BaseModel):
    def __init__(self, feat_dim, temporal_dim=LENGTH):
        super().__init__()


class NamedByItsBase(NamedBelow):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


@pytest.mark.parametrize(
    ('stock_class', 'settings', 'feat_dim'),
    [
        (TakesAnything, {'feat_dim': CHANNELS, 'temporal_dim': LENGTH}, CHANNELS),
        (HandsOn, {'feat_dim': CHANNELS, 'temporal_dim': LENGTH}, CHANNELS),
        (NamedByItsBase, {'feat_dim': CHANNELS}, CHANNELS),
    ],
)
def test_a_localizer_that_hands_its_arguments_on_gets_a_neck(stock_class, settings, feat_dim):
    class WithNeck(SnippetNeckMixin, stock_class):
        pass

    model = WithNeck(**settings, neck=dict(type='SoLa', frozen=False))
    assert (model._feat_dim, model._temporal_dim) == (feat_dim, LENGTH)
    assert model.neck.in_channels == feat_dim


def test_what_a_localizer_sets_itself_is_found_and_what_nobody_says_is_named():
    class WithNeck(SnippetNeckMixin, TakesAnything):
        temporal_dim_key = None

    assert WithNeck()._feat_dim == 7

    class Nameless(SnippetNeckMixin, TakesAnything):
        feat_dim_key = 'channels'

    with pytest.raises(TypeError, match="Nameless: .*'channels'; set feat_dim_key"):
        Nameless()


@pytest.mark.parametrize('name', ['SoLa', 'BMN', 'GTAD', 'SoLaPretrainer', 'TemporalSmoothing'])
def test_the_name_of_the_package_may_stand_before_a_type(name):
    assert MODELS.get(f'mmsola.{name}').__module__.startswith('mmsola.')
