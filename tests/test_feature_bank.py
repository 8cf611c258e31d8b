"""A feature bank gives the windows that the pipeline reads, wherever it lies."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
import threading
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
import torch
from mmaction.registry import DATA_SAMPLERS, DATASETS, MODELS
from mmengine.dataset import pseudo_collate
from small_pretrainings import without_validation
from torch.utils.data import DataLoader

from mmsola.datasets.features import bank_file, feature_bank, free_memory
from mmsola.datasets.features.feature_bank import FeatureBank
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.samplers import Draw
from mmsola.engine.launch import build_runner, leave_out_idle_workers

WINDOW, CHANNELS, LENGTHS = 5, 3, (6, 40, 9, 17, 23, 11)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('MMSOLA_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / 'features').mkdir()
    for i, length in enumerate(LENGTHS):
        feature = rng.standard_normal((length, CHANNELS)).astype(np.float32)
        np.save(tmp_path / 'features' / f'v{i}.npy', feature)
    return tmp_path / 'features'


def store_of(root, kind):
    """The same features in another container."""
    if kind == 'npy':
        return FeatureStore(root)
    other = root.with_name(kind)
    arrays = {path.stem: np.load(path) for path in sorted(root.glob('*.npy'))}
    if kind == 'hdf5':
        with h5py.File(other, 'w') as file:
            for name, array in arrays.items():
                file[name] = array
        return FeatureStore(other)
    other.mkdir()
    for name, array in arrays.items():
        if kind == 'CT':
            np.save(other / f'{name}.npy', array.T)
        else:
            np.savetxt(other / f'{name}.csv', array, '%.9g', delimiter=',')
    return FeatureStore(other, layout='CT' if kind == 'CT' else 'TC')


def bank_of(store, **kwargs):
    return FeatureBank([(store, name) for name in store.names()], **kwargs)


def some_windows(bank, seed=0):
    rng = np.random.default_rng(seed)
    videos = rng.integers(len(LENGTHS), size=50)
    fractions = np.concatenate([rng.random(48), [0, np.nextafter(1, 0)]])
    return videos, fractions, bank.windows(videos, fractions, WINDOW)


@pytest.mark.parametrize('memory_share', [0.8, 0.0], ids=['memory', 'file'])
@pytest.mark.parametrize('kind', ['npy', 'hdf5', 'CT', 'csv'])
def test_windows_are_those_of_the_store_to_the_last_bit(root, kind, memory_share):
    store = store_of(root, kind)
    bank = bank_of(store, memory_share=memory_share, device='cpu')
    assert (bank.path is None) == (memory_share > 0)
    videos, fractions, windows = some_windows(bank)
    assert windows.shape == (50, CHANNELS, WINDOW) and windows.dtype == torch.float32
    for video, fraction, window in zip(videos, fractions, windows):
        start = int(fraction * (LENGTHS[video] - WINDOW + 1))
        expected = store.read(f'v{video}', start, start + WINDOW)
        assert torch.equal(window, torch.from_numpy(expected.T))


def test_the_first_and_the_last_window_of_a_video_can_be_drawn(root):
    store = FeatureStore(root)
    bank = bank_of(store, device='cpu')
    for video, length in enumerate(LENGTHS):
        whole = torch.from_numpy(store.read(f'v{video}').T)
        first, last = bank.windows(np.array([video] * 2), np.array([0, np.nextafter(1, 0)]), WINDOW)
        assert torch.equal(first, whole[:, :WINDOW])
        assert torch.equal(last, whole[:, length - WINDOW :])


def test_half_precision_rounds_and_nothing_else(root):
    store = FeatureStore(root)
    *_, exact = some_windows(bank_of(store, device='cpu'))
    for memory_share in (0.8, 0.0):
        bank = bank_of(store, device='cpu', dtype='float16', memory_share=memory_share)
        assert bank.values.dtype == torch.float16
        assert torch.equal(some_windows(bank)[2], exact.half().float())


def test_what_does_not_fit_is_mapped_from_a_file_and_said_in_one_line(root, log_lines, monkeypatch):
    num_bytes = sum(LENGTHS) * CHANNELS * 4
    monkeypatch.setattr(feature_bank, 'free_memory', lambda device: 2 * num_bytes)
    bank_of(FeatureStore(root), memory_share=0.5, device='cpu')
    assert [line for line in log_lines if 'mapped from' in line] == []
    bank = bank_of(FeatureStore(root), memory_share=0.49, device='cpu')
    (line,) = (line for line in log_lines if 'mapped from' in line)
    assert str(bank.path) in line and f'{len(LENGTHS)} videos' in line


def test_a_mapped_file_is_made_once_and_anew_for_other_features(root, monkeypatch, cache):
    first = bank_of(FeatureStore(root), memory_share=0, device='cpu').path
    assert first.is_relative_to(cache)
    stamp = first.stat().st_mtime_ns
    with monkeypatch.context() as context:
        context.setattr(FeatureStore, 'read', None)  # nobody reads the features again
        assert bank_of(FeatureStore(root), memory_share=0, device='cpu').path == first
    assert first.stat().st_mtime_ns == stamp
    np.save(root / 'v1.npy', np.ones((40, CHANNELS), np.float32))
    os.utime(root / 'v1.npy', ns=(1, 1))
    store = FeatureStore(root)
    other = bank_of(store, memory_share=0, device='cpu')
    assert other.path != first
    assert (other.windows(np.array([1]), np.array([0.3]), WINDOW) == 1).all()
    assert bank_of(store, memory_share=0, device='cpu', dtype='float16').path != other.path


def test_a_bank_that_was_not_finished_leaves_no_file(root, monkeypatch, cache):
    read = FeatureStore.read

    def fail(self, name, *args):
        if name == 'v3':
            raise OSError('gone')
        return read(self, name, *args)

    monkeypatch.setattr(FeatureStore, 'read', fail)
    with pytest.raises(OSError, match='gone'):
        bank_of(FeatureStore(root), memory_share=0, device='cpu')
    assert list(cache.rglob('*.npy')) == []


def test_a_mapped_file_lies_on_the_host_whatever_was_asked_for(root, monkeypatch):
    """So that workers may read from it."""
    free_bytes(monkeypatch, cpu=10, cuda=10)
    bank = bank_of(FeatureStore(root), device='cuda')
    assert bank.path is not None and not bank.on_gpu
    assert some_windows(bank)[2].device.type == 'cpu'


def test_the_spill_folder_is_a_setting(root, tmp_path):
    bank = bank_of(FeatureStore(root), memory_share=0, device='cpu', spill_dir=tmp_path / 'big')
    assert bank.path.parent == tmp_path / 'big'


def test_a_full_disk_is_told_before_anything_is_written(root, monkeypatch, cache):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: usage(100, 90, 10))
    with pytest.raises(FeatureError, match='spill_dir') as caught:
        bank_of(FeatureStore(root), memory_share=0, device='cpu')
    assert 'GB of disk are free' in str(caught.value)
    assert list(cache.rglob('*.npy')) == []


@pytest.mark.parametrize('memory_share', [0.8, 0.0])
def test_a_value_that_half_precision_cannot_hold_names_its_file(root, memory_share, cache):
    feature = np.zeros((8, CHANNELS), np.float32)
    feature[3, 1] = 70000
    np.save(root / 'v2.npy', feature)
    with pytest.raises(FeatureError, match=r'v2\.npy: holds 70000'):
        bank_of(FeatureStore(root), dtype='float16', memory_share=memory_share, device='cpu')
    bank_of(FeatureStore(root), dtype='float32', device='cpu')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(dtype='bfloat16'), "dtype is 'bfloat16'; expected 'float32' or 'float16'"),
        (dict(memory_share=1.5), r'memory_share is 1.5; expected a share in \[0, 1\]'),
    ],
)
def test_bad_arguments(root, arguments, message):
    with pytest.raises(ValueError, match=message):
        bank_of(FeatureStore(root), **arguments)


def test_features_of_two_widths_are_refused(root, tmp_path):
    (tmp_path / 'wide').mkdir()
    np.save(tmp_path / 'wide' / 'w.npy', np.ones((8, 7), np.float32))
    one, other = FeatureStore(root), FeatureStore(tmp_path / 'wide')
    with pytest.raises(ValueError, match=r'one width, found \[3, 7\]'):
        FeatureBank([(one, 'v0'), (other, 'w')])


def test_one_process_of_a_machine_writes_and_the_others_wait(root, monkeypatch):
    monkeypatch.setattr(bank_file, '_POLL_SEC', 0.01)
    monkeypatch.setenv('LOCAL_RANK', '1')
    waiting: list[FeatureBank] = []
    store = FeatureStore(root)
    thread = threading.Thread(
        target=lambda: waiting.append(bank_of(store, memory_share=0, device='cpu'))
    )
    thread.start()
    thread.join(0.1)
    assert thread.is_alive() and not waiting
    monkeypatch.setenv('LOCAL_RANK', '0')
    written = bank_of(FeatureStore(root), memory_share=0, device='cpu')
    thread.join(10)
    assert torch.equal(waiting[0].values, written.values)


def test_a_copy_shares_the_features(root):
    bank = bank_of(FeatureStore(root), device='cpu')
    assert copy.deepcopy(bank) is bank


# --- memory ---------------------------------------------------------------------------------------


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups of this process: a job inside of a user's slice, in either version."""
    root = tmp_path / 'cgroup'
    monkeypatch.setattr(free_memory, '_CGROUPS', root)
    monkeypatch.setattr(free_memory, '_OWN_CGROUPS', tmp_path / 'own')
    for key in free_memory._PROCESSES:
        monkeypatch.delenv(key, raising=False)

    def limit(version, folder, most, used, in_files):
        (tmp_path / 'own').write_text(
            {1: '5:cpu,memory:/user/job\n3:cpuset:/\n', 2: '0::/user/job\n'}[version]
        )
        folder = root / {1: 'memory', 2: ''}[version] / folder
        folder.mkdir(parents=True, exist_ok=True)
        names = {1: ('limit_in_bytes', 'usage_in_bytes'), 2: ('max', 'current')}[version]
        for name, value in zip(names, (most, used)):
            (folder / f'memory.{name}').write_text(f'{value}\n')
        prefix = {1: 'total_', 2: ''}[version]
        (folder / 'memory.stat').write_text(
            f'anon 3\n{prefix}inactive_file {in_files}\n{prefix}active_file 50\n'
        )

    return limit


