"""Standardize: statistics of the training features, where they come from and what they do."""

from __future__ import annotations

import copy
import json
import re
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config, ConfigDict
from small_localizers import BMN
from torch import nn
from torch.testing import assert_close
from warm_processes import CONTEXT

from mmsola.apis.export import build_sola, export_features
from mmsola.apis.localizer_checkpoint import load_localizer
from mmsola.apis.publish import publish_model
from mmsola.datasets.channel_moments import ChannelMoments, joined
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.engine import feature_statistics_hook
from mmsola.engine.launch import build_runner
from mmsola.engine.run_config_error import RunConfigError
from mmsola.messages.argument_checks import ArgumentError
from mmsola.models import SoLa, SoLaPretrainer, Standardize
from mmsola.models.checkpoint_file import CheckpointError
from mmsola.models.layers.channel_statistics import SCALES

CHANNELS = 4
MEAN = torch.tensor([5.0, -2.0, 100.0, 0.5])
STD = torch.tensor([2.0, 0.1, 30.0, 0.0])  # the last one is constant


def features(lengths=(7, 20, 11), seed=0, channels=CHANNELS):
    """Videos of features (T, C) with a large constant part; the last channel is constant."""
    random = np.random.default_rng(seed)
    videos = [random.normal(50, 3, (length, channels)).astype('f4') for length in lengths]
    for video in videos:
        video[:, -1] = 0.1
    return videos


def moments(videos):
    found = joined(ChannelMoments.of(str(i), video) for i, video in enumerate(videos))
    assert found is not None
    return found


def filled(module):
    (module.standardize if isinstance(module, SoLa) else module).fill(MEAN, STD, 100)
    return module


def sola(scale='input', alpha=0.7, **kwargs):
    torch.manual_seed(0)
    neck = SoLa(CHANNELS, hidden_channels=3, standardize=dict(scale=scale), **kwargs)
    nn.init.constant_(neck.alpha, alpha)
    return filled(neck)


def batch(num_snippets=9):
    random = torch.Generator().manual_seed(1)
    x = torch.randn(2, CHANNELS, num_snippets, generator=random)
    return MEAN[:, None] + STD[:, None] * x


# --- what is taken --------------------------------------------------------------------------------


def test_mean_and_deviation_are_those_of_all_snippets_together():
    videos = features()
    found, together = moments(videos), np.concatenate(videos).astype('f8')
    np.testing.assert_allclose(found.mean, together.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.std[:-1], together.std(0)[:-1], rtol=1e-9)
    assert found.std[-1] == 0
    assert (found.count, found.num_videos) == (38, 3)


def test_small_spread_of_a_large_constant_is_not_lost():
    """Sums of squares in single precision would leave nothing of it."""
    video = 1e4 + np.random.default_rng(0).normal(0, 0.1, (4000, 1))
    parts = np.array_split(video, 7)
    assert moments(parts).std[0] == pytest.approx(video.std(), rel=1e-6)


@pytest.mark.parametrize('value', [0.1, 1e4 + 0.1])
def test_a_constant_channel_has_no_spread_although_rounding_leaves_some(value):
    found = moments([np.full((length, 1), value) for length in (7, 20, 11)])
    assert found.squares[0] > 0  # the case is a hard one
    assert found.std[0] == 0


