"""Exported features are SoLa's output of each video, whole or not there, and never a mixture."""

from __future__ import annotations

import json
import sys

import h5py
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmsola.apis.export import (
    MANIFEST,
    ExportError,
    build_sola,
    export_features,
    feature_stores,
)
from mmsola.apis.gtad_files import nearest_snippets, write_gtad
from mmsola.apis.manifest import sha256_of
from mmsola.datasets.features.feature_store import FeatureError, FeatureStore
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.models.checkpoint_file import CheckpointError
from mmsola.models.necks import SoLa

CHANNELS = 4
NAMES = ('plain', 'two words', 'Übung_東京', 'train/a', 'train/deep er/b.c')


class Interrupted(Exception):
    """What a test throws in the middle of an export."""


@pytest.fixture
def store(tmp_path):
    """Videos of different length under names that occur in the wild."""
    random = np.random.default_rng(0)
    for i, name in enumerate(NAMES):
        path = tmp_path / 'features' / f'{name}.npy'
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, random.normal(size=(3 + 4 * i, CHANNELS)).astype(np.float32))
    return FeatureStore(tmp_path / 'features')


@pytest.fixture
def neck():
    return opened(0)


def opened(seed):
    """A module whose gate is open."""
    torch.manual_seed(seed)
    weights = SoLa(CHANNELS, hidden_channels=3).state_dict()
    neck = SoLa(CHANNELS, hidden_channels=3, frozen=True)
    neck.load_state_dict({**weights, 'alpha': torch.tensor([0.7])})
    return neck


def expected(neck, store, name):
    with torch.no_grad():
        return neck(torch.from_numpy(store.read(name)).T[None])[0].T.numpy()


def content(out, name):
    """The exported feature of a video, read with nothing but NumPy or h5py."""
    if (out / f'{name}.csv').exists():
        return np.loadtxt(out / f'{name}.csv', np.float32, delimiter=',', skiprows=1, ndmin=2)
    if out.is_dir():
        return np.load(out / f'{name}.npy', allow_pickle=False)
    with h5py.File(out) as file:
        return file[name][()]


def output_path(tmp_path, format):
    return tmp_path / 'out' / ('features.h5' if format == 'hdf5' else 'features')


def manifest(out):
    path = out / MANIFEST if out.suffix != '.h5' else out.with_name(f'{out.name}.{MANIFEST}')
    return json.loads(path.read_text())


def files(root):
    return {
        str(p.relative_to(root)): (p.stat().st_mtime_ns, p.read_bytes())
        for p in root.rglob('*')
        if p.is_file()
    }


every_format = pytest.mark.parametrize('format', ['npy', 'csv', 'hdf5'])


# What is written ----------------------------------------------------------------------------------


@every_format
def test_an_export_is_the_modules_output_of_every_video(tmp_path, store, neck, format):
    out = output_path(tmp_path, format)
    assert export_features(neck, [store], out, format) == {'written': len(NAMES), 'kept': 0}
    for name in NAMES:
        array = content(out, name)
        assert array.dtype == np.float32 and array.shape == store.shape(name)
        np.testing.assert_allclose(array, expected(neck, store, name), atol=1e-6)
        # and not the features themselves
        assert np.abs(array - store.read(name)).max() > 1e-3


@every_format
def test_an_export_is_a_feature_store_of_the_same_videos(tmp_path, store, neck, format):
    out = output_path(tmp_path, format)
    export_features(neck, [store], out, format)
    again = FeatureStore(out)
    assert again.names() == store.names()
    again.check()


def test_half_precision_is_the_rounded_output(tmp_path, store, neck):
    export_features(neck, [store], tmp_path / 'half', dtype='float16')
    for name in NAMES:
        array = content(tmp_path / 'half', name)
        assert array.dtype == np.float16
        np.testing.assert_array_equal(array, expected(neck, store, name).astype(np.float16))


def test_a_value_too_large_for_half_precision_names_its_video(tmp_path, neck):
    np.save(tmp_path / 'loud.npy', np.full((4, CHANNELS), 1e5, np.float32))
    with pytest.raises(ExportError, match='loud.*float32'):
        export_features(neck, [FeatureStore(tmp_path)], tmp_path / 'out', dtype='float16')