@pytest.mark.parametrize('version', [1, 2])
def test_free_memory_is_what_the_tightest_limit_leaves(groups, version):
    """Files that are kept in memory count as used there, and are given up when needed."""
    cpu = torch.device('cpu')
    groups(version, 'user/job', 'max', 1000, 0)
    assert free_memory.free_memory(cpu) > 10**6
    groups(version, 'user/job', 9000, 2000, 950)
    assert free_memory.free_memory(cpu) == 9000 - 2000 + 1000
    groups(version, 'user', 7000, 6050, 0)
    assert free_memory.free_memory(cpu) == 1000
    groups(version, 'user', 5000, 6050, 0)
    assert free_memory.free_memory(cpu) == 0


@pytest.mark.parametrize('key', free_memory._PROCESSES)
def test_free_memory_is_shared_among_the_processes_of_a_machine(groups, monkeypatch, key):
    groups(2, 'user/job', 9000, 1050, 0)
    monkeypatch.setenv(key, '4')
    assert free_memory.free_memory(torch.device('cpu')) == 2000


def free_bytes(monkeypatch, cpu, cuda=0):
    monkeypatch.setattr(
        feature_bank, 'free_memory', lambda device: cpu if device.type == 'cpu' else cuda
    )


def test_what_a_gpu_cannot_hold_goes_to_the_host(root, monkeypatch):
    free_bytes(monkeypatch, cpu=10**9)
    bank = bank_of(FeatureStore(root), device='cuda')
    assert bank.path is None and not bank.on_gpu