def test_shares_of_two_make_the_whole():
    videos = features((3, 9, 4, 6, 8))
    whole, shares = moments(videos), [moments(videos[i::2]) for i in (0, 1)]
    both = joined([None, *shares])
    assert both is not None and both.count == whole.count
    np.testing.assert_allclose(both.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(both.squares, whole.squares, rtol=1e-9)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_a_bad_value_names_its_video(bad):
    video = features()[0]
    video[3, 1] = bad
    with pytest.raises(FeatureError, match='dog/1: 1 of 7 snippets'):
        ChannelMoments.of('dog/1', video)


# --- what is done ---------------------------------------------------------------------------------


def test_training_features_get_zero_mean_and_unit_variance():
    videos = features()
    found = moments(videos)
    neck = Standardize(CHANNELS)
    neck.fill(torch.from_numpy(found.mean), torch.from_numpy(found.std), found.count)
    out = neck(torch.from_numpy(np.concatenate(videos)).T[None])[0]
    assert_close(out.mean(1), torch.zeros(CHANNELS), atol=1e-5, rtol=0)
    assert_close(out.std(1, correction=0)[:-1], torch.ones(CHANNELS - 1), atol=1e-5, rtol=0)
    assert out[-1].abs().max() < 1e-6  # constant: 0, neither NaN nor huge


def test_unit_length_keeps_directions_of_standardized_features():
    x = batch()
    plain, unit = (filled(Standardize(CHANNELS, scale))(x) for scale in SCALES[1:])
    assert_close(unit.norm(dim=1), torch.ones(2, 9))
    assert_close(unit * plain.norm(dim=1, keepdim=True), plain)


@pytest.mark.parametrize('module', [*SCALES, 'Standardize'])
def test_a_padded_batch_gives_what_each_sequence_gives_alone(module):
    neck = filled(Standardize(CHANNELS)) if module == 'Standardize' else sola(module)
    x = batch()
    mask = torch.tensor([[True] * 9, [True] * 5 + [False] * 4])
    with torch.no_grad():
        out = neck(x, mask)
        assert_close(out[0], neck(x[:1])[0])
        assert_close(out[1, :, :5], neck(x[1:, :, :5])[0])
    assert not out[1, :, 5:].any()


def test_a_shut_gate_on_the_scale_of_the_input_is_the_identity_to_the_last_bit():
    assert torch.equal(sola('input', alpha=0.0)(batch()), batch())


@pytest.mark.parametrize('scale', SCALES)
def test_a_shut_gate_leaves_equally_scaled_features(scale):
    neck = sola(scale, alpha=0.0)
    assert torch.equal(neck(batch()), neck.rescaled(batch()))


def test_a_module_with_statistics_is_one_without_on_standardized_features():
    z = filled(Standardize(CHANNELS))(batch())
    neck = sola('unit_variance')
    plain = SoLa(CHANNELS, hidden_channels=3)
    plain.load_state_dict(
        {key: value for key, value in neck.state_dict().items() if 'standardize' not in key}
    )
    expected = plain(z)
    assert_close(neck(batch()), expected)
    assert_close(sola('unit_length')(batch()), nn.functional.normalize(expected, dim=1))
    divisor = torch.tensor([2.0, 0.1, 30.0, 1.0])[:, None]
    assert_close(sola('input')(batch()), expected * divisor + MEAN[:, None])


@pytest.mark.parametrize('scale', SCALES)
def test_training_works_on_standardized_windows_whatever_the_scale_of_the_output(scale):
    torch.manual_seed(0)
    head = dict(type='SimilarityMatchingHead', in_channels=CHANNELS, predictor_channels=5)
    setting = dict(type='SoLa', in_channels=CHANNELS, hidden_channels=3)
    model = SoLaPretrainer({**setting, 'standardize': dict(scale=scale)}, head)
    model.neck = sola(scale)
    plain = SoLaPretrainer(setting, head)
    plain.head = model.head
    plain.neck.load_state_dict(
        {k: v for k, v in model.neck.state_dict().items() if 'standardize' not in k}
    )
    windows = batch(23)
    expected = plain(filled(Standardize(CHANNELS))(windows), mode='loss')
    for key, value in model(windows, mode='loss').items():
        assert_close(value, expected[key], msg=lambda text, key=key: f'{key}: {text}')


def test_without_standardize_the_state_dict_is_the_published_one():
    assert sorted(SoLa(CHANNELS).state_dict()) == ['alpha'] + [
        f'conv_network.{i}.{kind}' for i in (0, 2, 4) for kind in ('bias', 'weight')
    ]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'neck', [Standardize(CHANNELS), SoLa(CHANNELS, standardize=dict(scale='input'))]
)
def test_raw_features_never_pass_for_standardized_ones(neck):
    with pytest.raises(ValueError, match='no statistics'):
        neck(batch())


def test_settings_that_do_nothing_are_refused():
    with pytest.raises(ArgumentError, match='puts out what came in'):
        Standardize(CHANNELS, scale='input')
    with pytest.raises(ArgumentError, match='unit_variance'):
        SoLa(CHANNELS, standardize=dict(scale='unit'))
    with pytest.raises(ValueError, match='scales'):
        SoLa(CHANNELS, standardize=dict(scales='input'))


def save(module, path, prefix='neck.'):
    torch.save({'state_dict': {prefix + k: v for k, v in module.state_dict().items()}}, path)
    return str(path)


def pretrained(path, **settings):
    neck = SoLa(
        CHANNELS, hidden_channels=3, init_cfg=dict(type='Pretrained', checkpoint=path), **settings
    )
    neck.init_weights()
    return neck


def test_with_and_without_statistics_do_not_load_into_each_other(tmp_path):
    having = save(sola(), tmp_path / 'having.pth')
    lacking = save(SoLa(CHANNELS, hidden_channels=3), tmp_path / 'lacking.pth')
    with pytest.raises(ValueError, match='fix: set standardize='):
        pretrained(having)
    with pytest.raises(ValueError, match='fix: leave standardize out'):
        pretrained(lacking, standardize=dict(scale='input'))
    with pytest.raises(CheckpointError, match='statistics of features, found 0'):
        standardize_from(lacking)


