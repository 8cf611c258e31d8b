"""One-stage localizers beside the published numbers: what they promise, and what they refuse."""

from __future__ import annotations

import mmsola  # noqa: F401  before MMAction2, which it makes work

# isort: split
import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.structures import InstanceData
from small_localizers import ACTIONFORMER, CHANNELS, TEMPORALMAXER, TRIDET
from test_contract import in_processes
from test_published_localizers import CASES, DATA, RANGES
from torch.testing import assert_close

from mmsola.models.heads.point_head import PointHead
from mmsola.models.layers.local_attention import full_attention, local_attention
from mmsola.models.localizers.published_names import renamed
from mmsola.models.points.center_assigner import CenterAssigner
from mmsola.models.points.pyramid_points import pyramid_points

SMALL = {cfg['type']: cfg for cfg in (ACTIONFORMER, TEMPORALMAXER, TRIDET)}
ALL = pytest.mark.parametrize('name', SMALL)
SCHEDULE = Config.fromfile(str(DATA.parents[1] / 'configs/_base_/schedules/one_stage_35e.py'))


def build(name, **changes):
    torch.manual_seed(0)
    return MODELS.build({**SMALL[name], **changes})


def sample_of(segments, labels, name='video'):
    sample = ActionDataSample()
    sample.gt_instances = InstanceData(
        gt_segments=torch.tensor(segments).reshape(-1, 2), gt_labels=torch.tensor(labels).long()
    )
    sample.set_metainfo(dict(video_name=name))
    return sample


def sequences(*lengths):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(CHANNELS, length, generator=generator) for length in lengths]


# --- attention ------------------------------------------------------------------------------------


def banded_attention(query, key, value, mask, reach, bias=None):
    """The plain way: all pairs, and what is out of reach left out."""
    step = torch.arange(query.shape[2])
    distance = step[None] - step[:, None]
    logits = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
    if bias is not None:
        logits = logits + bias[:, (distance + reach).clamp(0, 2 * reach)]
    seen = (distance.abs() <= reach) & mask[:, None, None]
    return logits.masked_fill(~seen, -1e4).softmax(-1) @ value


@pytest.mark.parametrize('with_bias', [False, True], ids=['', 'bias'])
@pytest.mark.parametrize(('num_steps', 'reach'), [(1, 2), (7, 2), (50, 1), (97, 9), (64, 40)])
def test_local_attention_is_the_attention_of_all_pairs_in_reach(num_steps, reach, with_bias):
    torch.manual_seed(0)
    parts = torch.randn(3, 2, 4, num_steps, 8, dtype=torch.float64).requires_grad_()
    bias = torch.randn(4, 2 * reach + 1, dtype=torch.float64) if with_bias else None
    mask = torch.ones(2, num_steps, dtype=torch.bool)
    mask[1, max(1, num_steps // 2) :] = False
    found = local_attention(*parts, mask, reach, bias)
    expected = banded_attention(*parts, mask, reach, bias)
    real = mask[:, None, :, None].expand_as(found)
    assert_close(found[real], expected[real])
    gradients = [torch.autograd.grad(x[real].square().sum(), parts)[0] for x in (found, expected)]
    assert_close(*gradients)


def test_full_attention_does_not_see_padding():
    torch.manual_seed(0)
    parts = torch.randn(3, 1, 2, 9, 4)
    mask = torch.arange(9)[None] < 6
    alone = full_attention(*parts[..., :6, :], mask[:, :6])
    assert_close(full_attention(*parts, mask)[..., :6, :], alone)


# --- the pipeline ---------------------------------------------------------------------------------


def test_the_next_video_is_scored_before_this_one_is_suppressed(monkeypatch):
    """So that a GPU has work while the CPU has."""
    model, done = build('ActionFormer').eval(), []
    scored, nms = model._scored, model.nms
    monkeypatch.setattr(model, '_scored', lambda x: done.append('scored') or scored(x))
    monkeypatch.setattr(model, 'nms', lambda x: done.append('suppressed') or nms(x))
    videos = sequences(32, 45, 20)
    found = model(videos, mode='predict')
    assert done == ['scored', 'scored', 'suppressed', 'scored', 'suppressed', 'suppressed']
    assert [len(result['proposal_list']) > 0 for result in found] == [True] * 3
    assert model([], mode='predict') == []


@ALL
def test_a_batch_predicts_what_each_of_its_videos_does_alone(name):
    model = build(name).eval()
    videos = sequences(20, 32, 45)
    together = model(videos, mode='predict')
    for i, video in enumerate(videos):
        (alone,) = model([video], mode='predict')
        assert together[i]['proposal_list'] == alone['proposal_list']


@ALL
def test_segments_lie_inside_of_their_video_in_seconds(name):
    model = build(name, class_names=['sit', 'stand']).eval()
    sample = ActionDataSample()
    sample.set_metainfo(dict(video_name='a', grid_sec=(0.5, 0.25), covered_sec=(0.0, 7.0)))
    (result,) = model(sequences(32), [sample], mode='predict')
    in_grid = model(sequences(32), mode='predict')[0]['proposal_list']
    for found, plain in zip(result['proposal_list'], in_grid):
        expected = [min(max(0.5 + 0.25 * x, 0.0), 7.0) for x in plain['segment']]
        assert found['segment'] == pytest.approx(expected)
        assert found['label'] == {'0': 'sit', '1': 'stand'}.get(plain['label'], plain['label'])


@ALL
def test_a_video_without_segments_is_background(name):
    model = build(name).train()
    losses = model(sequences(20, 25), [sample_of([], []), sample_of([], [])], mode='loss')
    assert losses['loss_reg'] == 0 and 0 < losses['loss_cls'] < 10
    sum(losses.values()).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_a_part_of_another_type_begins_with_its_own_defaults():
    model = build('ActionFormer', backbone=dict(type='ConvPyramid', num_stem=1))
    assert type(model.backbone).__name__ == 'ConvPyramid'
    assert build('TriDet').test_cfg['per_level'] is False  # not said by the config


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(max_snippets=30), 'max_snippets=30 cannot be halved 2 times(?s:.*)set 32'),
        (dict(class_names=['a']), r'1 classes \(.a.\), but num_classes=2(?s:.*)num_classes=1'),
        (dict(head=dict(ranges=[(0, 4)])), '1 ranges for 3 levels'),
        (dict(backbone=dict(window=[3, 3])), 'window has 2 numbers for 3 levels'),
    ],
)
def test_a_config_that_cannot_be_right_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build('ActionFormer', **changes)


