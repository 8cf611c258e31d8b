"""Reach and step in seconds become the snippets that they stand for, or an error says why not."""

from __future__ import annotations

import copy
import json
import logging

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from small_pretrainings import without_validation

from mmsola.apis.inference import LocalizationInferencer
from mmsola.apis.localizer_checkpoint import load_localizer
from mmsola.apis.publish import publish_model
from mmsola.commands import export
from mmsola.commands.compare import count_parameters
from mmsola.engine.launch import build_runner
from mmsola.engine.run_config_error import RunConfigError
from mmsola.engine.seconds import settle_seconds
from mmsola.models.checkpoint_file import CheckpointError
from mmsola.models.necks import SoLa

CHANNELS = 4
NECK = dict(type='SoLa', in_channels=CHANNELS, hidden_channels=3)


@pytest.fixture
def root(tmp_path):
    """Three videos of 60, 70 and 80 snippets of 8 frames; a fourth of 20."""
    (tmp_path / 'features').mkdir()
    for name, num_snippets in (('a', 60), ('b', 70), ('c', 80), ('short', 20)):
        np.save(
            tmp_path / 'features' / f'{name}.npy', np.zeros((num_snippets, CHANNELS), np.float32)
        )
    return tmp_path


def data_set(root, rates=(25, 25, 25, 25), **settings):
    """The videos with so many snippets a second; None where nobody knows."""
    videos = {}
    for name, num_snippets, rate in zip(('a', 'b', 'c', 'short'), (60, 70, 80, 20), rates):
        known = {} if rate is None else {'duration_second': num_snippets / rate, 'fps': 8 * rate}
        videos[name] = {'annotations': [{'segment': [0.1, 0.4], 'label': 'run'}], **known}
    (root / 'annotations.json').write_text(json.dumps(videos))
    return dict(
        type='SnippetFeatureDataset',
        ann_file=str(root / 'annotations.json'),
        data_prefix=dict(feature=str(root / 'features')),
        timeline=dict(stride_frames=8),
        **settings,
    )


def pretraining(root, rates=(25, 25, 25, 25), neck=None, window=None, **model):
    load = dict(type='LoadSnippetWindow', **(window or {}))
    return Config(
        dict(
            model=dict(
                type='SoLaPretrainer',
                neck={**NECK, **(neck or {})},
                head=dict(
                    type='SimilarityMatchingHead', in_channels=CHANNELS, predictor_channels=4
                ),
                num_gathered=4,
                **model,
            ),
            train_dataloader=dict(
                dataset=data_set(root, rates, pipeline=[load, dict(type='PackSnippetInputs')])
            ),
        )
    )


def window_of(cfg):
    return cfg.train_dataloader.dataset.pipeline[0].window


@pytest.mark.parametrize(
    ('rate', 'dilation', 'step'),
    [(25, 12, (5, 10, 25)), (8, 4, (2, 3, 8)), (3, 2, (1, 3)), (1, 1, 1)],
)
def test_a_pretraining_in_seconds_is_the_one_in_snippets(root, rate, dilation, step):
    rates = [rate] * 4
    seconds = pretraining(root, rates, neck=dict(reach_sec=1.0), step_sec=(0.2, 0.4, 1.0))
    settle_seconds(seconds)
    largest = step if isinstance(step, int) else max(step)
    snippets = pretraining(
        root, rates, neck=dict(dilations=(dilation, 1)), start=2 * dilation, step=step,
        window=dict(window=2 * 2 * dilation + 3 * largest + 1),
    )  # fmt: skip
    assert seconds.to_dict() == snippets.to_dict()
    x = torch.rand(2, CHANNELS, window_of(seconds))
    found = []
    for cfg in (seconds, snippets):
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
        model.neck.alpha.data.fill_(0.5)
        found.append((model.neck(x), model(x, mode='loss')['loss']))
        assert model.neck.reach == 2 * dilation
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])


def test_windows_are_the_shortest_whose_gathered_positions_see_no_padding(root):
    cfg = pretraining(root, neck=dict(reach_sec=0.4), step_sec=0.2)
    settle_seconds(cfg)
    model = MODELS.build(cfg.model)
    model(torch.rand(2, CHANNELS, window_of(cfg)), mode='loss')
    with pytest.raises(ValueError, match=f'window to at least {window_of(cfg)}'):
        model(torch.rand(2, CHANNELS, window_of(cfg) - 1), mode='loss')


@pytest.mark.parametrize('kernel_sizes', [(3, 1), (3, 3), (7, 5)])
def test_the_reach_is_that_of_both_convolutions(root, kernel_sizes):
    cfg = pretraining(root, neck=dict(reach_sec=1.0, kernel_sizes=kernel_sizes))
    settle_seconds(cfg)
    size1 = kernel_sizes[0]
    assert abs(MODELS.build(cfg.model.neck).reach - 25) <= (size1 - 1) / 4


