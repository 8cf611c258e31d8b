"""The data set: what is on disk becomes what pipelines take, and what is wrong is told at once."""

from __future__ import annotations

import json
import re

import h5py
import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, METRICS, TRANSFORMS
from mmengine.evaluator import Evaluator

from mmsola.datasets.annotations import AnnotationError
from mmsola.datasets.features.feature_store import FeatureError
from mmsola.datasets.snippet_times import TimelineError

CHANNELS = 4
LENGTHS = {'a': 30, 'b': 40, 'c': 10}
WINDOW = [
    dict(type='LoadSnippetWindow', window=23),
    dict(type='PackSnippetInputs', meta_keys=('video_name', 'start_snippet')),
]
WHOLE = [
    dict(type='LoadSnippetSequence'),
    dict(
        type='PackSnippetInputs',
        meta_keys=('video_name', 'role', 'group', 'snippet_centres_sec', 'annotations'),
    ),
]


@pytest.fixture
def features():
    """Every value tells its video, snippet and channel."""
    return {
        name: (1000 * video + np.arange(length)[:, None] + np.arange(CHANNELS)[None] / 10).astype(
            np.float32
        )
        for video, (name, length) in enumerate(LENGTHS.items())
    }


@pytest.fixture
def root(tmp_path, features):
    """Npy features of a, b and c; annotations of a and b (1 snippet a second), c has none."""
    (tmp_path / 'features').mkdir()
    for name, feature in features.items():
        np.save(tmp_path / 'features' / f'{name}.npy', feature)
    write_annotations(tmp_path, a=30.0, b=40.0)
    return tmp_path


def write_annotations(root, **duration_sec):
    database = {
        name: {
            'duration': duration,
            'subset': 'training',
            'subject': f'subject of {name}',
            'annotations': [{'segment': [2.0, duration / 2], 'label': 'jump'}],
        }
        for name, duration in duration_sec.items()
    }
    (root / 'annotations.json').write_text(json.dumps({'database': database}))


def build(root, **settings):
    return DATASETS.build(
        {
            'type': 'SnippetFeatureDataset',
            'data_root': str(root),
            'ann_file': 'annotations.json',
            'data_prefix': {'feature': 'features'},
            'pipeline': WHOLE,
            **settings,
        }
    )


def names(dataset):
    return [dataset.get_data_info(i)['video_name'] for i in range(len(dataset))]


# Items --------------------------------------------------------------------------------------------


def test_a_window_is_that_stretch_of_its_video_channels_first(root, features):
    dataset = build(root, pipeline=WINDOW, min_snippets=24)
    for item in [dataset[i] for i in (0, 1, 0, 1, 1)]:
        sample = item['data_samples']
        start = sample.start_snippet
        expected = features[sample.video_name][start : start + 23].T
        assert isinstance(item['inputs'], torch.Tensor) and item['inputs'].dtype == torch.float32
        assert item['inputs'].shape == (CHANNELS, 23) and item['inputs'].is_contiguous()
        np.testing.assert_array_equal(item['inputs'].numpy(), expected)


def test_a_whole_item_has_all_snippets_and_what_the_probe_asks_for(root, features):
    item = build(root, role='score', group_field='subject')[1]
    np.testing.assert_array_equal(item['inputs'].numpy(), features['b'].T)
    sample = item['data_samples']
    assert (sample.video_name, sample.role, sample.group) == ('b', 'score', 'subject of b')
    assert sample.annotations == [{'segment': [2.0, 20.0], 'label': 'jump'}]
    # resized features: 40 snippets share 40 seconds
    np.testing.assert_allclose(sample.snippet_centres_sec, np.arange(40) + 0.5)


def test_reading_an_item_does_not_change_the_next_reading(root):
    dataset = build(root)
    first = dataset[0]['inputs'].clone()
    dataset[0]['inputs'].zero_()
    assert torch.equal(dataset[0]['inputs'], first)


