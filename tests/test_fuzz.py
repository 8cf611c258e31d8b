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

from mmsola.apis.bsn_proposals import ProposalError, ProposalGeneration, load_videos
from mmsola.apis.export import ExportError
from mmsola.apis.extraction import ExtractionError
from mmsola.apis.extraction_encoder import encoder_of
from mmsola.apis.manifest import read_manifest
from mmsola.apis.plain_config import ConfigNotPlainError
from mmsola.datasets.annotations import AnnotationError, load_annotations
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.tables.segment_csv import read_segment_csv
from mmsola.datasets.transforms.proposals import LoadSnippetProposals, ProposalFileError
from mmsola.datasets.videos.video import Video, VideoError
from mmsola.datasets.videos.video_facts import VideoFacts, read_facts
from mmsola.datasets.videos.video_list import find_videos
from mmsola.evaluation.class_scores import ClassScoreError, ClassScores
from mmsola.evaluation.seeds import validations_of
from mmsola.models.checkpoint_file import CheckpointError
from mmsola.models.necks import SoLa
from mmsola.models.necks.sola_checkpoint import read_sola_weights
from mmsola.structures.submission import SubmissionError, read_submission

MOST_BYTES = 1 << 30
TOKENS = [b'NaN', b'-1', b'1e999', b'Infinity', b'[]', b'{}', b'null', b'""', b'9' * 400, b'\xff']
TOKENS += [b'[' * 3000, b'../x', b',', b'"', b'\0', b'\n', b'#', b'-', b'1e5', b'\xef\xbb\xbf']


class Kind(NamedTuple):
    """One kind of file: what writes a valid one, what reads it, and how it may refuse."""

    file: str
    write: Callable[[Path], object]
    read: Callable[[Path], Any]
    error: type[Exception]


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


RESULTS = {'results': {'a': [{'segment': [1.5, 2], 'score': 0.5, 'label': 'jump'}], 'b': []}}
CLASS_SCORES = {'class': ['run', 'jump'], 'results': {'a': [0.25, 0.75]}}


def read_results_of(file: Path) -> Any:
    found = read_submission(file)
    for one in found.values():
        assert np.isfinite(one.segments).all() and np.isfinite(one.scores).all()
    return {name: (one.segments.tolist(), one.labels) for name, one in found.items()}


def read_proposals(file: Path) -> Any:
    found = LoadSnippetProposals(str(file))._proposals
    return {name: rows.tolist() for name, rows in found.items()}


def write_log(file: Path) -> None:
    lines = [{'loss': 0.5, 'step': 3}, {'loc/AUC': 5.5, 'step': 1}, {'loc/AUC': 6.5, 'step': 2}]
    file.write_text('\n'.join(map(json.dumps, lines)))


def read_log(file: Path) -> Any:
    folder = file.parent / 'run' / 'now' / 'vis_data'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'scalars.json').write_bytes(file.read_bytes())
    return repr(validations_of(file.parent / 'run'))


def write_sola(file: Path) -> None:
    torch.save({'state_dict': SoLa(4, hidden_channels=3).state_dict()}, file)


def read_sola(file: Path) -> Any:
    weights = read_sola_weights(file)
    assert all(value.isfinite().all() for value in weights.values())
    return {key: value.tolist() for key, value in weights.items()}


def write_tem(file: Path) -> None:
    edges = np.arange(5) / 4
    rows = np.column_stack([np.full((4, 3), 0.5), edges[:-1], edges[1:]])
    header = 'action,start,end,tmin,tmax'
    np.savetxt(file, rows, header=header, delimiter=',', comments='')


def read_tem(file: Path) -> Any:
    folders = (file.parent, file.parent / 'proposals', file.parent / 'features')
    ProposalGeneration(*folders, {'temporal_scale': 4}, {})._check_tem_results(file)
    return file.read_bytes()


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
    'results': Kind('a.json', json_of(RESULTS), read_results_of, SubmissionError),
    'proposals': Kind('a.json', json_of(RESULTS), read_proposals, ProposalFileError),
    'class scores': Kind(
        'a.json', json_of(CLASS_SCORES), lambda p: ClassScores(str(p)).classes, ClassScoreError
    ),
    'export manifest': Kind(
        'sola_export.json',
        json_of({'format': 'npy', 'videos': ['a']}),
        lambda p: read_manifest(p, ExportError),
        ExportError,
    ),
    'log': Kind('scalars.json', write_log, read_log, FileNotFoundError),
    'SoLa checkpoint': Kind('a.pth', write_sola, read_sola, CheckpointError),
    'table of segments': Kind(
        'a.csv',
        lambda p: p.write_text('video,start,end,label\na,1.5,00:04,jump\nb,2,3,run\n'),
        read_segment_csv,
        AnnotationError,
    ),
    'TEM results': Kind('a.csv', write_tem, read_tem, ProposalError),
    'annotations for BSN': Kind(
        'a.json', json_of({'v_a': ANNOTATED}), lambda p: load_videos(str(p)), ProposalError
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
            where = 'run' if name == 'log' else kind.file
            assert where in str(error), f'seed {seed}: the message does not name the file'
        except Exception as error:
            raise AssertionError(f'seed {seed}: {type(error).__name__}: {error}') from error
    assert outcomes['refused'], outcomes
    assert peak_bytes() - before < MOST_BYTES