def test_what_a_config_has_in_snippets_stays(root):
    cfg = pretraining(root, neck=dict(reach_sec=0.2), step=3, start=9, window=dict(window=40))
    settle_seconds(cfg)
    assert (cfg.model.step, cfg.model.start, window_of(cfg)) == (3, 9, 40)
    cfg = pretraining(root, neck=dict(dilations=(3, 1)), step_sec=0.2, window=dict(window_sec=2.0))
    settle_seconds(cfg)
    assert (cfg.model.neck.dilations, cfg.model.step, window_of(cfg)) == ((3, 1), 5, 50)


def test_a_config_without_seconds_stays_as_it_is_and_needs_no_data(root):
    cfg = pretraining(root, neck=dict(dilations=(3, 1)))
    cfg.train_dataloader.dataset.ann_file = 'is/not/there.json'
    before = copy.deepcopy(cfg.to_dict())
    assert settle_seconds(cfg) == [] and cfg.to_dict() == before
    open_ones = pretraining(root, neck=dict(dilations=(3, 1), reach_sec=None), step_sec=None)
    assert settle_seconds(open_ones) == [] and 'step_sec' not in open_ones.model
    assert MODELS.build(open_ones.model.neck).reach == 6


def test_the_line_says_what_the_seconds_became(root):
    ((level, line),) = settle_seconds(
        pretraining(root, neck=dict(reach_sec=1.0), step_sec=(0.1, 0.2))
    )
    assert level == logging.INFO
    for part in (
        '25 snippets a second',
        'reach_sec=1 is dilations=(12, 1) (0.96 s)',
        'step_sec=0.1,0.2 is step=(2, 5) (0.08, 0.2 s)',
        'start=24',
        'window=64',
    ):
        assert part in line


def test_seconds_that_snippets_cannot_follow_are_warned_of(root):
    """At one snippet a second, 0.4 s to either side becomes 2 s, and two steps become one."""
    rates = [1] * 4
    ((level, line),) = settle_seconds(pretraining(root, rates, neck=dict(reach_sec=0.4)))
    assert level == logging.WARNING and '(2 s)' in line and 'nothing nearer' in line
    ((level, _),) = settle_seconds(pretraining(root, rates, step_sec=(0.8, 1.1)))
    assert level == logging.WARNING


def test_the_rate_is_the_median_of_rates_that_differ_little(root):
    cfg = pretraining(root, (25, 25, 27, 27.4), neck=dict(reach_sec=100 / 26))
    settle_seconds(cfg)
    assert cfg.model.neck.dilations == (50, 1)


def test_rates_that_differ_are_refused_with_two_videos(root):
    cfg = pretraining(root, (25, 30, 12.5, 25), neck=dict(reach_sec=1.0))
    with pytest.raises(RunConfigError, match='c has 12.5 snippets a second, b has 30'):
        settle_seconds(cfg)


def test_an_unknown_rate_is_refused_with_how_to_give_it(root):
    cfg = pretraining(root, (25, None, 25, 25), step_sec=1.0)
    with pytest.raises(RunConfigError, match=r'(?s)^b: .*timeline=dict\(stride_frames=..., fps='):
        settle_seconds(cfg)
    cfg.train_dataloader = None
    cfg.model.pop('step_sec')
    cfg.model.neck.reach_sec = 1.0
    with pytest.raises(RunConfigError, match='no training videos'):
        settle_seconds(cfg)


SECONDS = dict(reach_sec=1.0)
REFUSED = [
    (dict(neck=dict(**SECONDS, dilations=(2, 1))), 'reach_sec=1.0 and dilations='),
    (dict(step_sec=1.0, step=2), 'step_sec=1.0 and step=2'),
    (dict(window=dict(window_sec=1.0, window=9)), 'window_sec=1.0 and window=9'),
    (dict(neck=SECONDS, window=dict(window=23)), 'expected: 55 or more'),
    (dict(step_sec=0), 'step_sec is 0'),
    (dict(step_sec=()), 'step_sec is empty'),
    (dict(step_sec=(1.0, '2')), "step_sec is 1.0, '2'"),
    (dict(neck=dict(reach_sec=-1.0)), 'reach_sec is -1.0'),
    (dict(neck=dict(**SECONDS, kernel_sizes=(1, 3))), 'sees one snippet'),
]


@pytest.mark.parametrize(('settings', 'message'), REFUSED, ids=[m for _, m in REFUSED])
def test_settings_that_contradict_each_other_are_refused(root, settings, message):
    with pytest.raises(RunConfigError) as error:
        settle_seconds(pretraining(root, **settings))
    assert message in str(error.value) and 'fix:' in str(error.value)