def test_features_in_one_hdf5_file_give_the_same_items(root, features):
    with h5py.File(root / 'features.h5', 'w') as file:
        for name, feature in features.items():
            file[name] = feature
    from_file = build(root, data_prefix={'feature': 'features.h5'}, role='fit')
    from_folder = build(root, role='fit')
    assert len(from_file) == len(from_folder) == 2
    for one, other in zip(from_file, from_folder):
        assert torch.equal(one['inputs'], other['inputs'])
        assert one['data_samples'].annotations == other['data_samples'].annotations


def test_an_item_is_the_same_with_and_without_serialised_records(root):
    one, other = build(root, serialize_data=True), build(root, serialize_data=False)
    assert names(one) == names(other) == ['a', 'b']
    assert torch.equal(one[1]['inputs'], other[1]['inputs'])


# Which videos -------------------------------------------------------------------------------------


def test_without_annotation_file_every_video_of_the_store_is_taken_unlabelled(root):
    dataset = build(root, ann_file='')
    assert names(dataset) == ['a', 'b', 'c']
    assert 'annotations' not in dataset.get_data_info(0)
    assert dataset[0]['inputs'].shape == (CHANNELS, 30)


def test_without_annotation_file_subset_and_group_field_are_refused(root):
    for settings in ({'subset': 'training'}, {'group_field': 'subject'}):
        with pytest.raises(AnnotationError, match='set ann_file'):
            build(root, ann_file='', **settings)


def test_unannotated_videos_are_added_once_and_have_no_labels(root, log_lines):
    dataset = build(root, unannotated=True)
    assert names(dataset) == ['a', 'b', 'c']
    has_labels = ['annotations' in dataset.get_data_info(i) for i in range(3)]
    assert has_labels == [True, True, False]
    assert (
        sum('1 videos of the feature store without annotation' in line for line in log_lines) == 1
    )


def test_unannotated_does_not_bring_back_videos_of_another_subset(root):
    content = json.loads((root / 'annotations.json').read_text())
    content['database']['b']['subset'] = 'validation'
    (root / 'annotations.json').write_text(json.dumps(content))
    assert names(build(root, subset='training', unannotated=True)) == ['a', 'c']


def test_a_missing_video_stops_with_its_name_the_counts_and_the_file_expected(root):
    write_annotations(root, a=30.0, b=40.0, ghost=5.0)
    with pytest.raises(FeatureError) as error:
        build(root)
    message = str(error.value)
    assert '1 of 3 videos have no features: ghost' in message
    assert str(root / 'features' / 'ghost.npy') in message
    assert "on_missing='skip'" in message


def test_missing_videos_are_skipped_on_request_and_counted_once(root, log_lines):
    ghosts = {f'ghost{i}': 5.0 for i in range(7)}
    write_annotations(root, a=30.0, **ghosts)
    assert names(build(root, on_missing='skip')) == ['a']
    said = [line for line in log_lines if 'have no features' in line]
    assert len(said) == 1 and '7 of 8 videos' in said[0]
    # five are named, the others counted
    assert 'ghost4' in said[0] and 'ghost5' not in said[0] and '... and 2 more' in said[0]


def test_skipping_every_video_is_an_error_all_the_same(root):
    write_annotations(root, ghost=5.0)
    with pytest.raises(FeatureError, match='1 of 1 videos have no features'):
        build(root, on_missing='skip')


def test_short_videos_are_left_out_and_counted_once(root, log_lines):
    dataset = build(root, ann_file='', min_snippets=24, pipeline=WINDOW)
    assert names(dataset) == ['a', 'b']
    assert [len(item['inputs']) for item in dataset] == [CHANNELS] * 2
    said = [line for line in log_lines if 'fewer than 24 snippets' in line]
    assert len(said) == 1 and '1 of 3 videos' in said[0]


def test_a_video_of_exactly_min_snippets_stays(root):
    assert names(build(root, ann_file='', min_snippets=30)) == ['a', 'b']
    assert names(build(root, ann_file='', min_snippets=31)) == ['b']


