"""Necks that hold other necks: what they put out, and that a SoLa inside is loaded and checked."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from small_localizers import ACTIONFORMER, BMN, CHANNELS, LENGTH, TCANET, TEM, TEMPORALMAXER
from test_contract import build_runner, config
from test_localizers import build, sequences, trained_sola
from torch.testing import assert_close

from mmsola.apis.export import build_sola, export_features
from mmsola.apis.localizer_checkpoint import load_localizer
from mmsola.commands.compare import count_parameters
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.models import SoLa

SMOOTH = dict(type='TemporalSmoothing', kernel_size=3)


def sola_of(checkpoint, **settings):
    pretrained = dict(type='Pretrained', checkpoint=checkpoint)
    return dict(type='SoLa', hidden_channels=4, init_cfg=pretrained, **settings)


def beside(checkpoint, **settings):
    return dict(type='PlainBeside', neck=sola_of(checkpoint), **settings)


def sequence(checkpoint):
    return dict(type='NeckSequence', necks=[SMOOTH, sola_of(checkpoint)])


def of_twice(cfg):
    """A localizer of twice the channels."""
    key = 'tem_feat_dim' if cfg['type'] == 'TEM' else 'feat_dim'
    return {**cfg, key: 2 * CHANNELS}


@pytest.fixture
def checkpoint(tmp_path):
    return trained_sola(tmp_path)


@pytest.mark.parametrize('cfg', [BMN, TEM, TCANET, TEMPORALMAXER], ids=lambda cfg: cfg['type'])
def test_a_localizer_sees_the_plain_features_and_then_the_necks(cfg, checkpoint):
    model = build(of_twice(cfg), neck=beside(checkpoint))
    model.init_weights()
    x = sequences(LENGTH)
    (seen,) = model._fit(x, [])
    assert torch.equal(seen[:CHANNELS], x[0])
    sola = SoLa.from_checkpoint(checkpoint)
    assert_close(seen[CHANNELS:], sola(x[0][None])[0])
    assert not torch.equal(seen[CHANNELS:], x[0])
    assert model.neck.neck.frozen and not any('neck' in n for n, _ in model.named_parameters())


@pytest.mark.parametrize('inner', ['SoLa', 'TemporalSmoothing', 'OfWholeSequences'])
@pytest.mark.parametrize('outer', ['PlainBeside', 'NeckSequence'])
def test_padding_reaches_no_snippet_of_any_neck(inner, outer, checkpoint):
    inner = dict(type=inner) if inner != 'SoLa' else sola_of(checkpoint)
    if outer == 'PlainBeside':
        cfg = dict(type=outer, neck=inner, plain=SMOOTH, in_channels=CHANNELS)
    else:
        cfg = dict(type=outer, necks=[inner, SMOOTH], in_channels=CHANNELS)
    neck = MODELS.build(cfg)
    neck.init_weights()
    x, lengths = torch.randn(2, CHANNELS, 9), (5, 9)
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    found = neck(x, mask)
    for row, length, one in zip(found, lengths, x):
        assert_close(row[:, :length], neck(one[None, :, :length])[0])
        assert not row[:, length:].any()


@MODELS.register_module()
class OfWholeSequences(torch.nn.Module):
    """One that takes no mask and sees every snippet."""

    def forward(self, x):
        return x + x.mean(dim=2, keepdim=True)


def test_necks_follow_each_other_and_hold_each_other(checkpoint):
    x = torch.randn(1, CHANNELS, 9)
    smooth, sola = MODELS.build(SMOOTH), SoLa.from_checkpoint(checkpoint)
    neck = MODELS.build(sequence(checkpoint) | dict(in_channels=CHANNELS))
    neck.init_weights()
    assert_close(neck(x), sola(smooth(x)))
    cfg = dict(type='PlainBeside', neck=sequence(checkpoint), plain=SMOOTH)
    model = build(of_twice(TEMPORALMAXER), neck=cfg)
    model.init_weights()
    assert_close(model.neck(x), torch.cat([smooth(x), sola(smooth(x))], dim=1))


@pytest.mark.parametrize(
    ('neck', 'feat_dim', 'message'),
    [
        (
            dict(type='PlainBeside', neck=SMOOTH),
            13,
            'puts out 2 times(?s:.*)set feat_dim to 2 times',
        ),
        (
            dict(type='PlainBeside', neck=dict(type='SoLa', in_channels=12)),
            12,
            'puts out 24 channels, but feat_dim=12; set feat_dim=24',
        ),
        (
            dict(
                type='PlainBeside', neck=dict(type='SoLa', in_channels=6), plain=dict(type='SoLa')
            ),
            24,
            'neck takes 6 channels and plain 12',
        ),
        (
            dict(type='NeckSequence', necks=[SMOOTH, dict(type='SoLa', in_channels=7)]),
            12,
            r'necks\[1\] takes 7 channels, but 12 come out',
        ),
        (dict(type='NeckSequence', necks=[]), 12, 'necks is empty'),
    ],
)
def test_channels_that_do_not_fit_are_told_when_it_is_built(neck, feat_dim, message):
    with pytest.raises(ValueError, match=message):
        build({**TEMPORALMAXER, 'feat_dim': feat_dim}, neck=neck)


def test_features_of_other_channels_are_told_with_the_feat_dim_to_set(checkpoint):
    model = build({**TEMPORALMAXER, 'feat_dim': CHANNELS}, neck=beside(None))
    with pytest.raises(ValueError, match='C=6(?s:.*)set feat_dim to 2 times the channels'):
        model(sequences(20), mode='tensor')


# The Runner, and what reads its checkpoints -------------------------------------------------------


def run_config(neck, tmp_path, **changes):
    cfg = config('TemporalMaxer', '', None, tmp_path, **changes)
    cfg.model = Config(dict(model=dict(of_twice(TEMPORALMAXER), neck=neck))).model
    return cfg


def test_a_frozen_sola_inside_must_be_loaded(tmp_path):
    neck = dict(type='PlainBeside', neck=dict(type='SoLa', hidden_channels=4))
    with pytest.raises(ValueError, match=r'model\.neck\.neck: a frozen SoLa into which nothing'):
        build_runner(run_config(neck, tmp_path))
    with pytest.raises(ValueError, match='expected one matching checkpoint, found none'):
        build_runner(run_config(beside(str(tmp_path / 'gone_*.pth')), tmp_path))


def test_the_checkpoint_of_a_training_brings_the_sola_inside(checkpoint, tmp_path):
    cfg = run_config(beside(checkpoint), tmp_path)
    runner = build_runner(cfg)
    runner.train()
    trained = runner.model.state_dict()
    held = {k.removeprefix('neck.'): v for k, v in torch.load(checkpoint)['state_dict'].items()}
    assert {k for k in trained if k.startswith('neck.')} == {f'neck.neck.{k}' for k in held}
    assert all(torch.equal(trained[f'neck.neck.{key}'], value) for key, value in held.items())
    assert count_parameters(cfg)[1] == sum(value.numel() for value in held.values())

    (tmp_path / 'sola.pth').unlink()  # it is in the localizer's own by now
    last = str(tmp_path / 'work_dir' / 'epoch_2.pth')
    tested = build_runner(run_config(beside(checkpoint), tmp_path, load_from=last))
    assert tested.test() == {'videos': 8}
    loaded = load_localizer(run_config(beside(checkpoint), tmp_path), last)
    assert_close(loaded.state_dict(), dict(trained))

    (tmp_path / 'more').mkdir()
    for key in list(trained):
        if key.startswith('neck.neck.'):
            trained[key.removeprefix('neck.')] = trained.pop(key)
    torch.save({'state_dict': trained}, last)
    moved = build_runner(run_config(beside(checkpoint), tmp_path, load_from=last))
    message = r"under the prefix 'neck\.'(?s:.*)one under 'neck\.neck\.'(?s:.*)model\.neck\.neck\."
    with pytest.raises(ValueError, match=message):
        moved.test()


def test_a_neck_around_a_sola_is_exported_whole(checkpoint, tmp_path):
    (tmp_path / 'in').mkdir()
    feature = np.random.default_rng(0).normal(size=(9, CHANNELS)).astype(np.float32)
    np.save(tmp_path / 'in' / 'a.npy', feature)
    neck = build_sola(Config(dict(model=dict(neck=beside('elsewhere.pth')))), checkpoint)
    stores = [FeatureStore(tmp_path / 'in')]
    assert export_features(neck, stores, tmp_path / 'out')['written'] == 1
    found = np.load(tmp_path / 'out' / 'a.npy')
    expected = SoLa.from_checkpoint(checkpoint)(torch.from_numpy(feature.T)[None])[0].T
    assert_close(torch.from_numpy(found), torch.cat([torch.from_numpy(feature), expected], dim=1))
    assert export_features(neck, stores, tmp_path / 'out') == {'written': 0, 'kept': 1}
    assert json.loads((tmp_path / 'out' / 'sola_export.json').read_text())['complete']


def test_a_beside_neck_trains_along_under_a_transformer(tmp_path):
    neck = dict(type='PlainBeside', neck=dict(type='SoLa', hidden_channels=4, frozen=False))
    cfg = run_config(neck, tmp_path)
    cfg.model = Config(dict(model=dict(of_twice(ACTIONFORMER), neck=neck))).model
    runner = build_runner(cfg)
    runner.train()
    assert runner.model.neck.neck.gate.item() != 0