def test_a_step_without_windows_is_refused(root):
    cfg = pretraining(root, step_sec=1.0)
    del cfg.train_dataloader.dataset.pipeline[0]
    with pytest.raises(RunConfigError, match='draws no windows'):
        settle_seconds(cfg)


# --- under a localizer ----------------------------------------------------------------------------


def localizer(root, neck, **settings):
    data = data_set(root, **settings)
    return Config(
        dict(model=dict(type='BMN', neck=neck), train_dataloader=dict(dataset=data),
             val_dataloader=dict(dataset=data), test_dataloader=None)
    )  # fmt: skip


def test_necks_inside_of_necks_and_moving_averages_have_a_reach_as_well(root):
    inside = dict(type='Identity', neck=dict(**NECK, reach_sec=1.0))
    cfg = localizer(root, inside)
    settle_seconds(cfg)
    assert cfg.model.neck.neck == dict(**NECK, dilations=(12, 1))
    smooth = dict(type='TemporalSmoothing', reach_sec=1.0)
    sequence = dict(type='NeckSequence', necks=[smooth, dict(**NECK, reach_sec=1.0)])
    cfg = localizer(root, dict(type='PlainBeside', plain=smooth, neck=sequence))
    settle_seconds(cfg)
    assert cfg.model.neck.plain.kernel_size == 51
    assert cfg.model.neck.neck.necks[0].kernel_size == 51
    assert cfg.model.neck.neck.necks[1] == dict(**NECK, dilations=(12, 1))
    cfg = localizer(root, dict(type='TemporalSmoothing', reach_sec=1.0))
    settle_seconds(cfg)
    assert MODELS.build(cfg.model.neck).kernel_size == 51
    with pytest.raises(RunConfigError, match='Identity takes no reach_sec'):
        settle_seconds(localizer(root, dict(type='Identity', reach_sec=1.0)))


def test_sliding_windows_are_read_with_what_the_neck_sees(root):
    cfg = localizer(root, dict(**NECK, reach_sec=0.4))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.update(type='SlidingWindowDataset', window=16)
    cfg.val_dataloader.dataset.margin = 3
    settle_seconds(cfg)
    assert cfg.train_dataloader.dataset.margin == 10
    assert cfg.val_dataloader.dataset.margin == 3, 'what is set stays'


def test_data_sets_of_several_parts_have_one_rate(root):
    cfg = localizer(root, dict(**NECK, reach_sec=1.0))
    part = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=[part, part])
    )
    settle_seconds(cfg)
    assert cfg.model.neck.dilations == (12, 1)


# --- a whole run ----------------------------------------------------------------------------------


def run(cfg, folder, max_epochs=2, **options):
    cfg = without_validation(copy.deepcopy(cfg))
    cfg.merge_from_dict({'train_cfg.max_epochs': max_epochs, **options})
    cfg.work_dir = str(folder)
    cfg.launcher, cfg.custom_hooks, cfg.randomness = 'none', [], dict(seed=0)
    runner = build_runner(cfg)
    runner.train()
    return runner


def test_a_run_in_seconds_learns_resumes_saves_and_is_loaded_as_one_in_snippets(
    tiny_config, tmp_path
):
    seconds, snippets = copy.deepcopy(tiny_config), copy.deepcopy(tiny_config)
    seconds.merge_from_dict({'model.neck.reach_sec': 2.0, 'model.step_sec': (0.5, 1.0)})
    snippets.merge_from_dict({
        'model.neck.dilations': (2, 1), 'model.step': (1, 2), 'model.start': 4,
        'train_dataloader.dataset.pipeline.0.window': 4 + 14 + 4 + 1,
    })  # fmt: skip
    whole = run(seconds, tmp_path / 'seconds')
    weights = whole.model.state_dict()
    for key, value in run(snippets, tmp_path / 'snippets').model.state_dict().items():
        assert torch.equal(weights[key], value), key
    run(seconds, tmp_path / 'resumed', max_epochs=1)
    resumed = run(seconds, tmp_path / 'resumed', resume=True)
    assert all(torch.equal(weights[k], v) for k, v in resumed.model.state_dict().items())

    # saved as plain numbers
    (saved,) = (tmp_path / 'seconds').glob('*.py')
    assert '_sec=(' not in saved.read_text() and 'reach_sec' not in saved.read_text()
    assert Config.fromfile(saved).model.neck.dilations == (2, 1)
    (log,) = (tmp_path / 'seconds').glob('*/*.log')
    assert 'snippets a second: reach_sec=2 is dilations=(2, 1)' in log.read_text()

    # and loaded with the same reach alone
    checkpoint = tmp_path / 'seconds' / 'epoch_2.pth'
    published = publish_model(checkpoint, tmp_path / 'out', sola_only=True)
    for file in (checkpoint, published):
        assert SoLa.from_checkpoint(str(file)).reach == 4
        neck = dict(tiny_config.model.neck, init_cfg=dict(type='Pretrained', checkpoint=str(file)))
        MODELS.build(dict(neck, dilations=(2, 1))).init_weights()
        with pytest.raises(CheckpointError, match=r'dilations \(2, 1\)(?s:.*)has \(1, 1\)'):
            MODELS.build(neck).init_weights()
    with pytest.raises(CheckpointError, match=r'trained with dilations \(2, 1\)'):
        run(tiny_config, tmp_path / 'other', load_from=str(checkpoint))


