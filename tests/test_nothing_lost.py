"""Exports and extractions lose nothing: not what is the user's, not what another process writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from mmsola.apis.export import MANIFEST as EXPORT_MANIFEST
from mmsola.apis.export import ExportError, export_features
from mmsola.apis.extraction import MANIFEST, ExtractionError, extract_features
from mmsola.atomic import raise_disk_faults_as, remove_partials, replacing
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.videos.snippet_sampling import SnippetSampling
from mmsola.files.folder_lock import only_writer
from mmsola.models.necks import SoLa

CHANNELS = 4
every_format = pytest.mark.parametrize('format', ['npy', 'csv', 'hdf5'])


def write_features(folder, names):
    for i, name in enumerate(names):
        file = folder / f'{name}.npy'
        file.parent.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(i)
        np.save(file, random.standard_normal((3 + i, CHANNELS)).astype(np.float32))
    return FeatureStore(folder)


@pytest.fixture
def store(tmp_path):
    return write_features(tmp_path / 'features', ['a', 'b', 'sub/c'])


@pytest.fixture
def neck():
    torch.manual_seed(0)
    weights = SoLa(CHANNELS, hidden_channels=3).state_dict()
    neck = SoLa(CHANNELS, hidden_channels=3, frozen=True)
    neck.load_state_dict({**weights, 'alpha': torch.tensor([0.7])})
    return neck


def out_of(tmp_path, format):
    return tmp_path / 'out' / ('sola.h5' if format == 'hdf5' else 'sola')


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


# Only our own files are removed -------------------------------------------------------------------


@every_format
def test_overwriting_removes_what_the_manifest_lists_and_nothing_else(
    tmp_path, store, neck, format
):
    out = out_of(tmp_path, format)
    export_features(neck, [store], out, format)
    folder = out if format != 'hdf5' else out.parent
    np.save(folder / 'mine.npy', np.zeros(3))
    (folder / 'notes.csv').write_text('three years of work')
    (folder / 'sub').mkdir(exist_ok=True)
    (folder / 'sub' / 'mine.csv').write_text('more of it')
    mine = {k: v for k, v in files(folder).items() if 'mine' in k or 'notes' in k}
    fewer = write_features(tmp_path / 'fewer', ['a'])
    assert export_features(neck, [fewer], out, format, overwrite=True)['written'] == 1
    left = files(folder)
    assert {k: left[k] for k in mine} == mine
    assert not [k for k in left if k.endswith(('b.npy', 'b.csv', 'c.npy', 'c.csv'))]


def test_nothing_is_removed_before_the_new_settings_passed(tmp_path, store, neck):
    export_features(neck, [store], tmp_path / 'out')
    before = files(tmp_path / 'out')
    bad = write_features(tmp_path / 'bad', ['a'])
    (tmp_path / 'bad' / 'a.npy').write_bytes(b'damaged')
    with pytest.raises(ValueError, match=r'a\.npy'):
        export_features(neck, [bad], tmp_path / 'out', overwrite=True)
    assert files(tmp_path / 'out') == before


@pytest.mark.parametrize('out', ['features', '.', 'link'])
def test_an_export_into_its_source_is_refused(tmp_path, store, neck, out):
    (tmp_path / 'link').symlink_to(tmp_path / 'features')
    # even where an export had been begun before
    (tmp_path / out / EXPORT_MANIFEST).write_text(json.dumps({'format': 'npy', 'videos': ['a']}))
    before = files(tmp_path)
    with pytest.raises(ExportError, match='where the features come from'):
        export_features(neck, [store], tmp_path / out, overwrite=True)
    assert files(tmp_path) == before


def test_an_export_that_lists_no_files_is_left_as_it_is(tmp_path, store, neck):
    export_features(neck, [store], tmp_path / 'out', about={'checkpoint_sha256': 'old'})
    manifest = tmp_path / 'out' / EXPORT_MANIFEST
    content = json.loads(manifest.read_text())
    del content['videos']
    manifest.write_text(json.dumps(content))
    before = files(tmp_path / 'out')
    with pytest.raises(ExportError, match='does not list the files'):
        export_features(neck, [store], tmp_path / 'out', overwrite=True)
    content['videos'] = ['../features/a']
    manifest.write_text(json.dumps(content))
    with pytest.raises(ExportError, match='leads out'):
        export_features(neck, [store], tmp_path / 'out', overwrite=True)
    assert files(tmp_path / 'out').keys() == before.keys()
    assert (tmp_path / 'features' / 'a.npy').exists()


# Done means there, and whole ----------------------------------------------------------------------


@every_format
@pytest.mark.parametrize('damage', ['cut', 'empty', 'other shape'])
def test_what_was_cut_is_exported_again(tmp_path, store, neck, format, damage, log_lines):
    out = out_of(tmp_path, format)
    export_features(neck, [store], out, format)
    whole = {name: FeatureStore(out).read(name) for name in store.names()}
    if format == 'hdf5':
        if damage == 'other shape':
            with h5py.File(out, 'a') as file:
                del file['b']
                file['b'] = np.ones((2, CHANNELS), np.float32)
        else:
            out.write_bytes(out.read_bytes()[: 100 if damage == 'cut' else 0])
    else:
        file = out / f'b.{format}'
        if damage == 'other shape':
            save = np.save if format == 'npy' else lambda p, a: np.savetxt(p, a, delimiter=',')
            save(file, np.ones((2, CHANNELS), np.float32))
        else:
            file.write_bytes(file.read_bytes()[: -5 if damage == 'cut' else 0])
    counts = export_features(neck, [store], out, format)
    assert counts['written'] == (3 if format == 'hdf5' and damage != 'other shape' else 1)
    again = {name: FeatureStore(out).read(name) for name in store.names()}
    assert all(np.array_equal(again[name], whole[name]) for name in whole)
    assert any('written again' in line for line in log_lines)


class Encoder:
    """Two numbers of each snippet; the videos are never opened where all is there."""

    sampling = SnippetSampling(2, 1, 2)
    frame_pipeline: list = []
    snippet_pipeline = [
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs'),
    ]
    clips = {'num_clips': 1, 'clip_len': 2}

    def settings(self):
        return {'name': 'two numbers'}

    def __call__(self, inputs):
        return inputs.float().flatten(2).mean(2)


@pytest.fixture
def extracted(tmp_path):
    from generated_videos import write_video

    videos = {name: write_video(tmp_path / f'{name}.mp4', 12) for name in ('a', 'b', 'c')}
    total = extract_features(Encoder(), videos, tmp_path / 'out', show_progress=False)
    assert total['written'] == 3 and not total['failed']
    return videos, tmp_path / 'out'


@pytest.mark.parametrize('damage', ['removed', 'cut', 'facts', 'facts lie', 'half precision'])
def test_lost_features_are_extracted_again(extracted, damage, log_lines):
    videos, out = extracted
    before = files(out)
    features, facts = out / 'b.npy', out / 'b.json'
    if damage == 'removed':
        features.unlink()
    elif damage == 'cut':
        features.write_bytes(features.read_bytes()[:-4])
    elif damage == 'facts':
        facts.write_text('{"num_snippets": ')
    elif damage == 'facts lie':
        facts.write_text(json.dumps({**json.loads(facts.read_text()), 'num_snippets': 99}))
    else:
        np.save(features, np.load(features).astype(np.float16))
    total = extract_features(Encoder(), videos, out, show_progress=False)
    assert (total['written'], total['kept']) == (1, 2)
    assert files(out) == before
    assert any("extracted again: 'b'" in line for line in log_lines)


def test_overwriting_an_extraction_leaves_what_has_no_facts(extracted):
    videos, out = extracted
    np.save(out / 'mine.npy', np.zeros(3))
    (out / 'mine.json').write_text('{"my": "settings"}')
    np.save(out / 'alone.npy', np.zeros(3))
    extract_features(Encoder(), {'a': videos['a']}, out, overwrite=True, show_progress=False)
    names = {'a.npy', 'a.json', 'mine.npy', 'mine.json', 'alone.npy', MANIFEST}
    assert files(out).keys() == names


# Manifests ----------------------------------------------------------------------------------------

DAMAGED = [b'', b'[]', b'{"a": ', b'3', b'\xff\xfe', b'[' * 100_000]


@pytest.mark.parametrize('content', DAMAGED)
def test_a_damaged_manifest_is_named(extracted, tmp_path, store, neck, content):
    videos, out = extracted
    (out / MANIFEST).write_bytes(content)
    with pytest.raises(ExtractionError, match=MANIFEST):
        extract_features(Encoder(), videos, out, show_progress=False)
    export_features(neck, [store], tmp_path / 'export')
    (tmp_path / 'export' / EXPORT_MANIFEST).write_bytes(content)
    for overwrite in (False, True):
        with pytest.raises(ExportError, match=EXPORT_MANIFEST):
            export_features(neck, [store], tmp_path / 'export', overwrite=overwrite)


# Two processes ------------------------------------------------------------------------------------


def hold(folder: Path) -> subprocess.Popen:
    """Another process that writes to a folder until it is ended."""
    script = (
        'import pathlib, sys, time\nfrom mmsola.files.folder_lock import only_writer\n'
        'with only_writer(pathlib.Path(sys.argv[1]), ValueError, "export"):\n'
        '    print("held", flush=True)\n    time.sleep(60)\n'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', script, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == 'held\n'
    return process


@every_format
def test_a_second_process_says_that_another_one_works_there(tmp_path, store, neck, format):
    out = out_of(tmp_path, format)
    folder = out.with_name(f'{out.name}.videos') if format == 'hdf5' else out
    other = hold(folder)
    part = folder / f'.partial-{other.pid}-ab-a.npy'
    part.write_bytes(b'of the other one')
    try:
        with pytest.raises(ExportError, match='another export works here'):
            export_features(neck, [store], out, format, overwrite=True)
        assert part.exists()
    finally:
        other.kill()
        other.wait()
    part.unlink()
    # its lock went with it
    assert export_features(neck, [store], out, format)['written'] == 3


def test_a_lock_leaves_nothing(tmp_path):
    with only_writer(tmp_path / 'new', ValueError, 'export') as is_locked:
        assert is_locked and (tmp_path / 'new').is_dir()
    assert not (tmp_path / 'new').exists()
    (tmp_path / 'file').write_text('mine')
    with (
        pytest.raises(ValueError, match='is no folder'),
        only_writer(tmp_path / 'file', ValueError, 'export'),
    ):
        pass
    assert (tmp_path / 'file').read_text() == 'mine'


def test_unfinished_files_of_dead_processes_are_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, '-c', ''])
    ended.wait()
    for process in (ended.pid, os.getpid(), 'odd'):
        (tmp_path / f'.partial-{process}-ab-a.pth').write_bytes(b'part')
    (tmp_path / 'mine').write_text('mine')
    assert remove_partials(tmp_path) == 1
    assert len(files(tmp_path)) == 3
    with replacing(tmp_path / 'b') as partial:
        partial.write_bytes(b'of this process')
        assert remove_partials(tmp_path) == 0


# Names and disks ----------------------------------------------------------------------------------


def test_names_that_hdf5_cannot_hold_at_once_are_found_before_computing(tmp_path, neck):
    store = write_features(tmp_path / 'features', ['a', 'a/b'])
    with pytest.raises(ExportError, match=r"'a/b' and 'a'.*cannot hold both"):
        export_features(None, [store], tmp_path / 'out.h5', 'hdf5')  # type: ignore[arg-type]
    assert export_features(neck, [store], tmp_path / 'out')['written'] == 2


def test_names_that_are_no_text_are_found_before_computing(tmp_path, neck):
    name = os.fsdecode(b'caf\xe9')
    try:
        store = write_features(tmp_path / 'features', [name])
    except OSError:
        pytest.skip('this file system takes UTF-8 only')
    with pytest.raises(ExportError, match='no text in UTF-8'):
        export_features(None, [store], tmp_path / 'out')  # type: ignore[arg-type]
    with pytest.raises(ExtractionError, match='no text in UTF-8'):
        extract_features(Encoder(), {name: tmp_path / 'a.mp4'}, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_full_disk_and_a_read_only_one_are_named(tmp_path, store, neck, monkeypatch):
    for number, message in ((28, 'no space left.*run the same command'), (30, 'cannot be written')):

        def fail(*_, number=number, **__):
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch, pytest.raises(ExportError, match=message):
            patch.setattr(np, 'save', fail)
            export_features(neck, [store], tmp_path / 'out')
    assert export_features(neck, [store], tmp_path / 'out')['written'] == 3
    with pytest.raises(OSError, match='other'), raise_disk_faults_as(tmp_path, ValueError):
        raise OSError(5, 'other')