def test_several_stores_go_into_one_export_unless_a_name_is_in_two(tmp_path, store, neck):
    (tmp_path / 'more').mkdir()
    np.save(tmp_path / 'more' / 'new.npy', np.ones((3, CHANNELS), np.float32))
    more = FeatureStore(tmp_path / 'more')
    assert export_features(neck, [store, more], tmp_path / 'out')['written'] == len(NAMES) + 1
    with pytest.raises(ExportError, match='two feature stores hold a video of the same name'):
        export_features(neck, [store, more, more], tmp_path / 'twice')
    assert not (tmp_path / 'twice').exists()


@every_format
def test_the_manifest_tells_where_an_export_comes_from(tmp_path, store, neck, format):
    out = output_path(tmp_path, format)
    export_features(neck, [store], out, format, about={'checkpoint_sha256': 'abc', 'config': 'c'})
    written = manifest(out)
    assert written['checkpoint_sha256'] == 'abc' and written['config'] == 'c'
    assert (written['format'], written['dtype'], written['layout']) == (format, 'float32', 'TC')
    assert written['complete'] is True and written['num_videos'] == len(NAMES)
    assert written['mmsola']


@pytest.mark.parametrize('wrong', [{'format': 'xlsx'}, {'dtype': 'float64'}])
def test_unknown_formats_and_types_are_refused_before_anything_is_written(
    tmp_path, store, neck, wrong
):
    with pytest.raises(ExportError, match=f'got .*{next(iter(wrong.values()))}'):
        export_features(neck, [store], tmp_path / 'out', **wrong)
    assert not (tmp_path / 'out').exists()


# Again, and after an interruption -----------------------------------------------------------------


@every_format
def test_a_second_export_writes_no_feature(tmp_path, store, neck, format):
    out = output_path(tmp_path, format)
    export_features(neck, [store], out, format)
    before = files(tmp_path / 'out')
    assert export_features(neck, [store], out, format) == {'written': 0, 'kept': len(NAMES)}
    after = files(tmp_path / 'out')
    assert {k: v[1] for k, v in after.items()} == {k: v[1] for k, v in before.items()}
    changed = {k for k in after if after[k][0] != before[k][0]}
    assert all(k.endswith(MANIFEST) for k in changed)


@every_format
@pytest.mark.parametrize('where', ['reading', 'writing'])
def test_an_interrupted_export_goes_on_and_ends_the_same(
    tmp_path, store, neck, monkeypatch, format, where
):
    export_features(neck, [store], output_path(tmp_path / 'whole', format), format)
    out = output_path(tmp_path / 'halves', format)
    calls = []

    def interrupt(function):
        def third_time_fails(*args, **kwargs):
            calls.append(args)
            if len(calls) == 3:
                if where == 'writing':
                    args[0].write_bytes(b'half')
                raise Interrupted
            return function(*args, **kwargs)

        return third_time_fails

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        if where == 'reading':
            patch.setattr(store, 'read', interrupt(store.read))
        else:
            save = 'savetxt' if format == 'csv' else 'save'
            patch.setattr(np, save, interrupt(getattr(np, save)))
        export_features(neck, [store], out, format)
    assert manifest(out)['complete'] is False
    assert not out.is_file()
    left = [k for k in files(tmp_path / 'halves') if not k.endswith(MANIFEST)]
    assert len(left) == 2 and not any('partial' in k for k in left)

    assert export_features(neck, [store], out, format) == {'written': len(NAMES) - 2, 'kept': 2}
    whole, halves = files(tmp_path / 'whole'), files(tmp_path / 'halves')
    assert halves.keys() == whole.keys()
    if format != 'hdf5':
        assert {k: v[1] for k, v in halves.items()} == {k: v[1] for k, v in whole.items()}
    for name in NAMES:
        np.testing.assert_array_equal(
            content(out, name), content(output_path(tmp_path / 'whole', format), name)
        )
    assert not [k for k in halves if 'partial' in k]


