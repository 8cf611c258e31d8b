"""One video is found under the names that data sets give it, and never by a guess."""

from __future__ import annotations

import json
import unicodedata

import numpy as np
import pytest
from generated_data import feature_dataset

from mmsola.datasets.features.feature_store import FeatureError
from mmsola.files.name_match import NameLookup, match_names, plain_name, rules_used

NFC = unicodedata.normalize('NFC', 'é1')
NFD = unicodedata.normalize('NFD', 'é1')


@pytest.mark.parametrize(
    ('wanted', 'held'),
    [
        ('v_a', 'a'),
        ('a', 'v_a'),
        ('a.mp4', 'a'),
        ('a.npy', 'a'),
        ('a', 'a.mp4'),
        ('v_a.mkv', 'a'),
        ('train/v_a', 'train/a'),
        (NFD, NFC),
        (NFC, f'v_{NFD}'),
        ('1.5', 'v_1.5'),
    ],
)
def test_names_that_differ_as_names_usually_do(wanted, held):
    assert match_names([wanted], [held, 'other']) == {wanted: held}
    assert NameLookup([held, 'other']).find(wanted) == held


def test_what_is_not_certain_is_not_matched():
    assert match_names(['v_a'], ['a.mp4', 'a.npy']) == {}  # two are held
    assert match_names(['v_a', 'a.mp4'], ['a']) == {}  # two want it
    assert match_names(['v_a', 'a'], ['a']) == {}  # it is another's
    assert match_names(['x.1'], ['x.2']) == {}  # no suffix of a file
    assert match_names(['train/a'], ['a']) == {}
    assert NameLookup(['a.mp4', 'a.npy']).find('v_a') is None


def test_an_exact_name_comes_first():
    assert match_names(['a', 'v_b'], ['a', 'v_a', 'b']) == {'v_b': 'b'}
    assert NameLookup(['a', 'v_a']).find('v_a') == 'v_a'
    assert plain_name('v_') == 'v_'


def test_the_rules_are_said():
    said = rules_used({'v_a': 'a', 'v_b.mp4': 'b', NFD: NFC})
    assert said.startswith('3 names are matched but for ')
    for part in ('prefix v_ (2)', 'suffix (1)', 'Unicode form (1)'):
        assert part in said


# --- where names are looked up --------------------------------------------------------------------


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'features').mkdir()
    for i, name in enumerate(('a', 'b', 'c')):
        np.save(tmp_path / 'features' / f'{name}.npy', np.full((5, 3), i, np.float32))
    entry = {'duration': 5.0, 'annotations': [{'segment': [0, 1], 'label': 'x'}]}
    content = {name: entry for name in ('v_a', 'b.mp4')}
    (tmp_path / 'annotations.json').write_text(json.dumps(content))
    return tmp_path


def test_a_data_set_finds_the_features_and_says_by_which_rule(root, log_lines):
    data = feature_dataset(root)
    names = [data.get_data_info(i)['video_name'] for i in range(2)]
    assert names == ['v_a', 'b.mp4']
    assert [float(data[i]['inputs'][0, 0]) for i in range(2)] == [0.0, 1.0]
    (line,) = [line for line in log_lines if 'names are matched' in line]
    assert '2 names are matched but for suffix (1), prefix v_ (1)' in line


def test_exact_names_on_demand(root):
    with pytest.raises(FeatureError, match='2 of 2 videos have no features'):
        feature_dataset(root, feature=dict(match_names='exact'))
    with pytest.raises(FeatureError, match="match_names is 'loose'"):
        feature_dataset(root, feature=dict(match_names='loose'))


def test_a_video_that_was_matched_is_not_added_again_as_unannotated(root):
    data = feature_dataset(root, unannotated=True)
    names = [data.get_data_info(i)['video_name'] for i in range(len(data))]
    assert names == ['v_a', 'b.mp4', 'c']
