"""Training data that a one-stage localizer cannot learn from are refused before the first step."""

from __future__ import annotations

import json

import pytest
from test_class_names_hook import TRAINING, build, write_data

STOP = dict(type='StopAtFirstStep')
WHOLE_VIDEOS = [TRAINING[0], *TRAINING[2:]]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp('data'))


def copied(data, tmp_path, segments):
    """The same videos with other segments."""
    content = json.loads((data / 'annotations.json').read_text())
    for video in content['database'].values():
        label = video['annotations'][0]['label']
        video['annotations'] = [{'segment': segment, 'label': label} for segment in segments]
    (tmp_path / 'annotations.json').write_text(json.dumps(content))
    return dict(ann_file=str(tmp_path / 'annotations.json'))


def refuse(data, tmp_path, message, **settings):
    runner = build(data, tmp_path / 'work', custom_hooks=[STOP], **settings)
    with pytest.raises(ValueError, match=message) as raised:
        runner.train()
    assert 'fix:' in str(raised.value)


def test_a_video_longer_than_the_training_may_be_is_named(data, tmp_path):
    message = r'training_0: 40 snippets in training, but model.max_snippets=32'
    refuse(data, tmp_path, message, training=dict(pipeline=WHOLE_VIDEOS))


def test_segments_outside_of_every_range_stop_the_training(data, tmp_path):
    ranges = dict(ranges=[(0, 4), (4, 6), (6, 8)])  # the segment reaches 12.5 snippets
    refuse(data, tmp_path, 'none of 2 segments holds a point', model=dict(head=ranges))


def test_segments_between_two_points_are_counted(data, tmp_path):
    settings = copied(data, tmp_path, [[5.0, 30.0], [10.6, 10.9]])
    build(data, tmp_path / 'work', training=settings).train()
    log = next((tmp_path / 'work').rglob('*.log')).read_text()
    assert '2 of 4 training segments hold no point' in log