@pytest.mark.parametrize('when', ['while', 'after'])
def test_an_interruption_around_the_hdf5_file_leaves_no_half_one(
    tmp_path, store, neck, monkeypatch, when
):
    out = output_path(tmp_path, 'hdf5')

    def fail(*args, **kwargs):
        raise Interrupted

    export = sys.modules[export_features.__module__]
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        if when == 'while':
            patch.setattr(export.np, 'load', fail)
        else:
            patch.setattr(export.shutil, 'rmtree', fail)
        export_features(neck, [store], out, 'hdf5')
    assert out.exists() == (when == 'after')
    assert export_features(neck, [store], out, 'hdf5')['kept'] == len(NAMES)
    for name in NAMES:
        np.testing.assert_allclose(content(out, name), expected(neck, store, name), atol=1e-6)
    # the videos that it was put together from are gone
    assert set(files(tmp_path / 'out')) == {out.name, f'{out.name}.{MANIFEST}'}
    assert not out.with_name(f'{out.name}.videos').exists()


@every_format
def test_a_video_that_came_after_an_export_is_added_to_it(tmp_path, store, neck, format):
    out = output_path(tmp_path, format)
    export_features(neck, [store], out, format)
    np.save(tmp_path / 'features' / 'late.npy', np.ones((6, CHANNELS), np.float32))
    grown = FeatureStore(tmp_path / 'features')
    assert export_features(neck, [grown], out, format)['kept'] == len(NAMES)
    for name in (*NAMES, 'late'):
        np.testing.assert_allclose(content(out, name), expected(neck, grown, name), atol=1e-6)


# Never a mixture ----------------------------------------------------------------------------------


@every_format
def test_another_checkpoint_is_refused_and_both_are_named(tmp_path, store, neck, format):
    out = output_path(tmp_path, format)
    export_features(neck, [store], out, format, about={'checkpoint_sha256': 'old one'})
    before = files(tmp_path / 'out')
    with pytest.raises(ExportError, match="checkpoint_sha256 was 'old one', is 'new one'"):
        export_features(opened(1), [store], out, format, about={'checkpoint_sha256': 'new one'})
    assert files(tmp_path / 'out') == before


@every_format
def test_features_of_another_place_are_refused_and_both_are_named(tmp_path, store, neck, format):
    out = output_path(tmp_path, format)
    export_features(neck, [store], out, format)
    (tmp_path / 'others').mkdir()
    np.save(tmp_path / 'others' / 'plain.npy', np.ones((5, CHANNELS), np.float32))
    with pytest.raises(ExportError, match='features was .*features.*, is .*others'):
        export_features(neck, [FeatureStore(tmp_path / 'others')], out, format)


@every_format
def test_another_type_is_refused_and_both_are_named(tmp_path, store, neck, format):
    out = output_path(tmp_path, format)
    export_features(neck, [store], out, format)
    with pytest.raises(ExportError, match="dtype was 'float32', is 'float16'"):
        export_features(neck, [store], out, format, dtype='float16')


@every_format
def test_overwrite_begins_anew(tmp_path, store, neck, format):
    out = output_path(tmp_path, format)
    export_features(neck, [store], out, format, about={'checkpoint_sha256': 'old'})
    other = opened(1)
    counts = export_features(
        other, [store], out, format, about={'checkpoint_sha256': 'new'}, overwrite=True
    )
    assert counts == {'written': len(NAMES), 'kept': 0}
    assert manifest(out)['checkpoint_sha256'] == 'new'
    for name in NAMES:
        np.testing.assert_allclose(content(out, name), expected(other, store, name), atol=1e-6)


@every_format
@pytest.mark.parametrize('overwrite', [False, True])
def test_foreign_files_are_refused_and_never_removed(tmp_path, store, neck, format, overwrite):
    out = output_path(tmp_path, format)
    foreign = out if format == 'hdf5' else out / 'thesis.txt'
    foreign.parent.mkdir(parents=True)
    foreign.write_text('three years of work')
    with pytest.raises(ExportError, match='is not an export of SoLa features'):
        export_features(neck, [store], out, format, overwrite=overwrite)
    assert files(tmp_path / 'out').keys() == {str(foreign.relative_to(tmp_path / 'out'))}
    assert foreign.read_text() == 'three years of work'


def test_exporting_over_ones_own_features_is_refused(tmp_path, store, neck):
    before = files(tmp_path / 'features')
    with pytest.raises(ExportError, match='is not an export'):
        export_features(neck, [store], tmp_path / 'features', overwrite=True)
    assert files(tmp_path / 'features') == before


def test_an_empty_folder_is_a_fine_place(tmp_path, store, neck):
    (tmp_path / 'out').mkdir()
    assert export_features(neck, [store], tmp_path / 'out')['written'] == len(NAMES)