def test_a_part_of_the_statistics_is_refused(tmp_path):
    path = save(sola(), tmp_path / 'a.pth')
    content = torch.load(path)
    del content['state_dict']['neck.standardize.std']
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=re.escape("missing: ['neck.standardize.std']")):
        SoLa.from_checkpoint(path)


@pytest.mark.parametrize(
    ('key', 'value'), [('std', -STD), ('mean', MEAN / 0), ('count', torch.tensor(0))]
)
def test_statistics_that_are_none_are_refused(tmp_path, key, value):
    path = save(sola(), tmp_path / 'a.pth')
    content = torch.load(path)
    content['state_dict'][f'neck.standardize.{key}'] = value
    torch.save(content, path)
    for read in (SoLa.from_checkpoint, standardize_from):
        with pytest.raises(CheckpointError, match='cannot be used'):
            read(path)


def standardize_from(path, **settings):
    neck = Standardize(CHANNELS, init_cfg=dict(type='Pretrained', checkpoint=str(path), **settings))
    neck.init_weights()
    return neck


# --- where they go --------------------------------------------------------------------------------


def test_a_checkpoint_of_sola_fills_sola_and_standardize(tmp_path):
    neck = sola('input')
    path = save(neck, tmp_path / 'a.pth')
    expected = filled(Standardize(CHANNELS))(batch())
    assert torch.equal(pretrained(path, standardize=dict(scale='input'))(batch()), neck(batch()))
    assert torch.equal(SoLa.from_checkpoint(path, scale='input')(batch()), neck(batch()))
    for settings in ({}, {'prefix': 'neck'}, {'prefix': 'neck.standardize.'}):
        assert torch.equal(standardize_from(path, **settings)(batch()), expected)


def test_a_published_module_has_its_statistics(tmp_path):
    neck = sola('unit_length')
    path = save(neck, tmp_path / 'a.pth')
    published = publish_model(path, tmp_path / 'out', sola_only=True)
    again = SoLa.from_checkpoint(str(published), scale='unit_length')
    assert torch.equal(again(batch()), neck(batch()))


@pytest.mark.parametrize('kind', ['SoLa', 'Standardize'])
def test_an_export_is_the_modules_output(tmp_path, kind):
    path = save(sola('input'), tmp_path / 'a.pth')
    cfg = dict(type=kind, in_channels=CHANNELS)
    if kind == 'SoLa':
        cfg.update(hidden_channels=3, standardize=dict(scale='input'))
    (tmp_path / 'features').mkdir()
    video = batch()[0].T.contiguous()
    np.save(tmp_path / 'features' / 'a.npy', video.numpy())
    neck = build_sola(Config(dict(model=dict(neck=cfg))), path)
    export_features(neck, [FeatureStore(tmp_path / 'features')], tmp_path / 'out')
    wanted = sola('input') if kind == 'SoLa' else filled(Standardize(CHANNELS))
    with torch.no_grad():
        expected = wanted(video.T[None])[0].T
    assert_close(torch.from_numpy(np.load(tmp_path / 'out' / 'a.npy')), expected)


# --- in a training --------------------------------------------------------------------------------


def run(cfg, **options):
    cfg = copy.deepcopy(cfg)
    cfg.model.neck.standardize = dict(scale='input')
    cfg.merge_from_dict({'custom_hooks.1.num_videos': 0, **options})
    runner = build_runner(cfg)
    runner.train()
    return runner


def stored(dataset):
    names = [dataset.get_data_info(i)['video_name'] for i in range(len(dataset))]
    return np.concatenate([dataset.store.read(name) for name in names])


@pytest.mark.parametrize('bank', [dict(), None])
def test_a_training_takes_them_of_whole_videos_before_anything_is_measured(tiny_config, bank):
    """With the averaged copy of EMAHook, which is made before."""
    tiny_config.train_dataloader.dataset.bank = bank
    tiny_config.custom_hooks.append(dict(type='EMAHook', momentum=0.1))
    runner = run(tiny_config, **{'train_cfg.max_epochs': 1})
    everything = stored(runner.train_dataloader.dataset)
    found = runner.model.neck.standardize
    np.testing.assert_allclose(found.mean, everything.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.std, everything.std(0), rtol=1e-5)
    assert int(found.count) == len(everything)
    log = next(Path(tiny_config.work_dir).glob('*/*.log')).read_text()
    (line,) = [line for line in log.splitlines() if 'Statistics of the training features' in line]
    assert f'{len(everything)} snippets of 16 videos, 0 of 8 channels constant' in line
    # a checkpoint of before the first step is that of the averaged copy
    for path in Path(tiny_config.work_dir).glob('*.pth'):
        state = torch.load(path, weights_only=False)['state_dict']
        assert torch.equal(state['neck.standardize.mean'], found.mean), path.name