@pytest.mark.parametrize(
    ('length', 'sample', 'message'),
    [
        (40, sample_of([[1.0, 9.0]], [0], 'v1'), 'v1: 40 snippets, but max_snippets=32'),
        (20, sample_of([[1.0, 9.0]], [2], 'v2'), 'v2: a segment of class 2, but num_classes=2'),
        (20, ActionDataSample(metainfo=dict(video_name='v3')), 'v3: has no gt_segments'),
    ],
)
def test_a_training_video_that_cannot_be_learned_from_is_named(length, sample, message):
    with pytest.raises(ValueError, match=message):
        build('ActionFormer')(sequences(length), [sample], mode='loss')


# --- a neck for the boundaries alone --------------------------------------------------------------


def opened(name, neck_feeds):
    """With an open SoLa, and the weights of the plain one elsewhere."""
    neck = dict(type='SoLa', hidden_channels=4, frozen=False)
    model = build(name, neck=neck, neck_feeds=neck_feeds).eval()
    torch.manual_seed(4)
    for parameter in model.neck.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.5)
    model.neck.alpha.data.fill_(0.6)
    return model


def raw_and_losses(model):
    videos = sequences(20, 27)
    truth = [sample_of([[2.0, 9.0], [5.0, 18.0]], [0, 1]), sample_of([[11.0, 25.0]], [1])]
    return model(videos, mode='tensor'), model(videos, truth, mode='loss')


@ALL
@torch.no_grad()
def test_classes_see_the_plain_features_and_offsets_those_of_the_neck(name):
    plain, of_neck, both = (
        model(sequences(20, 27), mode='tensor')
        for model in (build(name).eval(), opened(name, 'all'), opened(name, 'boundaries'))
    )
    assert_close(both.logits, plain.logits)
    assert_close(both.offsets, of_neck.offsets)
    for one, other in zip(plain, of_neck):
        assert not torch.allclose(one, other)


@ALL
@torch.no_grad()
def test_boundaries_from_a_neck_that_changes_nothing_are_the_plain_ones(name):
    neck = dict(type='SoLa', hidden_channels=4, frozen=False)
    plain, model = build(name).eval(), build(name, neck=neck, neck_feeds='boundaries').eval()
    assert_close(raw_and_losses(model), raw_and_losses(plain))
    (one,), (other,) = (each(sequences(45), mode='predict') for each in (model, plain))
    for found, expected in zip(one['proposal_list'], other['proposal_list']):
        assert found['label'] == expected['label']
        assert found['score'] == pytest.approx(expected['score'], 1e-4)
        assert found['segment'] == pytest.approx(expected['segment'], 1e-4, 1e-4)
    assert {k for k in model.state_dict() if 'neck' not in k} == plain.state_dict().keys()


@ALL
def test_a_neck_for_the_boundaries_learns_nothing_of_the_classes(name):
    model = opened(name, 'boundaries')
    logits, offsets = model(sequences(20), mode='tensor')
    of_offsets, of_logits = (
        torch.autograd.grad(x.sum(), model.neck.alpha, retain_graph=True)[0]
        for x in (offsets, logits)
    )
    assert of_logits == 0 and of_offsets.abs() > 0


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(neck_feeds='boundaries'), "neck_feeds='boundaries' without a neck"),
        (dict(neck_feeds='classes'), "neck_feeds is 'classes'; expected 'all' or 'boundaries'"),
        (
            dict(
                neck_feeds='boundaries',
                neck=dict(type='PlainBeside', neck=dict(type='TemporalSmoothing')),
            ),
            'takes 6 channels and puts out 12',
        ),
    ],
)
def test_boundaries_without_a_neck_that_fits_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build('ActionFormer', **changes)