def test_videos_shorter_than_the_window_are_counted(root):
    cfg = pretraining(root, neck=dict(reach_sec=0.4), step_sec=0.3)
    settle_seconds(cfg)
    data = DATASETS.build(cfg.train_dataloader.dataset)
    assert window_of(cfg) > 20 and len(data) == 3
    assert data.metainfo['left_out'] == {'videos that are too short': 1}


def test_commands_that_build_a_model_themselves_take_seconds(root, monkeypatch):
    cfg = localizer(root, dict(**NECK, reach_sec=1.0))
    cfg.model = dict(
        type='TEM', temporal_dim=10, boundary_ratio=0.1, tem_feat_dim=CHANNELS, tem_hidden_dim=4,
        tem_match_threshold=0.5, neck=cfg.model.neck,
    )  # fmt: skip
    assert count_parameters(cfg)[0] > 0 and cfg.model.neck.reach_sec == 1.0

    weights = MODELS.build({**cfg.model, 'neck': NECK}).state_dict()
    file = root / 'tem.pth'
    torch.save({'state_dict': weights, 'meta': {'sola_dilations': {'neck.': [12, 1]}}}, file)
    inferencer = LocalizationInferencer(cfg, str(file), device='cpu', show_progress=False)
    assert inferencer.model.neck.reach == 24

    config, sola = root / 'config.py', root / 'out'
    cfg.dump(config)
    monkeypatch.setattr('sys.argv', ['export', str(config), str(file), str(sola)])
    export.main()
    settled = json.loads((sola / 'sola_export.json').read_text())
    assert settled['neck']['dilations'] == [12, 1]


# --- dilations in a checkpoint --------------------------------------------------------------------


def write(path, neck, **meta):
    state = {f'neck.{key}': value for key, value in neck.state_dict().items()}
    torch.save({'state_dict': state, 'meta': meta}, path)
    return str(path)


def test_a_checkpoint_that_declares_no_dilations_is_loaded_as_before(tmp_path):
    neck = MODELS.build({**NECK, 'dilations': (3, 1)})
    file = write(tmp_path / 'old.pth', neck)
    assert SoLa.from_checkpoint(file).reach == 2
    assert SoLa.from_checkpoint(file, dilations=(3, 1)).reach == 6
    MODELS.build({**NECK, 'init_cfg': dict(type='Pretrained', checkpoint=file)}).init_weights()


def test_the_dilation_of_a_kernel_of_one_snippet_is_not_compared(tmp_path):
    file = write(tmp_path / 'a.pth', MODELS.build(NECK), sola_dilations={'neck.': [1, 1]})
    init_cfg = dict(type='Pretrained', checkpoint=file)
    MODELS.build({**NECK, 'dilations': (1, 5), 'init_cfg': init_cfg}).init_weights()


@pytest.mark.parametrize(
    'declared', ['(1, 1)', {'neck.': [0, 1]}, {'neck.': [1]}, {'neck.': 'ab'}, {1: [1, 1]}], ids=str
)
def test_damaged_dilations_are_refused(tmp_path, declared):
    file = write(tmp_path / 'a.pth', MODELS.build(NECK), sola_dilations=declared)
    with pytest.raises(CheckpointError, match='two whole numbers of 1 or more'):
        SoLa.from_checkpoint(file)


def test_a_localizer_is_not_inferred_with_another_reach(tmp_path):
    cfg = Config(
        dict(model=dict(
            type='TEM', temporal_dim=10, boundary_ratio=0.1, tem_feat_dim=CHANNELS,
            tem_hidden_dim=4, tem_match_threshold=0.5, neck=dict(NECK, dilations=(2, 1)),
        ))
    )  # fmt: skip
    state = MODELS.build(cfg.model).state_dict()
    file = tmp_path / 'tem.pth'
    torch.save({'state_dict': state, 'meta': {'sola_dilations': {'neck.': [2, 1]}}}, file)
    assert load_localizer(cfg, str(file)).neck.reach == 4
    cfg.model.neck.dilations = (3, 1)
    with pytest.raises(CheckpointError, match=r'trained with dilations \(2, 1\)'):
        load_localizer(cfg, str(file))
