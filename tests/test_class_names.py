"""Which classes a data set has: their order is what a localizer's numbers mean."""

from __future__ import annotations

import json

import numpy as np
import pytest
from generated_data import feature_dataset
from mmaction.registry import DATASETS

from mmsola.datasets.annotations import AnnotationError
from mmsola.datasets.class_names import nearest_names, read_class_names

GRID = [
    dict(type='LoadSnippetSequence'),
    dict(type='GenerateGridSegments'),
    dict(type='PackSnippetInputs', keys=('gt_segments', 'gt_labels'), meta_keys=('annotations',)),
]
VIDEOS = {
    'u': ('training', ['Run', 'Jump']),
    'v': ('training', ['Ambiguous', 'Jump', 'Dive']),
    'w': ('training', []),
    'x': ('validation', ['Jump']),
    'y': ('testing', None),
}
NAMES = ['Run', 'Jump', 'Dive', 'Ambiguous', 'Swim']


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'features').mkdir()
    database = {}
    for name, (subset, labels) in VIDEOS.items():
        np.save(tmp_path / 'features' / f'{name}.npy', np.zeros((30, 2), np.float32))
        database[name] = {'duration': 30.0, 'subset': subset}
        if labels is not None:
            database[name]['annotations'] = [
                {'segment': [i + 1.0, i + 4.0], 'label': label} for i, label in enumerate(labels)
            ]
    (tmp_path / 'annotations.json').write_text(json.dumps({'database': database}))
    return tmp_path


def build(root, **settings):
    return feature_dataset(root, **{'pipeline': GRID, 'subset': 'training', **settings})


def indices(dataset):
    """Label and class index of every segment, in the order of the videos."""
    return [
        (annotation['label'], annotation['class_index'])
        for i in range(len(dataset))
        for annotation in dataset.get_data_info(i)['annotations']
    ]


# Order -------------------------------------------------------------------------------------------


def test_without_a_list_the_classes_are_the_sorted_labels_of_the_subset(root):
    dataset = build(root)
    assert dataset.metainfo['classes'] == ('Ambiguous', 'Dive', 'Jump', 'Run')
    assert dataset.metainfo['classes_given'] is False
    assert indices(dataset) == [('Run', 3), ('Jump', 2), ('Ambiguous', 0), ('Jump', 2), ('Dive', 1)]
    validation = build(root, subset='validation', test_mode=True)
    assert validation.metainfo['classes'] == ('Jump',)


def test_classes_do_not_depend_on_which_features_are_there(root):
    (root / 'features' / 'v.npy').unlink()
    dataset = build(root, on_missing='skip')
    assert dataset.metainfo['classes'] == ('Ambiguous', 'Dive', 'Jump', 'Run')


@pytest.mark.parametrize(
    'settings', [dict(classes=NAMES), dict(metainfo=dict(classes=tuple(NAMES), of=3))]
)
def test_a_given_list_is_the_order(root, settings):
    dataset = build(root, **settings)
    assert dataset.metainfo['classes'] == tuple(NAMES)
    assert dataset.metainfo['classes_given'] is True
    assert dataset.metainfo.get('of') == settings.get('metainfo', {}).get('of')
    assert indices(dataset)[:3] == [('Run', 0), ('Jump', 1), ('Ambiguous', 3)]
    assert dataset[0]['data_samples'].gt_instances.gt_labels.tolist() == [0, 1]


def test_classes_and_metainfo_may_say_the_same_but_not_another_thing(root):
    same = build(root, classes=NAMES, metainfo=dict(classes=tuple(NAMES)))
    assert same.metainfo['classes'] == tuple(NAMES)
    with pytest.raises(ValueError, match='but metainfo has classes='):
        build(root, classes=NAMES, metainfo=dict(classes=NAMES[::-1]))


@pytest.mark.parametrize(
    'text',
    [
        'Run\nJump\n\nDive\n  Ambiguous  \nSwim',
        '\ufeffRun\r\nJump\r\nDive\r\nAmbiguous\r\nSwim\r\n',
        '7 Run\n9 Jump\n12\tDive\n21 Ambiguous\n22 Swim\n',
    ],
    ids=['names', 'windows', 'numbers'],
)
@pytest.mark.parametrize('key', ['classes', 'metainfo'])
def test_a_file_is_read_line_by_line(root, text, key):
    (root / 'classes.txt').write_text(text, encoding='utf-8', newline='')
    given = str(root / 'classes.txt')
    settings = {'metainfo': dict(classes=given)} if key == 'metainfo' else {'classes': given}
    assert build(root, **settings).metainfo['classes'] == tuple(NAMES)


def test_a_relative_path_begins_at_data_root(root):
    (root / 'classes.txt').write_text('\n'.join(NAMES))
    dataset = build(root, data_root=str(root), classes='classes.txt')
    assert dataset.metainfo['classes'] == tuple(NAMES)


def test_names_that_begin_with_a_number_are_names_unless_every_line_has_one(tmp_path):
    file = tmp_path / 'classes.txt'
    file.write_text('100 m race\nHammer Throw\n')
    assert read_class_names(file) == ['100 m race', 'Hammer Throw']
    file.write_text('0\n1\n2\n')
    assert read_class_names(file) == ['0', '1', '2']
    file.write_text('0 Shave a beard\n1 日本語\n')
    assert read_class_names(file) == ['Shave a beard', '日本語']


