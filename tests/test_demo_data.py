"""The generated data set has what real frozen features have, and is the same everywhere."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from mmaction.registry import DATASETS

from mmsola.datasets.annotations import load_annotations
from mmsola.datasets.generated.demo_data import make_demo_data
from mmsola.datasets.snippet_times import SnippetTimeline


def digests(root):
    """Hash of each file's content, by its path."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """As the quick start makes it, with fewer videos."""
    root = tmp_path_factory.mktemp('demo_data')
    make_demo_data(root, num_training=24, num_validation=12)
    return root


@pytest.fixture(scope='module')
def database(root):
    return json.loads((root / 'annotations.json').read_text())['database']


def feature(root, name):
    return np.load(root / 'features' / f'{name}.npy')


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(root, tmp_path):
    make_demo_data(tmp_path / 'again', num_training=24, num_validation=12)
    make_demo_data(tmp_path / 'other', num_training=24, num_validation=12, seed=1)
    assert digests(tmp_path / 'again') == digests(root)
    other, one = digests(tmp_path / 'other'), digests(root)
    assert other.keys() == one.keys() and not set(other.values()) & set(one.values())


def test_making_it_again_in_place_changes_and_leaves_nothing(root):
    before = digests(root)
    make_demo_data(root, num_training=24, num_validation=12)
    assert digests(root) == before


def test_every_video_has_features_and_an_annotation(root, database):
    files = {path.stem for path in (root / 'features').iterdir()}
    assert files == set(database) and len(files) == 36
    subsets = [entry['subset'] for entry in database.values()]
    assert (subsets.count('training'), subsets.count('validation')) == (24, 12)


def test_no_subject_is_in_both_subsets(database):
    subjects = {
        subset: {e['subject'] for e in database.values() if e['subset'] == subset}
        for subset in ('training', 'validation')
    }
    assert subjects['training'] and subjects['validation']
    assert not subjects['training'] & subjects['validation']
    assert len(subjects['training']) < 24  # some have several videos


def test_most_of_a_feature_is_constant_inside_its_video_and_little_is_the_action(root, database):
    within, means, labels = [], [], []
    for name, entry in database.items():
        x = feature(root, name)
        assert x.dtype == np.float32 and x.min() >= 0
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        within.append((unit @ unit.T)[~np.eye(len(x), dtype=bool)].mean())
        means.append(unit.mean(0) / np.linalg.norm(unit.mean(0)))
        labels.append(entry['annotations'][0]['label'])
    assert min(within) > 0.75 and np.mean(within) > 0.85
    cosine, labels = np.stack(means) @ np.stack(means).T, np.array(labels)
    same_class = (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
    # another class is further away than another scene of the same class, and both are further
    # than anything inside a video
    assert cosine[same_class].mean() < np.mean(within) - 0.03
    assert cosine[labels[:, None] != labels].mean() < cosine[same_class].mean() - 0.1


def test_action_leaves_a_sign_that_a_classifier_of_other_videos_can_read(root):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    sides = {}
    for subset in ('training', 'validation'):
        records = load_annotations(root / 'annotations.json', subset=subset).records
        x = [feature(root, record.name) for record in records]
        y = [
            np.any([(c >= s.start_sec) & (c < s.end_sec) for s in record.segments], axis=0)
            for record, c in zip(records, [centres(len(f), r) for f, r in zip(x, records)])
        ]
        sides[subset] = np.concatenate(x), np.concatenate(y)
    x, y = sides['training']
    assert 0.2 < y.mean() < 0.8
    probe = LogisticRegression(C=1.0, class_weight='balanced', max_iter=1000).fit(x, y)
    auc = roc_auc_score(sides['validation'][1], probe.decision_function(sides['validation'][0]))
    assert 0.6 < auc < 0.98


def centres(num_snippets, record):
    return SnippetTimeline(stride_frames=8, window_frames=16).centres_sec(num_snippets, record)


def test_segments_lie_inside_their_videos_in_order_and_have_a_length(root, database):
    for name, entry in database.items():
        span = SnippetTimeline(stride_frames=8, window_frames=16, fps=16)
        # the frames that the snippets of this video cover together
        covered = (len(feature(root, name)) - 1) * 8 + 16
        assert entry['duration'] == pytest.approx(covered / 16)
        times = [t for a in entry['annotations'] for t in a['segment']]
        assert times == sorted(times) and len(set(times)) == len(times)
        low, high = span.span_sec(len(feature(root, name)))
        assert low <= times[0] and times[-1] <= high <= entry['duration']
        assert len({a['label'] for a in entry['annotations']}) == 1
    counts = {len(entry['annotations']) for entry in database.values()}
    assert counts <= {1, 2, 3, 4} and len(counts) > 1


def test_annotated_times_and_features_agree_by_the_timeline(root):
    """The sign of the action changes where the annotation says, not a few snippets beside it."""
    videos, differences = [], {}
    for record in load_annotations(root / 'annotations.json').records:
        x = feature(root, record.name).astype(float)
        c = centres(len(x), record)
        inside = np.any([(c >= s.start_sec) & (c < s.end_sec) for s in record.segments], axis=0)
        label = record.segments[0].label
        videos.append((x, inside, label))
        differences.setdefault(label, []).append(x[inside].mean(0) - x[~inside].mean(0))
    contrast = {}
    for shift in (-4, -2, 0, 2, 4):
        contrasts = []
        for x, inside, label in videos:
            sign = x @ np.mean(differences[label], axis=0)
            moved = np.roll(inside, shift)
            contrasts.append((sign[moved].mean() - sign[~moved].mean()) / sign.std())
        contrast[shift] = np.mean(contrasts)
    assert max(contrast, key=contrast.get) == 0


def test_the_demo_configs_data_set_takes_it(root):
    dataset = DATASETS.build(
        dict(
            type='SnippetFeatureDataset',
            data_root=str(root),
            ann_file='annotations.json',
            data_prefix=dict(feature='features'),
            timeline=dict(stride_frames=8, window_frames=16),
            group_field='subject',
            subset='validation',
            role='score',
        )
    )
    assert len(dataset) == 12
    info = dataset.get_data_info(0)
    # snippet 1 is looked at from frame 8 to 24, at 16 frames a second
    assert info['snippet_centres_sec'][1] == pytest.approx(1.0)
    assert info['group'].startswith('validation_')


@pytest.mark.parametrize('num_channels', [3, 16])
def test_channels_and_numbers_of_videos_are_those_asked_for(tmp_path, num_channels):
    file = make_demo_data(tmp_path, num_training=2, num_validation=1, num_channels=num_channels)
    assert file == tmp_path / 'annotations.json'
    names = [record.name for record in load_annotations(file).records]
    assert names == ['demo_0000', 'demo_0001', 'demo_0002']
    assert {feature(tmp_path, name).shape[1] for name in names} == {num_channels}