# From config and checkpoint -----------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path, neck):
    state = {f'neck.{k}': v for k, v in neck.state_dict().items()}
    torch.save({'state_dict': {**state, 'head.weight': torch.ones(1)}}, tmp_path / 'epoch_1.pth')
    return tmp_path / 'epoch_1.pth'


def config(**neck):
    return Config(dict(model=dict(neck=dict(type='SoLa', in_channels=CHANNELS, **neck))))


def test_the_module_of_a_checkpoint_is_frozen_and_has_its_weights(checkpoint, neck):
    built = build_sola(config(hidden_channels=3), checkpoint)
    assert all(torch.equal(v, neck.state_dict()[k]) for k, v in built.state_dict().items())
    assert not built.training and not any(p.requires_grad for p in built.parameters())


def test_a_wrong_prefix_says_which_are_there(checkpoint):
    with pytest.raises(CheckpointError, match=r"under prefix 'nick\.'(?s:.*)\['neck\.'\]"):
        build_sola(config(hidden_channels=3), checkpoint, 'nick')


def test_a_checkpoint_of_another_width_says_expected_and_found(checkpoint):
    with pytest.raises(ValueError, match=r'(?s)expected: .*\(5, 4, 5\).*found: .*\(3, 4, 5\)'):
        build_sola(config(hidden_channels=5), checkpoint)


def test_features_of_another_width_say_what_the_module_takes(tmp_path, neck):
    np.save(tmp_path / 'wide.npy', np.ones((9, CHANNELS + 2), np.float32))
    with pytest.raises(ValueError, match=rf'C={CHANNELS}, T.*{CHANNELS + 2}'):
        export_features(neck, [FeatureStore(tmp_path)], tmp_path / 'out')


def test_a_configs_feature_stores_are_found_wherever_they_stand_and_each_once(tiny_config):
    (store,) = feature_stores(tiny_config)
    assert len(store) == 22
    tiny_config.test_dataloader = None
    tiny_config.train_dataloader = dict(
        dataset=dict(type='RepeatDataset', times=2, dataset=tiny_config.train_dataloader.dataset)
    )
    assert len(feature_stores(tiny_config)) == 1
    tiny_config.train_dataloader.dataset.dataset.feature = dict(layout='CT')
    assert len(feature_stores(tiny_config)) == 2


def test_the_hash_is_that_of_sha256sum(tmp_path):
    (tmp_path / 'file').write_bytes(b'abc')
    digest = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    assert sha256_of(tmp_path / 'file') == digest


def test_overwriting_leaves_what_is_no_feature(tmp_path, store, neck):
    out = tmp_path / 'out'
    export_features(neck, [store], out, 'csv')
    (out / 'notes.txt').write_text('mine')
    export_features(opened(1), [store], out, 'npy', overwrite=True)
    assert (out / 'notes.txt').read_text() == 'mine'
    assert not list(out.rglob('*.csv'))


def test_a_name_that_leads_out_of_the_export_is_refused(tmp_path, neck):
    with h5py.File(tmp_path / 'features.h5', 'w') as file:
        file.create_group('..')['evil'] = np.zeros((3, CHANNELS), np.float32)
    with pytest.raises(ExportError, match=r"'\.\./evil'.*leads out of"):
        export_features(neck, [FeatureStore(tmp_path / 'features.h5')], tmp_path / 'out')
    assert not (tmp_path / 'evil.npy').exists()


def test_features_that_cannot_be_used_are_named_before_the_first_is_written(tmp_path, store, neck):
    np.save(tmp_path / 'features' / 'zz.npy', np.full((3, CHANNELS), np.nan, np.float32))
    with pytest.raises(FeatureError, match=r'zz\.npy'):
        export_features(neck, [FeatureStore(tmp_path / 'features')], tmp_path / 'out')
    assert not list((tmp_path / 'out').rglob('*.npy'))