def test_only_short_videos_are_an_error_that_names_the_longest(root):
    with pytest.raises(FeatureError, match=r'every one of 2 videos.*100 snippets.*longest has 40'):
        build(root, min_snippets=100)


def test_videos_of_no_more_than_a_window_are_left_out_without_being_told(root):
    for window, count in ((29, 2), (30, 1)):
        pipeline = [dict(type='LoadSnippetWindow', window=window), WINDOW[1]]
        assert len(build(root, pipeline=pipeline)) == count
    with pytest.raises(FeatureError, match='every one of 2 videos is shorter than 41 snippets'):
        build(root, pipeline=[dict(type='LoadSnippetWindow', window=40), WINDOW[1]])


def test_a_window_longer_than_the_videos_let_in_is_refused_when_the_data_set_is_built(root):
    pipeline = [dict(type='LoadSnippetWindow', window=31), WINDOW[1]]
    with pytest.raises(ValueError, match=r'windows of 31 snippets, but min_snippets=30'):
        build(root, pipeline=pipeline, min_snippets=30)


# What is wrong is told when the data set is built -------------------------------------------------


def test_nan_is_found_at_build_time_unless_only_headers_are_checked(root, features):
    features['b'][7, 2] = np.nan
    np.save(root / 'features' / 'b.npy', features['b'])
    with pytest.raises(FeatureError, match=r'b\.npy: 1 of 160 values.*snippet 7, channel 2'):
        build(root)
    assert len(build(root, check='header')) == 2


def test_values_of_videos_that_are_not_taken_are_not_looked_at(root, features):
    features['c'][:] = np.inf
    np.save(root / 'features' / 'c.npy', features['c'])
    assert names(build(root)) == ['a', 'b']


def test_other_channels_than_announced_are_found_at_build_time(root):
    with pytest.raises(FeatureError, match='2 of 2 videos'):
        build(root, feature={'num_channels': CHANNELS + 1}, check='header')


def test_what_is_left_out_is_said_beside_the_figures(root, log_lines):
    """The ground truth of data samples lacks it; MMEngine hands metainfo to the evaluator."""
    database = json.loads((root / 'annotations.json').read_text())['database']
    database['gone'] = database['b']
    segments = [{'segment': segment} for segment in ([2.0, 99.0], [5.0, 5.0])]
    database['a']['annotations'] += segments
    database['c'] = {**database['b'], 'duration': 10.0, 'annotations': segments[:1]}
    (root / 'annotations.json').write_text(json.dumps({'database': database}))
    dataset = build(root, on_missing='skip', on_bad_segment='drop', min_snippets=11)
    assert dataset.metainfo['left_out'] == {
        'ends of segments after their video': 2,
        'bad segments': 1,
        'videos without features': 1,
        'videos that are too short': 1,
    }
    metric = METRICS.build(dict(type='LocalizationMetric'))
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = dataset.metainfo
    proposals = [{'segment': [2.0, 15.0], 'score': 1.0}]
    for i in range(len(dataset)):
        sample = dataset[i]['data_samples']
        found = {'video_name': sample.video_name, 'proposal_list': proposals}
        metric.process({'data_samples': [sample]}, [found])
    metric.evaluate(len(dataset))
    assert any(
        '1 videos without features' in line and 'do not count as missed' in line
        for line in log_lines
    )
    metric = METRICS.build(dict(type='LocalizationMetric', ann_file=str(root / 'annotations.json')))
    metric.dataset_meta = dataset.metainfo
    metric.process({'data_samples': []}, [{'video_name': 'a', 'proposal_list': proposals}])
    metric.evaluate(1)
    assert any('3 of 4 videos have no proposal; their segments count' in x for x in log_lines)


@pytest.mark.parametrize('key', ['on_missing', 'on_bad_segment', 'check', 'role'])
def test_a_misspelt_choice_lists_what_there_is(root, key):
    with pytest.raises(ValueError, match=f"{key} is 'scor'; expected .*'"):
        build(root, **{key: 'scor'})