def test_all_processes_take_the_place_that_fits_in_each(root, monkeypatch):
    free_bytes(monkeypatch, cpu=10**9)
    monkeypatch.setattr(feature_bank, 'all_reduce', lambda fits, how: fits.fill_(0))
    assert bank_of(FeatureStore(root), device='cpu').path is not None


def test_a_file_larger_than_the_memory_is_mapped(root):
    path = bank_of(FeatureStore(root), memory_share=0, device='cpu').path
    num_snippets = 2 * (psutil.virtual_memory().total + psutil.swap_memory().total) // 2048
    with open(path, 'wb') as file:  # all zeros, which take no room
        header = dict(shape=(num_snippets, 512), fortran_order=False, descr='<f4')
        np.lib.format.write_array_header_2_0(file, header)
        file.truncate(file.tell() + num_snippets * 2048)
    values = bank_file.map_values(path)
    assert len(values) == num_snippets
    assert not values[num_snippets // 2 : num_snippets // 2 + WINDOW].any()


def test_remains_of_a_killed_run_are_cleared_away_after_a_day(root, monkeypatch):
    path = bank_of(FeatureStore(root), memory_share=0, device='cpu').path
    old, new, other = (path.with_name(f'.partial-{i}-ab-{path.name}') for i in range(3))
    other = other.with_name('.partial-2-ab-other.npy')
    for each in (old, new, other):
        each.touch()
    os.utime(old, (1, 1)), os.utime(other, (1, 1))
    path.unlink()
    bank_of(FeatureStore(root), memory_share=0, device='cpu')
    assert [each.exists() for each in (old, new, other)] == [False, True, True]


# --- in a data set --------------------------------------------------------------------------------


def config(root, **kwargs):
    return dict(
        type='SnippetFeatureDataset',
        data_prefix=dict(feature=str(root)),
        pipeline=[
            dict(type='LoadSnippetWindow', window=WINDOW),
            dict(type='PackSnippetInputs', meta_keys=('video_name',)),
        ],
        **kwargs,
    )


def epoch_of(dataset, num_workers=0):
    sampler = DATA_SAMPLERS.build(
        dict(type='SnippetWindowSampler', seed=0), default_args=dict(dataset=dataset)
    )
    loader = DataLoader(
        dataset, batch_size=4, sampler=sampler, num_workers=num_workers, collate_fn=pseudo_collate
    )
    stack = MODELS.build(dict(type='SnippetDataPreprocessor'))
    return [stack(batch)['inputs'] for batch in loader]


@pytest.mark.parametrize('num_workers', [0, 2])
@pytest.mark.parametrize('memory_share', [0.8, 0.0], ids=['memory', 'file'])
def test_an_epoch_of_the_bank_is_that_of_the_files(root, num_workers, memory_share):
    files = epoch_of(DATASETS.build(config(root)))
    bank = epoch_of(
        DATASETS.build(config(root, bank=dict(device='cpu', memory_share=memory_share))),
        num_workers,
    )
    assert len(files) == len(bank) == 2
    assert all(torch.equal(one, other) for one, other in zip(files, bank))


def test_data_sets_in_others_are_read_from_their_banks(root, monkeypatch):
    nested = [
        dict(
            type='ConcatDataset',
            datasets=[
                config(root, bank=bank, indices=3),
                dict(type='RepeatDataset', dataset=config(root, bank=bank), times=2),
            ],
        )
        for bank in (None, dict(device='cpu'))
    ]
    files = epoch_of(DATASETS.build(nested[0]))
    dataset = DATASETS.build(nested[1])
    monkeypatch.setattr(FeatureStore, 'read', None)
    bank = epoch_of(dataset)
    assert len(files) == len(bank) == 4
    assert all(torch.equal(one, other) for one, other in zip(files, bank))


def test_a_batch_without_drawn_places_draws_its_own(root):
    dataset = DATASETS.build(config(root, bank=dict(device='cpu')))
    (item,) = dataset.__getitems__([1, Draw(2, 0.5)])
    assert item['inputs'].shape == (2, CHANNELS, WINDOW)


def test_only_videos_of_the_data_set_are_read(root, log_lines):
    dataset = DATASETS.build(config(root, bank=dict(device='cpu'), indices=2, min_snippets=9))
    assert len(dataset) == 2 and dataset._bank_windows.bank.num_snippets.tolist() == [40, 9]


@pytest.mark.parametrize('in_place', [True, False])
def test_a_subset_trains_on_its_own_videos(root, in_place):
    """As MMEngine cuts one out of a data set, for folds of a cross-validation say."""
    epochs = []
    for bank in (None, dict(device='cpu')):
        dataset = DATASETS.build(config(root, bank=bank))
        if in_place:
            dataset.get_subset_([4, 2, 5])
        else:
            dataset = dataset.get_subset([4, 2, 5])
        epochs.append(epoch_of(dataset))
    assert torch.equal(epochs[0][0], epochs[1][0]) and len(epochs[1][0]) == 3


@pytest.mark.parametrize('bank', [None, dict(device='cpu'), dict(device='cpu', memory_share=0)])
def test_a_pickled_data_set_reads_the_same_windows(root, bank):
    """As workers of a loader are given one where processes are spawned."""
    dataset = DATASETS.build(config(root, bank=bank))
    other = pickle.loads(pickle.dumps(dataset))
    assert all(torch.equal(one, two) for one, two in zip(epoch_of(dataset), epoch_of(other)))


def test_whole_videos_are_read_from_a_bank_as_from_files(root):
    store = FeatureStore(root)
    bank = bank_of(store, device='cpu')
    for name in store.names():
        assert np.array_equal(bank.read(name), store.read(name))


def test_a_bank_stands_for_one_pipeline_only(root):
    whole = config(root, bank=dict(device='cpu'))
    whole['pipeline'][0] = dict(type='LoadSnippetSequence')
    with pytest.raises(ValueError, match='LoadSnippetSequence, PackSnippetInputs. Set bank=None'):
        DATASETS.build(whole)


def test_workers_cannot_read_from_a_gpu(root, monkeypatch):
    dataset = DATASETS.build(config(root, bank=dict(device='cpu')))
    dataset._bank_windows.bank.device = torch.device('cuda')  # only its name is looked at
    with pytest.raises(ValueError, match='set num_workers=0'):
        epoch_of(dataset, num_workers=1)


@pytest.mark.parametrize('memory_share', [0.8, 0.0], ids=['memory', 'file'])
def test_training_with_a_bank_learns_what_training_from_files_learns(tiny_config, memory_share):
    tiny_config.launcher = 'none'
    tiny_config.custom_hooks = []
    without_validation(tiny_config)
    weights = []
    for bank in (None, dict(device='cpu', memory_share=memory_share)):
        tiny_config.train_dataloader.dataset.bank = bank
        tiny_config.work_dir = str(Path(tiny_config.work_dir).with_name(f'bank_{bool(bank)}'))
        runner = build_runner(copy.deepcopy(tiny_config))
        runner.train()
        weights.append(runner.model.state_dict())
    for key, expected in weights[0].items():  # sums of another layout in memory may round otherwise
        torch.testing.assert_close(weights[1][key], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ('bank', 'kept'),
    [(dict(), 0), (dict(memory_share=0.5), 0), (dict(memory_share=0), 2), (None, 2)],
)
def test_workers_are_left_out_where_a_bank_has_no_work_for_them(tiny_config, bank, kept, log_lines):
    loader = tiny_config.train_dataloader
    loader.update(num_workers=2, persistent_workers=True, prefetch_factor=2)
    loader.dataset.bank = bank
    leave_out_idle_workers(tiny_config)
    assert loader.num_workers == kept and loader.persistent_workers == bool(kept)
    assert ('prefetch_factor' in loader) == bool(kept)
    assert ('2 workers are left out' in ''.join(log_lines)) == (not kept)
