"""Small valid files of every kind, damaged at random: read, or refused with the file's name.

A few seconds by default; ``pytest tests/test_fuzz.py --fuzz-seconds 600`` looks further.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest
import torch
from generated_videos import write_video

from mmsola.apis.extraction import ExtractionError, encoder_of
from mmsola.apis.plain_config import ConfigNotPlainError
from mmsola.datasets.annotations import AnnotationError, load_annotations
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.videos.video import Video, VideoError
from mmsola.datasets.videos.video_facts import VideoFacts, read_facts
from mmsola.datasets.videos.video_list import find_videos

MOST_BYTES = 1 << 30
TOKENS = [b'NaN', b'-1', b'1e999', b'Infinity', b'[]', b'{}', b'null', b'""', b'9' * 400, b'\xff']
TOKENS += [b'[' * 3000, b'../x', b',', b'"', b'\0', b'\n', b'#', b'-', b'1e5', b'\xef\xbb\xbf']


class Kind(NamedTuple):
    """One kind of file: what writes a valid one, what reads it, and how it may refuse."""

    file: str
    write: Callable[[Path], object]
    read: Callable[[Path], Any]
    error: type[ValueError] | tuple[type[ValueError], ...]


VALUES = np.random.default_rng(0).standard_normal((7, 4)).astype(np.float32)
ANNOTATED = {
    'duration_second': 12.5,
    'duration_frame': 300,
    'feature_frame': 288,
    'annotations': [{'segment': [1.5, 4.25], 'label': 'jump'}],
}


def read_features(file: Path) -> Any:
    """What check, shape and read say of the one video; they must not contradict each other."""
    root = file if file.suffix == '.h5' else file.parent
    store = FeatureStore(root, cache=False)
    store.check(progress=False)
    values = {name: store.read(name) for name in store.names()}
    for name, read in values.items():
        assert store.shape(name) == read.shape and np.isfinite(read).all()
    return {name: read.tobytes() for name, read in values.items()}


def hdf5(**options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, 'w') as file:
            file.create_dataset('group/a', data=VALUES, **options)

    return write


def read_video(file: Path) -> Any:
    video = Video(file)
    try:
        indices = np.linspace(0, video.num_frames - 1, 5).round().astype(int)
        return video.num_frames, [frame.tobytes() for frame in video.frames(indices)]
    finally:
        video.close()


def read_extraction_manifest(file: Path) -> Any:
    """The encoder of a folder of features; its checkpoint is gone, and nothing may be built."""
    try:
        encoder_of(file)
    except ConfigNotPlainError as error:
        raise ExtractionError(str(error)) from error
    except ExtractionError as error:
        if 'not there any more' not in str(error):
            raise
    return file.read_bytes()


MANIFEST = {
    'model': {'type': 'Recognizer3D', 'backbone': {'type': 'ResNet3d', 'depth': 18}},
    'frame_pipeline': [{'type': 'Resize', 'scale': [-1, 64]}],
    'snippet_pipeline': [{'type': 'FormatShape', 'input_format': 'NCTHW'}],
    'checkpoint': 'gone.pth',
    'checkpoint_sha256': '0' * 64,
    'snippet_frames': 16,
    'frame_interval': 1,
    'stride_frames': 8,
    'amp': False,
    'fps': None,
}


def json_of(content: object) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(content))


def legacy_pt(path: Path) -> None:
    torch.save(torch.from_numpy(VALUES), path, _use_new_zipfile_serialization=False)


KINDS = {
    'npy': Kind('a.npy', lambda p: np.save(p, VALUES), read_features, FeatureError),
    'npz': Kind('a.npz', lambda p: np.savez(p, VALUES), read_features, FeatureError),
    'npz, packed': Kind(
        'a.npz', lambda p: np.savez_compressed(p, VALUES), read_features, FeatureError
    ),
    'pt': Kind(
        'a.pt', lambda p: torch.save(torch.from_numpy(VALUES), p), read_features, FeatureError
    ),
    'pt, legacy': Kind('a.pt', legacy_pt, read_features, FeatureError),
    'csv': Kind(
        'a.csv', lambda p: np.savetxt(p, VALUES, delimiter=','), read_features, FeatureError
    ),
    'HDF5': Kind('a.h5', hdf5(), read_features, FeatureError),
    'HDF5, packed': Kind(
        'a.h5', hdf5(chunks=(2, 4), compression='gzip'), read_features, FeatureError
    ),
    'HDF5, resizable': Kind('a.h5', hdf5(maxshape=(None, 4)), read_features, FeatureError),
    'mp4': Kind('a.mp4', lambda p: write_video(p, 20), read_video, VideoError),
    'mkv': Kind('a.mkv', lambda p: write_video(p, 20), read_video, VideoError),
    'list of videos': Kind(
        'a.txt', lambda p: p.write_text('b.mp4\nsub/c.mp4 3\n'), find_videos, VideoError
    ),
    'facts of a video': Kind(
        'a.json',
        json_of(asdict(VideoFacts(7, 120, 25.0, 4.8, False))),
        lambda p: read_facts(p, VideoError),
        VideoError,
    ),
    'manifest': Kind(
        '_extraction.json', json_of(MANIFEST), read_extraction_manifest, ExtractionError
    ),
    'flat annotations': Kind(
        'a.json', json_of({'v_a': ANNOTATED}), load_annotations, AnnotationError
    ),
    'database': Kind(
        'a.json',
        json_of({'database': {'a': {'duration': 12.5, 'subset': 'training', **ANNOTATED}}}),
        load_annotations,
        AnnotationError,
    ),
}


def damaged(whole: bytes, draw: np.random.Generator) -> bytes:
    """One to three changes: bits, bytes, missing or repeated stretches, words with a meaning."""
    data = bytearray(whole)
    for _ in range(draw.integers(1, 4)):
        if not data:
            break
        begin = int(draw.integers(len(data)))
        end = min(len(data), begin + int(draw.integers(1, 32)))
        change = draw.integers(6)
        if change == 0:
            data[begin] ^= 1 << draw.integers(8)
        elif change == 1:
            data[begin:end] = draw.bytes(end - begin)
        elif change == 2:
            del data[begin:]
        elif change == 3:
            del data[begin:end]
        elif change == 4:
            data[begin:begin] = data[begin:end]
        else:
            data[begin:begin] = TOKENS[draw.integers(len(TOKENS))]
    return bytes(data)


def seeds(seconds: float) -> Iterator[int]:
    """0, 1, 2, ... until the time is over, and at least thirty."""
    end, seed = time.monotonic() + seconds, 0
    while seed < 30 or time.monotonic() < end:
        yield seed
        seed += 1


def peak_bytes() -> int:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == 'darwin' else kilobytes * 1024


@pytest.mark.parametrize('name', list(KINDS))
def test_a_damaged_file_is_read_or_named(tmp_path, name, request):
    kind = KINDS[name]
    file = tmp_path / kind.file
    kind.write(file)
    whole = file.read_bytes()
    kind.read(file)  # a valid one is accepted
    before = peak_bytes()
    outcomes = {'read': 0, 'refused': 0}
    for seed in seeds(request.config.getoption('--fuzz-seconds') / len(KINDS)):
        file.write_bytes(damaged(whole, np.random.default_rng(seed)))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                first = kind.read(file)
                again = kind.read(file)
            outcomes['read'] += 1
            assert first == again, f'seed {seed}: read twice, it differs'
        except kind.error as error:
            outcomes['refused'] += 1
            assert kind.file in str(error), f'seed {seed}: the message does not name the file'
        except Exception as error:
            raise AssertionError(f'seed {seed}: {type(error).__name__}: {error}') from error
    assert outcomes['refused'], outcomes
    assert peak_bytes() - before < MOST_BYTES