def test_a_misspelt_subset_lists_those_of_the_file(root):
    with pytest.raises(AnnotationError, match=r"no subset 'trainig'(?s:.*)'training' \(2 videos\)"):
        build(root, subset='trainig')


def test_a_misspelt_data_prefix_says_which_key_is_read(root):
    with pytest.raises(ValueError, match=r'data_prefix=dict\(feature=\.\.\.\)'):
        build(root, data_prefix={'video': 'features'})


def test_a_video_without_time_is_found_at_build_time_where_a_role_needs_it(root):
    database = json.loads((root / 'annotations.json').read_text())
    del database['database']['b']['duration']
    (root / 'annotations.json').write_text(json.dumps(database))
    assert len(build(root)) == 2
    with pytest.raises(TimelineError, match='b: .*no duration'):
        build(root, role='score')
    with pytest.raises(TimelineError, match='needs frames per second'):
        build(root, role='score', timeline={'stride_frames': 8})
    timeline = {'stride_frames': 8, 'fps': 25}
    assert len(build(root, role='score', timeline=timeline, on_bad_timeline='warn')) == 2


# MMAction2's side ---------------------------------------------------------------------------------


@pytest.fixture
def flat(root):
    """MMAction2's own annotation layout: 900 frames in 30 s, of which features cover 880."""
    content = {
        'a': {
            'duration_second': 30.0,
            'duration_frame': 900,
            'feature_frame': 880,
            'fps': 30.0,
            'annotations': [{'segment': [3.0, 12.0], 'label': 'jump'}],
        }
    }
    (root / 'flat.json').write_text(json.dumps(content))
    return build(root, ann_file='flat.json', pipeline=[])


def test_entries_have_the_keys_of_mmaction2(flat):
    info = flat.get_data_info(0)
    assert info['video_name'] == 'a'
    assert (info['duration_second'], info['duration_frame'], info['feature_frame']) == (
        30,
        900,
        880,
    )
    assert info['annotations'] == [{'segment': [3.0, 12.0], 'label': 'jump'}]
    assert info['feature_path'].endswith('a.npy')


def test_localization_labels_of_mmaction2_relate_segments_to_what_the_features_cover(flat):
    label = TRANSFORMS.build(dict(type='GenerateLocalizationLabels'))
    covered_sec = 30.0 * 880 / 900
    np.testing.assert_allclose(
        label(flat.get_data_info(0))['gt_bbox'], [[3.0 / covered_sec, 12.0 / covered_sec]]
    )


def test_localization_labels_of_mmaction2_need_nothing_but_a_duration(root):
    label = TRANSFORMS.build(dict(type='GenerateLocalizationLabels'))
    info = build(root, pipeline=[]).get_data_info(0)
    np.testing.assert_allclose(label(info)['gt_bbox'], [[2 / 30, 0.5]], rtol=0.02)


def test_data_sets_can_be_concatenated_by_config(root):
    whole = dict(
        type='SnippetFeatureDataset',
        data_root=str(root),
        data_prefix=dict(feature='features'),
        pipeline=WHOLE,
    )
    both = DATASETS.build(
        dict(
            type='ConcatDataset',
            datasets=[dict(whole, ann_file='annotations.json', role='fit'), dict(whole)],
        )
    )
    assert len(both) == 5
    roles = [both[i]['data_samples'].get('role') for i in range(5)]
    assert roles == ['fit', 'fit', None, None, None]
    shapes = [tuple(both[i]['inputs'].shape) for i in range(5)]
    assert shapes == [(CHANNELS, t) for t in (30, 40, 30, 40, 10)]


def test_the_first_so_many_videos_can_be_taken_even_if_there_are_fewer(root):
    assert len(build(root, indices=1)) == 1
    assert len(build(root, indices=4000)) == 2


def test_messages_name_the_annotation_file(root):
    (root / 'annotations.json').write_text('{"database": {}}')
    with pytest.raises(AnnotationError, match=re.escape(str(root / 'annotations.json'))):
        build(root)
