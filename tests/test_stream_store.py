"""Streams of one video, such as RGB and flow, as one sequence of features."""

from __future__ import annotations

import json
import pickle

import h5py
import numpy as np
import pytest
from generated_data import feature_dataset

from mmsola.datasets.features.feature_store import FeatureError, FeatureStore
from mmsola.datasets.features.stream_store import StreamStore, open_features

SURPLUS = {'a': (0, 1), 'b': (2, 0), 'c': (0, 0)}  # snippets more, of RGB and of flow


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('MMSOLA_CACHE', str(tmp_path / 'cache'))


@pytest.fixture
def joined(tmp_path):
    """Features of three videos, and two folders of streams that hold them and a little more."""
    random = np.random.default_rng(0)
    joined = {}
    for name, extra in SURPLUS.items():
        streams = [random.random((30 + more, 4 + i), np.float32) for i, more in enumerate(extra)]
        for folder, array in zip(('rgb', 'flow'), streams):
            (tmp_path / 'features' / folder).mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / 'features' / folder / f'{name}.npy', array)
        joined[name] = np.concatenate([array[:30] for array in streams], axis=1)
    return joined


def test_streams_are_joined_and_their_surplus_is_cut_and_counted(tmp_path, joined, log_lines):
    store = open_features(tmp_path / 'features', streams=['rgb', 'flow'], num_channels=9)
    store.check()
    assert store.names() == sorted(joined) and len(store) == 3 and 'a' in store
    for name, expected in joined.items():
        assert store.shape(name) == (30, 9)
        np.testing.assert_array_equal(store.read(name), expected)
        np.testing.assert_array_equal(store.read(name, 3, 7), expected[3:7])
    said = [line for line in log_lines if 'cut off its end' in line]
    assert len(said) == 1 and '2 of 3 videos' in said[0] and 'a (30 and 31)' in said[0]
    with pytest.raises(FeatureError, match='30 in common'):
        store.read('a', 0, 31)


def test_a_larger_difference_is_refused(tmp_path, joined):
    np.save(tmp_path / 'features' / 'flow' / 'c.npy', np.ones((60, 5), np.float32))
    store = open_features(tmp_path / 'features', streams=['rgb', 'flow'])
    with pytest.raises(FeatureError, match=r'1 of 3 videos.*\n- c: its streams differ by 30'):
        store.check()
    open_features(tmp_path / 'features', streams=['rgb', 'flow'], max_surplus=30).check()


def test_wrong_channels_are_those_of_all_streams(tmp_path, joined):
    store = open_features(tmp_path / 'features', streams=['rgb', 'flow'], num_channels=8)
    with pytest.raises(FeatureError, match=r'4 \+ 5 channels, 9 together'):
        store.check()


def test_streams_of_one_folder_and_of_groups_of_hdf5(tmp_path, joined):
    (tmp_path / 'flat').mkdir()
    with h5py.File(tmp_path / 'all.h5', 'w') as file:
        for name, array in joined.items():
            for stream, part in (('rgb', array[:, :4]), ('flow', array[:, 4:])):
                np.save(tmp_path / 'flat' / f'{name}_{stream}.npy', part)
                file[f'{name}/{stream}'] = part
    by_name = [dict(file_name='{name}_rgb'), dict(file_name='{name}_flow')]
    by_entry = [dict(entry='rgb'), dict(entry='flow')]
    for store in (
        open_features(tmp_path / 'flat', streams=by_name),
        open_features(tmp_path / 'all.h5', streams=by_entry),
    ):
        store = pickle.loads(pickle.dumps(store))
        store.check()
        assert store.names() == sorted(joined)
        np.testing.assert_array_equal(store.read('b', 1, 9), joined['b'][1:9])


def test_one_stream_is_none(tmp_path, joined):
    with pytest.raises(FeatureError, match='two streams or more'):
        open_features(tmp_path / 'features', streams=['rgb'])
    assert type(open_features(tmp_path / 'features' / 'rgb', streams=None)) is FeatureStore


def test_what_only_one_stream_has_is_no_video(tmp_path, joined):
    (tmp_path / 'features' / 'flow' / 'c.npy').unlink()
    store = open_features(tmp_path / 'features', streams=['rgb', 'flow'])
    assert store.names() == ['a', 'b'] and 'c' not in store
    assert store.path('c') == str(tmp_path / 'features' / 'flow' / 'c.npy')


def annotate(root, names):
    entry = {'duration': 30.0, 'annotations': [{'segment': [2.0, 9.0], 'label': 'jump'}]}
    (root / 'annotations.json').write_text(json.dumps(dict.fromkeys(names, entry)))


def test_a_data_set_reads_streams(tmp_path, joined):
    annotate(tmp_path, ['v_a', 'b.mp4', 'c'])
    dataset = feature_dataset(tmp_path, feature=dict(streams=['rgb', 'flow'], num_channels=9))
    assert isinstance(dataset.store, StreamStore)
    for item, expected in zip(dataset, joined.values()):
        np.testing.assert_array_equal(item['inputs'], expected.T)
    banked = feature_dataset(
        tmp_path,
        feature=dict(streams=['rgb', 'flow']),
        pipeline=[
            dict(type='LoadSnippetWindow', window=23),
            dict(type='PackSnippetInputs', meta_keys=()),
        ],
        bank=dict(device='cpu'),
    )
    assert banked.__getitems__([0, 2])[0]['inputs'].shape == (2, 9, 23)


def test_the_message_knows_streams_that_are_taken_for_videos(tmp_path, joined):
    annotate(tmp_path, joined)
    with pytest.raises(FeatureError, match=r"set feature=dict\(streams=\['flow', 'rgb'\]\)"):
        feature_dataset(tmp_path)
