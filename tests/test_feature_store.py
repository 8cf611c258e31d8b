"""Feature store: the same numbers from every container, windows that cost only their own bytes."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tracemalloc

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmsola.datasets.features import check_cache, containers
from mmsola.datasets.features.cache_folder import cache_folder
from mmsola.datasets.features.feature_store import FeatureError, FeatureStore

CHANNELS = 5
FORMATS = ('csv', 'npy', 'npz', 'pt', 'hdf5')


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('MMSOLA_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'checked'


@pytest.fixture
def features():
    random = np.random.default_rng(0)
    return {
        name: random.standard_normal((length, CHANNELS)).astype(np.float32)
        for name, length in [('a', 7), ('b', 9), ('train/c', 12)]
    }


def write(root, format, features, file_name='{name}', entry=None):
    """Write the features as a container of this format; returns the root of the store."""
    root = root / format
    if format == 'hdf5':
        root = root.with_suffix('.h5')
        with h5py.File(root, 'w') as file:
            for name, array in features.items():
                file['/'.join(filter(None, (file_name.format(name=name), entry)))] = array
        return root
    root.mkdir(exist_ok=True)
    for name, array in features.items():
        path = root / f'{file_name.format(name=name)}.{format}'
        path.parent.mkdir(parents=True, exist_ok=True)
        if format == 'csv':
            header = ','.join(f'f{channel}' for channel in range(array.shape[1]))
            np.savetxt(path, array, delimiter=',', header=header, comments='')
        elif format == 'npy':
            np.save(path, array)
        elif format == 'npz':
            np.savez_compressed(path, **{entry or 'features': array})
        else:
            tensor = torch.from_numpy(array.copy())
            torch.save(tensor if entry is None else {entry: tensor}, path)
    return root


def entries(array):
    return {'a': array, 'b': np.ones((3, CHANNELS), np.float32)}


# The same numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize('format', FORMATS)
def test_every_container_returns_the_same_numbers(tmp_path, features, format):
    store = FeatureStore(write(tmp_path, format, features))
    assert store.names() == ['a', 'b', 'train/c']
    assert len(store) == 3 and 'train/c' in store and 'c' not in store
    store.check()
    for name, expected in features.items():
        assert store.shape(name) == expected.shape
        np.testing.assert_array_equal(store.read(name), expected)


@pytest.mark.parametrize('format', FORMATS)
@pytest.mark.parametrize('layout', ['TC', 'CT'])
def test_windows_are_slices_of_the_whole(tmp_path, features, format, layout):
    stored = {name: array if layout == 'TC' else array.T for name, array in features.items()}
    store = FeatureStore(write(tmp_path, format, stored), layout=layout)
    assert store.shape('b') == (9, CHANNELS)
    for start, stop in [(0, 1), (2, 6), (8, 9), (3, None)]:
        window = store.read('b', start, stop)
        np.testing.assert_array_equal(window, features['b'][start:stop])
        assert window.dtype == np.float32
        assert window.flags.c_contiguous and window.flags.writeable and window.flags.owndata


@pytest.mark.parametrize('format', ['npy', 'npz', 'pt', 'hdf5'])
@pytest.mark.parametrize('dtype', ['float16', 'float64'])
def test_other_precisions(tmp_path, features, format, dtype):
    stored = {name: array.astype(dtype) for name, array in features.items()}
    store = FeatureStore(write(tmp_path, format, stored))
    np.testing.assert_array_equal(store.read('a'), stored['a'].astype(np.float32))


def test_fortran_order_npy(tmp_path, features):
    stored = {name: np.asfortranarray(array) for name, array in features.items()}
    store = FeatureStore(write(tmp_path, 'npy', stored))
    np.testing.assert_array_equal(store.read('a', 2, 5), features['a'][2:5])


@pytest.mark.parametrize('format', FORMATS)
def test_file_name_is_inverted(tmp_path, features, format):
    root = write(tmp_path, format, features, 'v_{name}_rgb')
    store = FeatureStore(root, file_name='v_{name}_rgb')
    assert store.names() == sorted(features)
    assert 'a' in store and 'v_a_rgb' not in store
    assert 'v_a_rgb' in store.path('a')
    np.testing.assert_array_equal(store.read('a'), features['a'])


@pytest.mark.parametrize('format', ['npz', 'pt', 'hdf5'])
def test_entry_names_the_array(tmp_path, features, format):
    store = FeatureStore(write(tmp_path, format, features, entry='rgb'), entry='rgb')
    assert store.names() == sorted(features)
    np.testing.assert_array_equal(store.read('train/c'), features['train/c'])
    store.check()


def test_pt_of_old_torch(tmp_path, features):
    tensor = torch.from_numpy(features['a'])
    torch.save(tensor, tmp_path / 'a.pt', _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(FeatureStore(tmp_path).read('a', 2, 4), features['a'][2:4])


@pytest.mark.parametrize(
    'header', ['', 'f0,f1,f2\n', '# f0,f1,f2\n', '0,1,2\n', '\ufefff0,f1,f2\n']
)
def test_csv_header_row_is_recognised(tmp_path, header):
    (tmp_path / 'a.csv').write_text(header + '0,1,-2e-3\n4.5,5,6\n\n', encoding='utf-8')
    store = FeatureStore(tmp_path)
    store.check()
    np.testing.assert_array_equal(store.read('a'), np.float32([[0, 1, -2e-3], [4.5, 5, 6]]))


def test_csv_equals_loadtxt(tmp_path, features):
    root = write(tmp_path, 'csv', features)
    expected = np.loadtxt(root / 'a.csv', dtype=np.float32, delimiter=',', skiprows=1)
    np.testing.assert_array_equal(FeatureStore(root).read('a'), expected)


# Only the window is read ------------------------------------------------------------------------


def peak_bytes(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('layout', ['TC', 'CT'])
def test_npy_window_of_a_huge_file(tmp_path, layout):
    shape = (1 << 20, 1024) if layout == 'TC' else (4, 1 << 28)  # 4 GiB, of which none is on disk
    with open(tmp_path / 'a.npy', 'wb') as stream:
        header = {'descr': '<f4', 'fortran_order': False, 'shape': shape}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.truncate(stream.tell() + (4 << 30))
    store = FeatureStore(tmp_path, layout=layout)
    assert peak_bytes(lambda: store.read('a', 777_777, 777_785)) < 1 << 20


def test_hdf5_window_of_a_huge_dataset(tmp_path):
    with h5py.File(tmp_path / 'f.h5', 'w') as file:
        # its room is taken at once and never filled: all of it is stored, none of it is on disk
        stored = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        stored.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        stored.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        file.create_dataset('a', (1 << 20, 1024), 'f4', dcpl=stored)
    store = FeatureStore(tmp_path / 'f.h5')
    assert peak_bytes(lambda: store.read('a', 777_777, 777_785)) < 1 << 20


def test_npy_reads_leave_no_file_open(tmp_path, features):
    store = FeatureStore(write(tmp_path, 'npy', features))
    before = len(os.listdir('/proc/self/fd')) if os.path.isdir('/proc/self/fd') else 0
    windows = [store.read('a', 0, 2) for _ in range(100)]
    assert len(windows) == 100
    if before:
        assert len(os.listdir('/proc/self/fd')) <= before


# Processes --------------------------------------------------------------------------------------


class Windows(Dataset):
    def __init__(self, store):
        self.store = store
        self.names = store.names() * 20

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        window = self.store.read(self.names[index], 1, 5)
        opened = getattr(self.store._container, '_opened', None)
        assert opened is None or opened[0] == os.getpid(), 'reads by the handle of another process'
        return index, window


@pytest.mark.parametrize('format', ['hdf5', 'npy'])
def test_dataloader_workers(tmp_path, features, format):
    store = FeatureStore(write(tmp_path, format, features))
    dataset = Windows(store)
    store.read('a')  # the parent's handle is open when the workers start
    loader = DataLoader(dataset, batch_size=4, num_workers=2)
    seen = 0
    for indices, windows in loader:
        store.read('b')  # and in use while they read
        for index, window in zip(indices, windows, strict=True):
            np.testing.assert_array_equal(window, features[dataset.names[index]][1:5])
            seen += 1
    assert seen == len(dataset)


def test_pickled_store_opens_its_own_handle(tmp_path, features):
    store = FeatureStore(write(tmp_path, 'hdf5', features))
    store.read('a')
    copy = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(copy.read('b'), features['b'])


def test_error_survives_the_way_from_a_worker():
    error = pickle.loads(pickle.dumps(FeatureError('a.npy: is empty')))
    assert str(error) == 'a.npy: is empty'


# Bad containers ---------------------------------------------------------------------------------


def test_missing_root(tmp_path):
    with pytest.raises(FeatureError, match='(?s)nowhere: does not exist.*correct the path'):
        FeatureStore(tmp_path / 'nowhere')
    with pytest.raises(FeatureError, match='no path given'):
        FeatureStore('')


def test_folder_without_features(tmp_path):
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(FeatureError, match=r'(?s)no feature file .*1 \.txt.*\.npy'):
        FeatureStore(tmp_path)


def test_folder_of_an_hdf5_file(tmp_path, features):
    write(tmp_path, 'hdf5', features)
    with pytest.raises(FeatureError, match='(?s)1 .h5.*give the HDF5 file itself'):
        FeatureStore(tmp_path)


def test_several_formats(tmp_path, features):
    np.save(tmp_path / 'a.npy', features['a'])
    np.save(tmp_path / 'b.npy', features['a'])
    (tmp_path / 'info.csv').write_text('1,2\n')
    with pytest.raises(FeatureError, match=r'(?s)2 \.npy.*format='):
        FeatureStore(tmp_path)
    assert FeatureStore(tmp_path, format='npy').names() == ['a', 'b']
    with pytest.raises(FeatureError, match='holds no pt file'):
        FeatureStore(tmp_path, format='pt')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'format': 'pkl'}, "'pkl'.*'npy'.*convert"),
        ({'layout': 'NTC'}, "'NTC'.*'TC'.*correct layout"),
        ({'file_name': 'v_'}, 'file_name.*template.*correct file_name'),
        ({'entry': 'rgb'}, "entry='rgb'.*leave out entry"),
    ],
)
def test_bad_arguments(tmp_path, features, arguments, message):
    with pytest.raises(FeatureError, match=f'(?s){message}'):
        FeatureStore(write(tmp_path, 'npy', features), **arguments)


def test_file_that_is_no_hdf5(tmp_path):
    (tmp_path / 'f.h5').write_bytes(b'something else')
    with pytest.raises(FeatureError, match='(?s)f.h5: is a file, but no HDF5 file'):
        FeatureStore(tmp_path / 'f.h5')
    (tmp_path / 'f.h5').write_bytes(b'')
    with pytest.raises(FeatureError, match='(?s)f.h5: is empty'):
        FeatureStore(tmp_path / 'f.h5')


def test_truncated_hdf5(tmp_path, features):
    root = write(tmp_path, 'hdf5', features)
    os.truncate(root, os.path.getsize(root) - 100)
    store = FeatureStore(root)
    for use in (store.names, lambda: store.read('a'), lambda: store.check(['a', 'b'])):
        with pytest.raises(FeatureError, match='(?s)hdf5.h5: is truncated.*again') as caught:
            use()
        assert str(caught.value).count('truncated or') == 1


def test_no_file_fits_the_template(tmp_path, features):
    with pytest.raises(FeatureError, match="(?s)it holds 'a', 'b'.*correct file_name"):
        FeatureStore(write(tmp_path, 'npy', features), file_name='v_{name}').names()


# Bad videos: each with its own message, from read and from check ---------------------------------


def complaint(store, name='a'):
    """What check says about this video, which is all that is wrong."""
    with pytest.raises(FeatureError) as caught:
        store.check()
    text = str(caught.value)
    assert f'1 of {len(store)} videos' in text and store.path(name) in text
    assert 'expected: ' in text and 'fix: ' in text
    return text


def both_complain(store, *words):
    with pytest.raises(FeatureError) as caught:
        store.read('a')
    for text in (str(caught.value), complaint(store)):
        for word in words:
            assert word in text


@pytest.mark.parametrize('format', FORMATS)
def test_missing_video(tmp_path, features, format):
    store = FeatureStore(write(tmp_path, format, features))
    with pytest.raises(FeatureError, match="(?s)'zz'.*3 videos, such as 'a'.*file_name="):
        store.read('zz')
    with pytest.raises(FeatureError, match="(?s)1 of 2 videos.*'zz'"):
        store.check(['a', 'zz'])


@pytest.mark.parametrize('format', ['csv', 'npy', 'npz', 'pt'])
def test_empty_file(tmp_path, features, format):
    root = write(tmp_path, format, features)
    (root / f'a.{format}').write_bytes(b'')
    both_complain(FeatureStore(root), 'empty (0 bytes)', 'again')


@pytest.mark.parametrize('format', ['npy', 'npz', 'pt'])
@pytest.mark.parametrize('share', [0.02, 0.6, 0.99])
def test_truncated_file(tmp_path, format, share):
    root = write(tmp_path, format, entries(np.ones((40, CHANNELS), np.float32)))
    path = root / f'a.{format}'
    os.truncate(path, int(path.stat().st_size * share))
    both_complain(FeatureStore(root), 'truncated', 'copy, download or extract it again')


def test_truncated_csv(tmp_path):
    root = write(tmp_path, 'csv', entries(np.ones((3, CHANNELS), np.float32)))
    text = (root / 'a.csv').read_text()
    (root / 'a.csv').write_text(text[: text.rindex(',')])
    both_complain(FeatureStore(root), 'snippet 2 has 4 columns', 'snippet 0 has 5', 'again')


@pytest.mark.parametrize('field', ['abc', '', '1.2.3', 'e', '1e'])
def test_csv_that_is_no_table_of_numbers(tmp_path, field):
    root = write(tmp_path, 'csv', entries(np.ones((3, CHANNELS), np.float32)))
    with open(root / 'a.csv', 'a') as stream:
        stream.write(f'1,2,{field},4,5\n')
    both_complain(FeatureStore(root), 'no table of numbers', 'row 3', 'separated by commas')


def test_pickled_npy(tmp_path):
    root = write(tmp_path, 'npy', entries(np.ones((3, CHANNELS), np.float32)))
    np.save(root / 'a.npy', np.array([{'features': 1}], dtype=object), allow_pickle=True)
    both_complain(FeatureStore(root), 'is pickled', 'convert it once', 'allow_pickle=True')
    (root / 'a.npy').write_bytes(pickle.dumps([1, 2]))
    both_complain(FeatureStore(root), 'is pickled', 'convert it once')


def test_pickled_npz(tmp_path):
    root = write(tmp_path, 'npz', entries(np.ones((3, CHANNELS), np.float32)))
    np.savez(root / 'a.npz', features=np.array([[1, 'x']], dtype=object))
    both_complain(FeatureStore(root), 'is pickled', 'convert it once')


class Payload:
    def __reduce__(self):
        return (os.mkdir, ('hacked',))


def test_pickled_pt_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = write(tmp_path, 'pt', entries(np.ones((3, CHANNELS), np.float32)))
    torch.save(Payload(), root / 'a.pt')
    both_complain(FeatureStore(root), 'is pickled', 'convert it once')
    torch.save(Payload(), root / 'a.pt', _use_new_zipfile_serialization=False)
    both_complain(FeatureStore(root), 'is pickled', 'convert it once')
    assert not (tmp_path / 'hacked').exists()


@pytest.mark.parametrize('format', ['npy', 'npz', 'pt', 'hdf5'])
@pytest.mark.parametrize(
    ('array', 'words'),
    [
        (np.ones((3, CHANNELS, 7, 7), np.float32), ['(3, 5, 7, 7)', '2 axes', 'pool_axes=']),
        (np.ones((0, CHANNELS, 1, 1), np.float32), ['zero snippets', 'extract']),
        (np.ones(CHANNELS, np.float32), ['shape (5,)', '2 axes']),
        (np.ones((0, CHANNELS), np.float32), ['zero snippets', 'extract']),
        (np.ones((3, CHANNELS), np.int32), ['int32', 'float16, float32 or float64', 'convert']),
        (np.ones((3, CHANNELS), np.complex64), ['complex64', 'convert']),
    ],
)
def test_bad_arrays(tmp_path, format, array, words):
    both_complain(FeatureStore(write(tmp_path, format, entries(array))), *words)


def test_csv_with_only_a_header_row(tmp_path):
    root = write(tmp_path, 'csv', entries(np.ones((3, CHANNELS), np.float32)))
    (root / 'a.csv').write_text('f0,f1,f2,f3,f4\n')
    both_complain(FeatureStore(root), 'zero', 'extract')


def test_bfloat16(tmp_path):
    root = write(tmp_path, 'pt', entries(np.ones((3, CHANNELS), np.float32)))
    torch.save(torch.ones(3, CHANNELS, dtype=torch.bfloat16), root / 'a.pt')
    both_complain(FeatureStore(root), 'bfloat16', 'convert')


@pytest.mark.parametrize('format', ['npz', 'pt', 'hdf5'])
def test_several_entries_ask_for_one(tmp_path, features, format):
    a = features['a']
    if format == 'hdf5':
        root = tmp_path / 'f.h5'
        with h5py.File(root, 'w') as file:
            file['a/flow'], file['a/rgb'] = a, a
    elif format == 'npz':
        root = tmp_path
        np.savez(root / 'a.npz', flow=a, rgb=a)
    else:
        root = tmp_path
        torch.save({'flow': torch.from_numpy(a), 'rgb': torch.from_numpy(a)}, root / 'a.pt')
    with pytest.raises(FeatureError, match="(?s)'flow', 'rgb'.*entry="):
        FeatureStore(root).read('a')
    assert FeatureStore(root, entry='rgb').names() == ['a']
    with pytest.raises(FeatureError, match='(?s)pose'):
        FeatureStore(root, entry='pose').read('a')


@pytest.mark.parametrize('format', FORMATS)
@pytest.mark.parametrize(('value', 'kind'), [(np.nan, 'NaN'), (-np.inf, 'Inf')])
def test_values_that_are_not_finite(tmp_path, features, format, value, kind):
    features['a'][3, 2] = features['a'][5, 0] = value
    store = FeatureStore(write(tmp_path, format, features))
    store.check(values=False)
    text = complaint(store)
    assert f'2 of 35 values are NaN or Inf, the first is {kind} at snippet 3, channel 2' in text


@pytest.mark.parametrize('number', ['1e39', '1e+39', '1E39', '1e+139', '9' * 40])
def test_csv_number_that_float32_cannot_hold(tmp_path, number):
    (tmp_path / 'a.csv').write_text(f'1,2\n{number},2\n')
    with pytest.raises(FeatureError, match='Inf at snippet 1, channel 0'):
        FeatureStore(tmp_path).check()


def test_large_files_are_looked_at_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr('mmsola.datasets.features.feature_check._BLOCK_BYTES', 4 * CHANNELS * 2)
    array = np.ones((9, CHANNELS), np.float32)
    array[[4, 7], 1] = np.nan
    text = complaint(FeatureStore(write(tmp_path, 'npy', entries(array))))
    assert '2 of 45 values' in text and 'NaN at snippet 4, channel 1' in text


def test_wrong_channels_against_the_setting(tmp_path):
    root = write(tmp_path, 'npy', entries(np.ones((3, 4), np.float32)))
    both_complain(FeatureStore(root, num_channels=CHANNELS), '4 channels', '5 channels', 'num_ch')


def test_wrong_channels_against_the_others(tmp_path, features):
    features['a'] = np.ones((3, 4), np.float32)
    text = complaint(FeatureStore(write(tmp_path, 'npy', features)))
    assert '4 channels' in text and '5, as 2 of 3 videos' in text


def test_transposed_against_the_setting(tmp_path, features):
    features['a'] = features['a'].T
    store = FeatureStore(write(tmp_path, 'npy', features), num_channels=CHANNELS)
    both_complain(store, 'looks like (C, T)', "set layout='CT'")


@pytest.mark.parametrize(('layout', 'other'), [('TC', 'CT'), ('CT', 'TC')])
def test_transposed_against_the_others(tmp_path, features, layout, other):
    stored = {name: array.T if layout == 'TC' else array for name, array in features.items()}
    root = write(tmp_path, 'npy', stored)
    with pytest.raises(FeatureError, match=f"(?s)looks like.*set layout='{other}'"):
        FeatureStore(root, layout=layout).check()
    FeatureStore(root, layout=other).check()


def test_equally_long_videos_are_not_taken_for_transposed(tmp_path):
    features = {name: np.ones((10, CHANNELS), np.float32) for name in 'abc'}
    FeatureStore(write(tmp_path, 'npy', features)).check()
    features['c'] = np.ones((10, 4), np.float32)
    assert '4 channels' in complaint(FeatureStore(write(tmp_path, 'npy', features)), 'c')


@pytest.mark.parametrize(('start', 'stop'), [(-1, 3), (0, 8), (3, 3), (5, 2), (7, None)])
def test_window_outside_the_video(tmp_path, features, start, stop):
    store = FeatureStore(write(tmp_path, 'npy', features))
    with pytest.raises(FeatureError, match='(?s)a.npy.*it has 7.*window inside'):
        store.read('a', start, stop)


def test_check_lists_a_few_and_counts_all(tmp_path):
    features = {f'v{index}': np.full((3, 2), np.nan, np.float32) for index in range(8)}
    with pytest.raises(FeatureError, match='8 of 8 videos') as caught:
        FeatureStore(write(tmp_path, 'npy', features)).check()
    text = str(caught.value)
    assert text.count('fix: ') == 5 and '... and 3 more' in text


def test_check_does_not_parse_plain_csv(tmp_path, features, monkeypatch):
    store = FeatureStore(write(tmp_path, 'csv', features))
    monkeypatch.setattr(np, 'loadtxt', lambda *_, **__: pytest.fail('parsed'))
    store.check()


# Passed checks are remembered -------------------------------------------------------------------


def overwrite_unnoticed(path):
    """Spoil a file behind the back of its size and modification time."""
    status = path.stat()
    path.write_bytes(b'x' * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize('format', ['csv', 'npy', 'npz', 'pt'])
def test_unchanged_files_are_not_opened_again(tmp_path, features, format):
    root = write(tmp_path, format, features)
    FeatureStore(root).check()
    for name in features:
        overwrite_unnoticed(root / f'{name}.{format}')
    store = FeatureStore(root)
    store.check()
    assert store.shape('train/c') == (12, CHANNELS)  # remembered, too


def test_unchanged_hdf5_is_not_opened_again(tmp_path, features):
    root = write(tmp_path, 'hdf5', features)
    store = FeatureStore(root)
    store.check()
    again = FeatureStore(root)
    overwrite_unnoticed(root)
    again.check(list(features))


def test_changed_file_is_checked_anew(tmp_path, features):
    root = write(tmp_path, 'npy', features)
    FeatureStore(root).check()
    features['a'][0, 0] = np.nan
    np.save(root / 'a.npy', features['a'])
    os.utime(root / 'a.npy', ns=(1, 1))
    assert 'NaN' in complaint(FeatureStore(root))
    overwrite_unnoticed(root / 'b.npy')
    assert 'NaN' in complaint(FeatureStore(root))  # a failed check is not remembered, b still is


def test_headers_alone_do_not_count_for_values(tmp_path, features):
    features['a'][0, 0] = np.nan
    store = FeatureStore(write(tmp_path, 'npy', features))
    store.check(values=False)
    assert 'NaN' in complaint(store)


def test_other_settings_are_checked_anew(tmp_path, features):
    root = write(tmp_path, 'npy', features)
    FeatureStore(root).check()
    with pytest.raises(FeatureError, match='3 of 3'):
        FeatureStore(root, num_channels=4).check()


def test_shares_of_a_store_are_remembered_together(tmp_path, features, cache):
    store = FeatureStore(write(tmp_path, 'npy', features))
    store.check(['a'])
    store.check(['b', 'train/c'])
    (file,) = cache.iterdir()
    assert set(json.loads(file.read_text())['passed']) == set(features)


@pytest.mark.parametrize('text', ['', '{"passed": 3}', '{"passed": {"a": [1]}}', '[]', '\x00'])
def test_spoiled_cache_is_not_used(tmp_path, features, cache, text):
    store = FeatureStore(write(tmp_path, 'npy', features))
    store.check()
    (file,) = cache.iterdir()
    file.write_text(text)
    store.check()
    assert set(json.loads(file.read_text())['passed']) == set(features)


def test_unwritable_cache_is_not_used(tmp_path, features, monkeypatch):
    (tmp_path / 'taken').touch()
    monkeypatch.setenv('MMSOLA_CACHE', str(tmp_path / 'taken'))
    FeatureStore(write(tmp_path, 'npy', features)).check()


def test_a_kill_while_results_of_a_check_are_written_keeps_those_before(
    tmp_path, features, monkeypatch
):
    store = FeatureStore(write(tmp_path, 'npy', features))
    store.check()
    before = check_cache.load(store.settings())

    def killed(source, target):
        raise KeyboardInterrupt

    np.save(store.path('a'), features['b'])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, 'replace', killed)
        FeatureStore(store.root).check()
    assert check_cache.load(store.settings()) == before and len(before) == len(features)
    assert not list(tmp_path.rglob('*.partial*'))


@pytest.mark.skipif(sys.platform != 'linux', reason='other systems have other folders')
@pytest.mark.parametrize('variable', ['MMSOLA_CACHE', 'XDG_CACHE_HOME', None])
def test_the_cache_lies_where_the_environment_says(tmp_path, monkeypatch, variable):
    for key in ('MMSOLA_CACHE', 'XDG_CACHE_HOME'):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv('HOME', str(tmp_path))
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / 'other'))
    expected = {'MMSOLA_CACHE': 'other', 'XDG_CACHE_HOME': 'other/mmsola', None: '.cache/mmsola'}
    assert cache_folder() == tmp_path / expected[variable]


# --- arrays that are slow to read ----------------------------------------------------------------


def never(*args, **kwargs):
    raise AssertionError('read again')


@pytest.fixture
def slow(request, tmp_path, features):
    """A folder of files that are parsed, and how to forbid that they are parsed again."""
    root = write(tmp_path, request.param, features)
    of_csv = (np, 'loadtxt')
    of_npz = (containers.npy_format, 'read_array')
    return root, of_csv if request.param == 'csv' else of_npz


SLOW = pytest.mark.parametrize('slow', ['csv', 'npz'], indirect=True)


@SLOW
def test_a_parsed_file_is_not_parsed_again(slow, features, monkeypatch):
    root, parser = slow
    first = {name: FeatureStore(root).read(name) for name in features}
    monkeypatch.setattr(*parser, never)
    store = FeatureStore(root)
    for name, array in first.items():
        assert np.array_equal(store.read(name), array) and np.array_equal(array, features[name])
        assert np.array_equal(store.read(name, 1, 3), array[1:3])
        assert store.read(name).flags.writeable  # a copy: the cache is nobody's to write to


@SLOW
def test_a_changed_file_is_parsed_anew_and_the_old_array_dropped(slow, features, tmp_path):
    root, _ = slow
    FeatureStore(root).read('a')
    (kept,) = (tmp_path / 'cache' / 'arrays').rglob('*.npy')
    other = {'a': features['a'] + 1}
    (tmp_path / 'other').mkdir()
    fresh = write(tmp_path / 'other', slow_file(root).suffix[1:], other)
    slow_file(root).write_bytes(slow_file(fresh).read_bytes())
    os.utime(slow_file(root), ns=(1, 1))
    assert np.array_equal(FeatureStore(root).read('a'), other['a'])
    (now,) = (tmp_path / 'cache' / 'arrays').rglob('*.npy')
    assert now != kept


@SLOW
@pytest.mark.parametrize('damage', [b'', b'nonsense', None])
def test_a_damaged_cache_is_parsed_around(slow, features, tmp_path, damage):
    root, _ = slow
    FeatureStore(root).read('a')
    (kept,) = (tmp_path / 'cache' / 'arrays').rglob('*.npy')
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert np.array_equal(FeatureStore(root).read('a'), features['a'])
    assert kept.read_bytes() == whole


@SLOW
def test_without_a_cache_nothing_is_kept(slow, features, tmp_path):
    root, _ = slow
    assert np.array_equal(FeatureStore(root, cache=False).read('a'), features['a'])
    assert not (tmp_path / 'cache').exists()


@SLOW
def test_an_unwritable_cache_is_said_once_and_read_around(
    slow, features, tmp_path, log_lines, monkeypatch
):
    root, _ = slow
    (tmp_path / f'taken {slow[1][1]}').touch()
    monkeypatch.setenv('MMSOLA_CACHE', str(tmp_path / f'taken {slow[1][1]}'))
    store = FeatureStore(root)
    for name in [*features, *features]:
        assert np.array_equal(store.read(name), features[name])
    (line,) = (line for line in log_lines if 'cannot keep parsed features' in line)
    assert 'MMSOLA_CACHE' in line


def slow_file(root):
    """The file of video a."""
    (path,) = root.glob('a.*')
    return path


def test_a_first_csv_row_with_one_damaged_number_is_no_header(tmp_path):
    (tmp_path / 'a.csv').write_text('1.0,oops,3\n4,5,6\n')
    with pytest.raises(FeatureError, match=r'a\.csv'):
        FeatureStore(tmp_path).read('a')


def test_pickled_files_are_refused_with_a_line_that_converts_them(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(array))
    with pytest.raises(FeatureError, match='is pickled') as error:
        FeatureStore(tmp_path)
    command = str(error.value).split('convert it once: ')[1].strip()
    subprocess.run(command.replace('python', sys.executable, 1), shell=True, check=True)
    assert np.array_equal(FeatureStore(tmp_path).read('a'), array)


# More than two axes -------------------------------------------------------------------------------


@pytest.mark.parametrize('format', ['npy', 'npz', 'pt', 'hdf5'])
@pytest.mark.parametrize(
    ('layout', 'to_stored'),
    [
        ('TC', lambda a: a[:, :, None, None, None]),
        ('TC', lambda a: a[None]),
        ('TC', lambda a: a[:, None]),
        ('CT', lambda a: a.T[None, :, :, None, None]),
        ('CT', lambda a: a.T[..., None, None]),
    ],
)
def test_axes_of_length_one_are_left_out(tmp_path, features, format, layout, to_stored):
    features['b'] = features['b'][:1]  # one snippet is one more axis of length 1
    stored = {name: to_stored(array) for name, array in features.items()}
    store = FeatureStore(write(tmp_path, format, stored), layout=layout)
    store.check()
    for name, expected in features.items():
        assert store.shape(name) == expected.shape
        np.testing.assert_array_equal(store.read(name), expected)
    np.testing.assert_array_equal(store.read('a', 2, 5), features['a'][2:5])


@pytest.mark.parametrize('format', ['npy', 'npz', 'pt', 'hdf5'])
@pytest.mark.parametrize(('layout', 'axes'), [('TC', [1]), ('TC', [-2]), ('CT', [1, 3])])
def test_axes_are_averaged_on_request(tmp_path, features, format, layout, axes):
    random = np.random.default_rng(0)
    features['b'] = features['b'][:1]
    stored = {}
    for name, array in features.items():
        if layout == 'TC':
            crops = array[:, None] + random.standard_normal((len(array), 10, CHANNELS))
            features[name] = crops.mean(1)
        else:
            crops = array.T[:, None, :, None] + random.standard_normal((1, 3, 1, 7))
            features[name] = crops.mean((1, 3)).T
        stored[name] = crops.astype(np.float32)
    store = FeatureStore(write(tmp_path, format, stored), layout=layout, pool_axes=axes)
    store.check()
    for name, expected in features.items():
        assert store.shape(name) == expected.shape
        np.testing.assert_allclose(store.read(name), expected, atol=1e-5)
    np.testing.assert_allclose(store.read('a', 2, 5), features['a'][2:5], atol=1e-5)


def test_half_precision_is_averaged_in_single(tmp_path):
    crops = np.full((3, 4000, CHANNELS), 20.0, np.float16)  # their sum is none of half precision
    store = FeatureStore(write(tmp_path, 'npy', {'a': crops}), pool_axes=[1])
    np.testing.assert_array_equal(store.read('a'), np.full((3, CHANNELS), 20.0, np.float32))


@pytest.mark.parametrize('format', ['npy', 'pt'])
def test_the_line_that_converts_ten_crops_does(tmp_path, format):
    crops = np.random.default_rng(0).random((7, 10, 64), np.float32)
    root = write(tmp_path, format, {'a': crops})
    with pytest.raises(FeatureError, match=r'feature=dict\(pool_axes=\[1\]\)') as error:
        FeatureStore(root).check()
    line = str(error.value).split('convert each file once: ')[1]
    subprocess.run(line.replace('python', sys.executable, 1), shell=True, check=True)
    store = FeatureStore(root)
    np.testing.assert_allclose(store.read('a'), crops.mean(1), atol=1e-6)


def test_an_axis_to_pool_that_is_not_there_is_named(tmp_path):
    root = write(tmp_path, 'npy', {'a': np.ones((7, 10, 64), np.float32)})
    with pytest.raises(FeatureError, match='no axis 3 to pool'):
        FeatureStore(root, pool_axes=[3]).check()