def test_windows_of_a_sliding_data_set_have_classes(root):
    dataset = build(root, type='SlidingWindowDataset', window=10, classes=NAMES)
    assert dataset.metainfo['classes'] == tuple(NAMES)
    assert {('Run', 0), ('Dive', 2)} <= set(indices(dataset))


# What cannot be -----------------------------------------------------------------------------------


def test_a_label_that_is_not_listed_is_told_with_its_video_and_the_nearest_names(root):
    with pytest.raises(AnnotationError) as raised:
        build(root, classes=['run', 'Jumping', 'Dive', 'Ambiguous'])
    message = str(raised.value)
    assert message.startswith(f"{root / 'annotations.json'}: video 'u': the label 'Run'")
    assert 'and 1 more labels' in message and "such as 'run'" in message
    assert "ignored_classes=['Run']" in message


def test_a_label_of_a_test_set_must_be_listed_too(root):
    with pytest.raises(AnnotationError, match="video 'x': the label 'Jump'"):
        build(root, subset='validation', test_mode=True, classes=['Run'])


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, 'does not exist'),
        ('', 'holds no class name'),
        ('\n \n', 'holds no class name'),
        ('Run\nJump\nRun\n', "the name 'Run' occurs at the positions 0, 2"),
        ('1 Run\n1 Jump\n', "1 'Jump' follows 1 'Run'"),
        (b'Caf\xe9\n', 'cannot be read as text in UTF-8'),
    ],
)
def test_a_file_that_cannot_be_used_is_named(root, text, message):
    file = root / 'classes.txt'
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(AnnotationError, match=message) as raised:
        build(root, classes=str(file))
    assert str(file) in str(raised.value) and 'fix:' in str(raised.value)


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        ([], 'holds no class name'),
        (['Run', 'Jump', 'Run'], "'Run' occurs at the positions 0, 2"),
        (['Run', ''], 'an empty name'),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(root, classes, message):
    with pytest.raises(AnnotationError, match=message):
        build(root, classes=classes)


def test_ignored_classes_are_a_list(root):
    with pytest.raises(ValueError, match=r"expected a list: \['Ambiguous'\]"):
        build(root, ignored_classes='Ambiguous')


def test_the_nearest_names_are_found_whatever_their_case():
    assert nearest_names('HIGH JUMP', ['HighJump', 'Shotput', 'LongJump']) == "'HighJump'"
    assert nearest_names('zzz', ['a', 'b', 'c', 'd']) == "'a', 'b', 'c', ... and 1 more"


# Ignored and agnostic -----------------------------------------------------------------------------


def test_ignored_classes_are_no_classes_and_their_segments_are_counted(root, log_lines):
    dataset = build(root, ignored_classes=['Ambiguous', 'Dive'])
    assert dataset.metainfo['classes'] == ('Jump', 'Run')
    assert indices(dataset) == [('Run', 1), ('Jump', 0), ('Jump', 0)]
    assert dataset.metainfo['left_out'] == {'segments of ignored classes': 2}
    said = [line for line in log_lines if 'are left out' in line]
    assert len(said) == 1 and "2 segments of 'Ambiguous', 'Dive' are left out" in said[0]


def test_a_listed_class_that_is_ignored_is_no_class(root):
    dataset = build(root, classes=NAMES, ignored_classes=['Ambiguous'])
    assert dataset.metainfo['classes'] == ('Run', 'Jump', 'Dive', 'Swim')


def test_a_video_of_ignored_segments_only_stays_as_background(root):
    dataset = build(root, ignored_classes=['Run', 'Jump'])
    assert dataset[0]['data_samples'].gt_instances.gt_segments.shape == (0, 2)


def test_class_agnostic_segments_are_of_one_class_and_keep_their_labels(root):
    dataset = build(root, class_agnostic=True)
    assert dataset.metainfo['classes'] == ('action',)
    assert dataset.metainfo['classes_given'] is False
    assert indices(dataset)[:2] == [('Run', 0), ('Jump', 0)]
    assert dataset[1]['data_samples'].gt_instances.gt_labels.tolist() == [0, 0, 0]


def test_one_class_for_all_has_no_list(root):
    with pytest.raises(ValueError, match='class_agnostic=True has the one class'):
        build(root, class_agnostic=True, classes=NAMES)


# Who does not ask ---------------------------------------------------------------------------------


def test_a_data_set_that_never_asks_for_classes_is_as_before(root):
    """MMEngine's ConcatDataset demands equal metainfo: labels of two sources may differ."""
    plain = [dict(type='LoadSnippetSequence'), dict(type='PackSnippetInputs')]
    sets = [build(root, pipeline=plain, subset=s) for s in ('training', 'validation')]
    assert sets[0].metainfo == {'dataset_type': 'snippet features'}
    assert sets[0].get_data_info(0)['annotations'][0] == {'segment': [1.0, 4.0], 'label': 'Run'}
    assert len(DATASETS.build(dict(type='ConcatDataset', datasets=sets))) == 4


def test_nobody_annotated_and_none_given_is_no_class(root):
    dataset = build(root, subset='testing', test_mode=True)
    assert 'classes' not in dataset.metainfo
    given = build(root, subset='testing', test_mode=True, classes=NAMES)
    assert given.metainfo['classes'] == tuple(NAMES)


def test_videos_that_nobody_annotated_are_left_out_of_a_training(root, log_lines):
    dataset = build(root, subset=['training', 'testing'])
    assert len(dataset) == 3
    assert any('1 of 4 videos are not annotated' in line for line in log_lines)