def test_stores_of_windows_and_of_mmaction2_are_found_and_none_is_an_error(tmp_path):
    (tmp_path / 'csv').mkdir()
    (tmp_path / 'csv' / 'v_a.csv').write_text('f0,f1\n1,2\n3,4\n')
    (tmp_path / 'npy').mkdir()
    np.save(tmp_path / 'npy' / 'a.npy', np.zeros((3, 2), np.float32))
    stock = dict(type='ActivityNetDataset', data_prefix=dict(video=str(tmp_path / 'csv')))
    windows = dict(type='SlidingWindowDataset', data_prefix=dict(feature=str(tmp_path / 'npy')))
    for dataset, name in ((stock, 'v_a'), (windows, 'a')):
        (store,) = feature_stores(Config(dict(train_dataloader=dict(dataset=dataset))))
        assert store.names() == [name]
    with pytest.raises(ExportError, match='none of its data sets.*(?s:.*)--features'):
        feature_stores(Config(dict(train_dataloader=dict(dataset=dict(type='VideoDataset')))))


# --- G-TAD ----------------------------------------------------------------------------------------


def read_as_gtad(folder, name, skip_videoframes):
    """As its loader of THUMOS14 does: the file by the video's name, every n-th row, flow first."""
    subset = 'val' if 'val' in name else 'test'
    streams = []
    for stream in ('flow', 'rgb'):
        with h5py.File(folder / f'{stream}_{subset}.h5', 'r') as file:
            streams.append(file[name][::skip_videoframes, ...])
    num_snippet = min(len(stream) for stream in streams)
    return np.concatenate([stream[:num_snippet] for stream in streams], axis=1)


@pytest.mark.parametrize('skip', [1, 4, 5])
def test_gtad_reads_the_snippet_that_is_centred_nearest_to_each_of_its_frames(tmp_path, skip):
    (tmp_path / 'npy').mkdir()
    features = {}
    for name, length in (('video_validation_0000051', 20), ('video_test_0000004', 33)):
        features[name] = np.random.default_rng(length).random((length, 6), np.float32)
        np.save(tmp_path / 'npy' / f'{name}.npy', features[name])
    timeline = SnippetTimeline(stride_frames=4, window_frames=16)
    written = write_gtad(FeatureStore(tmp_path / 'npy'), tmp_path / 'gtad', timeline)
    assert {path.name for path in written} == {
        *('rgb_val.h5', 'flow_val.h5', 'rgb_test.h5', 'flow_test.h5')
    }
    assert {path.name for path in (tmp_path / 'gtad').iterdir()} == {path.name for path in written}
    for name, feature in features.items():
        found = read_as_gtad(tmp_path / 'gtad', name, skip)
        frames = skip * np.arange(len(found))  # where its loader says that its snippets are
        nearest = [np.abs(8 + 4 * np.arange(len(feature)) - frame).min() for frame in frames]
        swapped = np.concatenate([feature[:, 3:], feature[:, :3]], axis=1)
        chosen = nearest_snippets(len(feature), timeline)[::skip]
        np.testing.assert_array_equal(found, swapped[chosen])
        centres = 8 + 4 * chosen
        assert (np.abs(centres - frames) == nearest).all()
        assert frames[-1] + skip > 8 + 4 * (len(feature) - 1)  # to the end of the video


@pytest.mark.parametrize(
    ('name', 'channels', 'stride', 'message'),
    [
        ('abc', 6, 4, "neither 'val' nor 'test' in their names"),
        ('video_test_1', 5, 4, '5 channels cannot be halved'),
        ('video_test_1', 6, None, 'how many frames a snippet stands for is not known'),
    ],
)
def test_what_gtad_cannot_read_is_refused(tmp_path, name, channels, stride, message):
    (tmp_path / 'npy').mkdir()
    np.save(tmp_path / 'npy' / f'{name}.npy', np.ones((20, channels), np.float32))
    with pytest.raises(ExportError, match=message):
        write_gtad(FeatureStore(tmp_path / 'npy'), tmp_path, SnippetTimeline(stride))
    assert [path.name for path in tmp_path.iterdir()] == ['npy']


def test_the_names_of_the_files_are_kept_on_request(neck, tmp_path):
    (tmp_path / 'in').mkdir()
    np.save(tmp_path / 'in' / 'v_a_rgb.npy', np.ones((20, neck.in_channels), np.float32))
    store = FeatureStore(tmp_path / 'in', file_name='v_{name}_rgb')
    for keep, expected in ((False, 'a.npy'), (True, 'v_a_rgb.npy')):
        out = tmp_path / f'out_{keep}'
        for expected_count in ('written', 'kept'):
            counts = export_features(neck, [store], out, keep_file_names=keep)
            assert counts[expected_count] == 1
        assert [path.name for path in out.glob('*.npy')] == [expected]