# --- what points learn ----------------------------------------------------------------------------


def assigned(segments, labels):
    points = torch.cat(pyramid_points([32, 16, 8], RANGES, torch.zeros(())))
    segments = torch.tensor(segments)
    return points, CenterAssigner().assign(
        points, segments, torch.tensor(labels), 3, points[:, 0] >= 0, points, points
    )


def test_no_end_begins_cut_off_where_offsets_begin_above_0():
    def number_cut_off(first_offset):
        number = 0
        for seed in range(20):
            torch.manual_seed(seed)
            head = PointHead(1, 8, num_levels=1, first_offset=first_offset)
            features, masks = [torch.randn(4, 8, 32)], [torch.ones(4, 1, 32, dtype=torch.bool)]
            offsets = head(features, masks).offsets  # (B, S, 2)
            number += bool((offsets == 0).all(dim=(0, 1)).any())
        return number

    assert number_cut_off(1.0) == 0 < number_cut_off(-1.0)
    head = PointHead(1, 8, num_levels=1)
    assert torch.equal(head.regression.out.bias, torch.zeros(2))  # as the authors'


def test_the_shortest_of_two_segments_wins_and_equally_short_ones_share():
    points, targets = assigned([[0.0, 20.0], [8.0, 12.0], [8.0, 12.0]], [0, 1, 2])
    at_ten = (points[:, 0] == 10) & (points[:, 3] == 1)
    assert targets.classes[at_ten].tolist() == [[0, 1, 1]]
    assert targets.offsets[at_ten].tolist() == [[2, 2]]


def test_a_reach_at_the_border_of_two_levels_belongs_to_both():
    points, targets = assigned([[6.0, 14.0]], [0])
    positive = targets.classes.any(dim=1) & (points[:, 0] == 10)
    assert points[positive, 3].tolist() == [1, 2]


# --- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize('case', [case for case in CASES if case.startswith('actionformer')])
def test_weight_decay_reaches_what_it_reaches_in_the_original(case):
    model = MODELS.build(CASES[case])
    with np.load(DATA / 'actionformer_reference.npz') as file:
        names = str(file[f'{case.split(".")[1]}.opt.decay_names']).split('\n')
    expected = set(renamed({name: torch.zeros(()) for name in names}))
    groups = build_optim_wrapper(model, SCHEDULE.optim_wrapper).optimizer.param_groups
    ids = {id(p): name for name, p in model.named_parameters()}
    decayed = {ids[id(p)] for g in groups if g['weight_decay'] > 0 for p in g['params']}
    assert decayed == expected


def test_the_learning_rate_follows_the_published_schedule():
    with np.load(DATA / 'actionformer_reference.npz') as file:
        expected = file['schedule.cosine.lr_at_iteration']
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1e-3)
    warm_up, cosine = (dict(part) for part in SCHEDULE.param_scheduler)
    warm_up.update(begin=0, end=2)
    cosine.update(begin=2, end=5)
    schedulers = []
    for part in (warm_up, cosine):
        assert part.pop('convert_to_iter_based')
        kind = PARAM_SCHEDULERS.get(part.pop('type'))
        schedulers.append(
            kind.build_iter_from_epoch(optimizer=optimizer, epoch_length=4, by_epoch=True, **part)
        )
    found = []
    for _ in range(20):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert found == pytest.approx(expected, abs=1e-9)


def gradient_of(samples):
    model = build('ActionFormer', backbone=dict(num_heads=2, num_stem=1, window=5, drop_path=0.0))
    model.train()
    inputs = sequences(24) * len(samples)  # the same features in each video
    sum(model(inputs, samples, mode='loss').values()).backward()
    return model.head.running_norm, model.head.classification.convs[0].weight.grad


def of_one_process(rank, folder):
    norm, gradient = gradient_of([SAMPLES[rank]])
    torch.distributed.all_reduce(gradient)  # DDP takes the mean
    torch.save((norm, gradient / 2), f'{folder}/{rank}.pt')


SAMPLES = [sample_of([[2.0, 9.0], [4.0, 20.0]], [0, 1]), sample_of([[3.0, 6.0]], [1])]


def test_two_processes_have_the_gradient_of_one_with_the_whole_batch(tmp_path):
    """Although one of them holds more positive points than the other."""
    in_processes(of_one_process, 2, str(tmp_path))
    norm, gradient = gradient_of(SAMPLES)
    for rank in range(2):
        found_norm, found = torch.load(tmp_path / f'{rank}.pt')
        assert_close(found_norm, norm)
        assert_close(found, gradient, rtol=1e-4, atol=1e-6)
