"""A share of the labelled videos, and data sets that are repeated for as many steps."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS
from mmengine.config import Config
from test_class_names_hook import TRAINING, WHOLE, biases, build, loader, write_data

from mmsola.datasets.label_share import share_of_videos
from mmsola.engine.launch import build_runner, leave_out_idle_workers
from mmsola.engine.wrapped_datasets import dataset_configs, datasets_in

VIDEOS = [f'video_{i}' for i in range(12)]


@pytest.fixture
def root(tmp_path):
    """Twelve videos of six classes, two of each."""
    (tmp_path / 'features').mkdir()
    for name in VIDEOS:
        np.save(tmp_path / 'features' / f'{name}.npy', np.zeros((30, 4), np.float32))
    write(tmp_path, VIDEOS)
    return tmp_path


def write(root, names):
    database = {
        name: {
            'duration': 30.0,
            'subset': 'training',
            'annotations': [{'segment': [2.0, 9.0], 'label': f'class {VIDEOS.index(name) % 6}'}],
        }
        for name in names
    }
    (root / 'annotations.json').write_text(json.dumps({'database': database}))


def dataset(root, kind='SnippetFeatureDataset', **settings):
    cfg = loader(root, 'training', WHOLE, **settings)['dataset']
    return DATASETS.build({**cfg, 'type': kind})


def names(videos):
    return list(dict.fromkeys(videos.video_names()))


# --- which videos ---------------------------------------------------------------------------------


def test_a_smaller_share_is_a_part_of_a_larger_one_and_holds_a_video_at_least(root):
    shares = (0.01, 0.1, 0.25, 0.5, 0.75, 1.0)
    kept = [set(names(dataset(root, label_share=share))) for share in shares]
    assert [len(part) for part in kept] == [1, 1, 3, 6, 9, 12]
    assert all(less <= more for less, more in zip(kept, kept[1:]))
    assert set(names(dataset(root, label_share=0.5, share_seed=1))) != kept[3]


def test_the_share_is_the_same_on_every_machine_and_in_every_order_of_the_file(root):
    expected = ['video_0', 'video_2', 'video_7']
    assert names(dataset(root, label_share=0.25)) == expected
    write(root, VIDEOS[::-1])
    assert names(dataset(root, label_share=0.25)) == expected[::-1]  # in the file's order
    assert share_of_videos(VIDEOS, 0.25) == set(expected)


def test_windows_of_a_video_stay_together(root):
    windows = dataset(root, 'SlidingWindowDataset', window=16, label_share=0.5)
    assert len(names(windows)) == 6 and len(windows) > 6
    assert names(windows) == names(dataset(root, label_share=0.5))


def test_the_classes_stay_those_of_the_whole_file_and_those_with_videos_are_counted(
    root, log_lines
):
    part = dataset(root, label_share=0.25)
    assert part.metainfo['classes'] == tuple(f'class {i}' for i in range(6))
    found = {part.get_data_info(i)['annotations'][0]['label'] for i in range(3)}
    (line,) = [line for line in log_lines if 'label_share' in line]
    assert line.endswith(
        f'3 of 12 videos are used (label_share=0.25, share_seed=0); {len(found)} of 6 classes.'
    )
    assert 'left_out' not in part.metainfo


def test_a_share_to_measure_on_is_told_beside_the_figures(root):
    left_out = dataset(root, label_share=0.25, test_mode=True).metainfo['left_out']
    assert left_out == {'videos beyond label_share=0.25': 9}


@pytest.mark.parametrize('share', [0, -0.1, 1.1, float('nan')])
def test_a_share_that_is_none_is_refused(root, share):
    with pytest.raises(ValueError, match='label_share is .*expected a share above 0, up to 1'):
        dataset(root, label_share=share)


# --- a repeated data set --------------------------------------------------------------------------


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp('data'))


def repeated(cfg, times=3):
    return dict(type='RepeatDataset', times=times, dataset=cfg)


def run_of(data, work_dir, **settings):
    """One of the two videos, four times."""
    settings = dict(label_share=0.5, classes=['jump', 'run'], **settings)
    training = loader(data, 'training', **{'pipeline': TRAINING, **settings})
    training['dataset'] = repeated(training['dataset'], times=4)
    return build(data, work_dir, train_dataloader=training)


def test_a_repeated_share_trains_as_many_steps_and_knows_all_classes(data, tmp_path):
    runner = run_of(data, tmp_path)
    runner.train()
    assert runner.iter == 2  # one video four times, two a step
    meta = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)['meta']
    assert meta['dataset_meta']['classes'] == ['jump', 'run']
    kept = datasets_in(runner.train_dataloader.dataset)[0].get_data_info(0)
    silent = 1 - kept['annotations'][0]['class_index']
    assert biases(runner)[silent] == pytest.approx(-13.81551, abs=1e-3)


def test_what_a_repeated_data_set_cannot_teach_is_refused(data, tmp_path):
    runner = run_of(data, tmp_path, pipeline=[TRAINING[0], *TRAINING[2:]])
    with pytest.raises(ValueError, match=r'40 snippets in training, but model.max_snippets=32'):
        runner.train()


def test_a_pretraining_on_a_repeated_bank_counts_videos_once(tiny_config):
    cfg = copy.deepcopy(tiny_config)
    training = cfg.train_dataloader
    training.dataset.bank = dict(device='cpu')
    num_videos = len(DATASETS.build(training.dataset))
    training.dataset = repeated(training.dataset)
    training.update(num_workers=2, persistent_workers=True)
    cfg.custom_hooks = [dict(type='GateWarmupHook'), dict(type='ValidateFirstHook')]
    cfg.train_cfg.max_epochs = 1
    runner = build_runner(cfg)
    runner.train()
    assert runner.train_dataloader.num_workers == 0
    assert runner.iter == -(-3 * num_videos // training.batch_size)
    log = next(Path(cfg.work_dir).rglob('*.log')).read_text()
    assert f'{num_videos} videos: {runner.iter} steps an epoch' in log


def test_workers_stay_where_one_of_the_data_sets_has_no_bank():
    banked, plain = dict(bank=dict()), dict(bank=None)
    for datasets, kept in (([banked, plain], 2), ([banked, banked], 0)):
        inner = dict(type='ConcatDataset', datasets=datasets)
        cfg = Config(dict(train_dataloader=dict(num_workers=2, dataset=repeated(inner))))
        assert len(dataset_configs(cfg.train_dataloader.dataset)) == 2
        leave_out_idle_workers(cfg)
        assert cfg.train_dataloader.num_workers == kept
