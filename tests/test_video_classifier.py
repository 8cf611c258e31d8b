"""The classifier of whole videos: what it reads off them, and the file that it writes."""

from __future__ import annotations

import dataclasses
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from mmsola.evaluation.class_scores import ClassScores
from mmsola.evaluation.video_classifier import (
    LabelledVideo,
    VideoClassifier,
    classification_figures,
    video_feature,
    write_class_scores,
)

ROOT = Path(__file__).parents[1]
DIRECTIONS = {'jump': np.eye(8)[0], 'wave': np.eye(8)[1]}


def snippets(labels, seed, num_snippets=20):
    """Background, and in some snippets the direction of each class that happens."""
    random = np.random.default_rng(seed)
    feature = np.eye(8)[7] + random.normal(0, 0.1, (num_snippets, 8))
    for label in labels:
        feature[random.choice(num_snippets, 8, replace=False)] += 2 * DIRECTIONS[label]
    return feature.astype(np.float32)


def video(i, labels):
    return LabelledVideo(f'video_{i}', video_feature(snippets(labels, i)), frozenset(labels))


def videos(first, count):
    """Every subset of the two classes in turn, so that several happen in one video."""
    subsets = [(), ('jump',), ('wave',), ('jump', 'wave')]
    return [video(first + i, subsets[i % 4]) for i in range(count)]


def test_each_class_is_told_by_itself_whatever_else_happens():
    classifier = VideoClassifier(regularization_c=1.0).fit(videos(0, 40))
    assert classifier.classes == ('jump', 'wave')
    test = videos(100, 20)
    happens = np.array([[label in each.labels for label in classifier.classes] for each in test])
    assert ((classifier.scores(test) > 0.5) == happens).all()


def test_snippets_of_any_scale_count_the_same():
    feature = snippets(('jump',), 0)
    scaled = feature * np.linspace(0.1, 10, len(feature))[:, None]
    np.testing.assert_allclose(video_feature(scaled), video_feature(feature), atol=1e-6)


def test_a_class_of_all_videos_is_as_likely_in_each():
    only = VideoClassifier().fit([video(i, ('jump',)) for i in range(4)])
    assert only.scores(videos(9, 3)) == pytest.approx(5 / 6)
    with pytest.raises(ValueError, match='all 2 classes occur in each of the 4 videos'):
        VideoClassifier().fit([video(i, ('jump', 'wave')) for i in range(4)])


def test_videos_that_nobody_annotated_are_no_examples_of_no_class():
    annotated = videos(0, 20)
    unknown = [dataclasses.replace(each, labels=None) for each in annotated]
    test = videos(100, 8)
    expected = VideoClassifier().fit(annotated).scores(test)
    found = VideoClassifier().fit([*annotated, *unknown]).scores(test)
    np.testing.assert_array_equal(found, expected)
    classes = ('jump', 'wave')
    others = [dataclasses.replace(each, labels=None) for each in test]
    both = classification_figures(np.tile(expected, (2, 1)), [*others, *test], classes)
    assert both == classification_figures(expected, test, classes)
    assert classification_figures(expected, others, classes) == {}


def test_videos_without_labels_teach_nothing():
    with pytest.raises(ValueError, match='none of 3 videos to learn from has a label'):
        VideoClassifier().fit([video(i, ()) for i in range(3)])


def test_figures_are_of_the_classes_that_happen():
    test = [video(0, ('jump',)), video(1, ()), video(2, ('jump',))]
    scores = np.array([[0.9, 0.1, 0.0], [0.5, 0.4, 0.0], [0.2, 0.3, 0.0]])
    figures = classification_figures(scores, test, ['jump', 'wave', 'fall'])
    # ranked 1, 3 of three videos: mean of the precisions 1/1 and 2/3
    assert figures['mAP'] == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert figures['top1'] == pytest.approx(100 / 3)


def test_the_file_is_what_class_scores_reads(tmp_path):
    test = videos(0, 4)
    scores = np.random.default_rng(0).random((4, 2))
    write_class_scores(tmp_path / 'scores.json', scores, test, ['jump', 'wave'])
    found = ClassScores(str(tmp_path / 'scores.json'))
    for each, row in zip(test, scores):
        assert dict(found.top(each.name, 2)) == pytest.approx(
            dict(zip(['jump', 'wave'], row)), abs=1e-6
        )


def test_the_tool_reads_the_videos_of_a_config(tmp_path, monkeypatch, capsys):
    (tmp_path / 'features').mkdir()
    database = {}
    for subset, first, count in (('training', 0, 24), ('validation', 100, 8)):
        for each in videos(first, count):
            i = int(each.name.removeprefix('video_'))
            np.save(tmp_path / 'features' / f'{each.name}.npy', snippets(sorted(each.labels), i))
            database[each.name] = {
                'duration': 20.0,
                'subset': subset,
                'annotations': [
                    {'segment': [2.0, 10.0], 'label': label} for label in sorted(each.labels)
                ],
            }
    (tmp_path / 'annotations.json').write_text(json.dumps({'database': database}))
    config = tmp_path / 'config.py'
    config.write_text(
        f"videos = dict(type='SnippetFeatureDataset', data_root={str(tmp_path)!r}, "
        "ann_file='annotations.json', data_prefix=dict(feature='features'), "
        'timeline=dict(stride_frames=1, fps=1))\n'
        "train_dataloader = dict(dataset=dict(**videos, subset='training'))\n"
        "test_dataloader = dict(dataset=dict(**videos, subset='validation', test_mode=True))\n"
    )
    out = tmp_path / 'out' / 'scores.json'

    def classify(*options):
        monkeypatch.setattr(sys, 'argv', ['', str(config), str(out), *options])
        runpy.run_path(str(ROOT / 'tools' / 'classify_videos.py'), run_name='__main__')

    classify('--regularization-c', '1')
    assert '2 classes, learned from 24 videos' in capsys.readouterr().out
    assert len(ClassScores(str(out)).check([f'video_{i}' for i in range(100, 108)], [])) == 0
    database['video_100']['annotations'].append({'segment': [12.0, 14.0], 'label': 'fall'})
    (tmp_path / 'annotations.json').write_text(json.dumps({'database': database}))
    classify()
    assert 'never learned, so their scores are 0: fall' in capsys.readouterr().out
    assert ClassScores(str(out)).classes == {'jump', 'wave', 'fall'}
    with pytest.raises(SystemExit, match='has ActivityNetDataset'):
        classify('--cfg-options', 'test_dataloader.dataset.type=ActivityNetDataset')
    with pytest.raises(SystemExit, match='24 videos are both learned from and scored: video_0'):
        classify('--cfg-options', 'test_dataloader.dataset.subset=training')