def test_a_resumed_run_ends_alike_and_takes_nothing_anew(tiny_config, monkeypatch):
    whole = run(tiny_config, **{'train_cfg.max_epochs': 3})
    tiny_config.work_dir += '_resumed'
    run(tiny_config, **{'train_cfg.max_epochs': 2})

    def refit(dataset):
        raise AssertionError('taken anew')

    monkeypatch.setattr(feature_statistics_hook, '_moments', refit)
    resumed = run(tiny_config, **{'train_cfg.max_epochs': 3, 'resume': True})
    assert int(whole.model.neck.standardize.count) > 0
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key


@pytest.mark.parametrize('scale', SCALES)
def test_features_of_the_same_scale_are_measured_beside(tiny_config, scale):
    """Before the first step SoLa's figures are theirs; those of raw features are others."""
    options = {'model.neck.standardize.scale': scale, 'train_cfg.max_epochs': 1}
    run(tiny_config, **options)
    metrics = json.loads(
        next(Path(tiny_config.work_dir).glob('*/vis_data/scalars.json')).read_text().split('\n')[0]
    )
    for name in ('probe/cv_auc', 'tsm/self_similarity'):
        assert (f'{name}_scaled' in metrics) is (scale != 'input')
        assert metrics[name] == metrics.get(f'{name}_scaled', metrics[f'{name}_untouched'])
    beside = metrics['tsm/self_similarity'] < metrics['tsm/self_similarity_untouched']
    assert beside is (scale != 'input')


BMN_WITH = dict(BMN, neck=dict(type='Standardize'))


def test_a_localizer_keeps_the_statistics_that_it_was_trained_with(tmp_path):
    """Its checkpoint needs the one that they came from no more, and must hold them."""
    cfg = copy.deepcopy(BMN_WITH)
    channels = cfg['feat_dim']
    statistics = Standardize(channels)
    statistics.fill(torch.arange(channels), torch.ones(channels), 5)
    init_cfg = dict(type='Pretrained', checkpoint=save(statistics, tmp_path / 'a.pth'))
    cfg['neck']['init_cfg'] = init_cfg
    model = MODELS.build(cfg)
    model.init_weights()
    assert torch.equal(model.neck.mean, torch.arange(channels).float())
    path = str(tmp_path / 'bmn.pth')
    torch.save(model.state_dict(), path)
    Path(init_cfg['checkpoint']).unlink()
    whole = ConfigDict(model=cfg)
    again = load_localizer(whole, path)
    assert torch.equal(again.neck.mean, model.neck.mean)
    torch.save(MODELS.build({**cfg, 'neck': None}).state_dict(), path)
    with pytest.raises(CheckpointError, match='neck.mean'):
        load_localizer(whole, path)


def test_other_channels_and_data_without_store_are_refused(tmp_path):
    with pytest.raises(RunConfigError, match='the 4 channels of the training features'):
        feature_statistics_hook._fill(Standardize(5), moments(features()))
    with pytest.raises(RunConfigError, match='list: its entries name no feature store'):
        feature_statistics_hook._moments([1])


class Videos:
    """What a data set is asked."""

    def __init__(self, videos):
        self.videos = videos

    def __len__(self):
        return len(self.videos)

    def get_data_info(self, i):
        return {'video_name': str(i), 'feature_store': self}

    def read(self, name):
        return self.videos[int(name)]


def take_in_share(rank, path):
    found = feature_statistics_hook._moments(Videos(features((3, 9, 4, 6, 8))))
    torch.save((found.mean.tolist(), found.std.tolist(), found.count), f'{path}/{rank}.pth')
    bad = features((3, 9, 4))
    bad[1][0] = np.nan  # only the second process reads it
    with pytest.raises(FeatureError, match='1: 1 of 9 snippets'):
        feature_statistics_hook._moments(Videos(bad))


def in_a_group(rank, port, path):
    torch.distributed.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    take_in_share(rank, path)
    torch.distributed.destroy_process_group()


def test_two_processes_take_what_one_takes(tmp_path):
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        port = listener.getsockname()[1]
    torch.multiprocessing.start_processes(
        in_a_group, (port, str(tmp_path)), nprocs=2, start_method=CONTEXT.get_start_method()
    )
    one, other = (torch.load(tmp_path / f'{rank}.pth') for rank in (0, 1))
    alone = moments(features((3, 9, 4, 6, 8)))
    assert one == other  # to the last bit
    np.testing.assert_allclose(one[0], alone.mean, rtol=1e-12)
    np.testing.assert_allclose(one[1], alone.std, rtol=1e-9)
    assert one[2] == alone.count
