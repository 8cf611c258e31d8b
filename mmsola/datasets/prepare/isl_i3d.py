"""isl_i3d: sentences of Indian Sign Language, from the test data of sign-segmentation-isl."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from scipy.io import loadmat, whosmat

from mmsola.datasets.annotations import AnnotationError
from mmsola.datasets.features.feature_errors import (
    FeatureError,
    check_size,
    feature_error,
    truncated_error,
)
from mmsola.datasets.prepare.output import new_file, refuse_other, to_half, write_json
from mmsola.datasets.tables.csv_rows import row_error

FPS = 25
WINDOW_FRAMES = 16  # of which the first ends with frame 16; the stride is one frame
LABEL = 'sign'

# Videos of one sentence are on one side. Every sentence that is not listed is for training.
_VALIDATION = (
    'afraid agree beautiful can_you_repeat_that_please congratulations enjoyed happened help '
    'help_me how_old_are_you hurt nice_to_meet_you really_sure sitting tell_him tired trust '
    'very_happy what_are_you_doing what_you_want worry'
)
_LEFT_OUT = (
    'become bed cold college_school favour fine_thank heart how_can_i_help_you '
    'i_really_appreciate_it leave mean need_something something sorry_hear stopped stubborn time '
    'today turn_on way who_are_you'
)
VALIDATION_SENTENCES = frozenset(_VALIDATION.split())
LEFT_OUT_SENTENCES = frozenset(_LEFT_OUT.split())

_MAT_TYPES: dict[str, np.dtype] = {
    'single': np.dtype(np.float32),
    'double': np.dtype(np.float64),
}


class IslVideos(NamedTuple):
    """What is where.

    Attributes:
        training: The annotation of each video, in MMAction2's flat style.
        validation: Likewise.
        left_out: Videos of sentences that are on neither side.
        without_segments: Videos with features that nobody annotated.
    """

    training: dict[str, dict[str, Any]]
    validation: dict[str, dict[str, Any]]
    left_out: list[str]
    without_segments: list[str]


def prepare_isl_i3d(source: Path, out: Path) -> IslVideos:
    """Write ``features.h5``, ``isl_anno_train.json`` and ``isl_anno_val.json``.

    Args:
        source: The folder ``test_data`` of the repository: ``i3d_features/*.mat`` and
            ``VIA_annotations.csv``.
        out: Folder to write.

    Raises:
        AnnotationError: The annotations are missing or cannot be read.
        FeatureError: Features are missing or cannot be read.
        OutputError: Another file is in the way.
    """
    files = mat_files(source / 'i3d_features')
    features = {name: _read_mat(file) for name, file in files.items()}
    segments = read_via_segments(source / 'VIA_annotations.csv')
    videos = annotate(
        {
            name: (file.name.removesuffix('.mat'), len(features[name]))
            for name, file in files.items()
        },
        segments,
    )
    annotation_files = {
        out / 'isl_anno_train.json': videos.training,
        out / 'isl_anno_val.json': videos.validation,
    }
    for path, content in annotation_files.items():
        refuse_other(path, content)
    with new_file(out / 'features.h5') as partial, h5py.File(partial, 'w') as file:
        for name in (*videos.training, *videos.validation):
            file.create_dataset(name, data=to_half(features[name], str(files[name])))
    for path, content in annotation_files.items():
        write_json(path, content)
    return videos


def mat_files(folder: Path) -> dict[str, Path]:
    """The feature file of each video, ordered by file: ``abuse (3).MP4.mat`` is ``v_abuse_3``.

    Raises:
        FeatureError: There is none, or two have one name.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.glob('*.mat')):
        stem = re.sub(r'\.\w+$', '', path.name.removesuffix('.mat'))
        name = 'v_' + re.sub(r'[^A-Za-z0-9]+', '_', stem).strip('_')
        if name in files:
            raise feature_error(
                f'{path}: becomes the video {name}, as does {files[name].name}',
                'one file a video',
                'remove one of them',
            )
        files[name] = path
    if not files:
        raise feature_error(
            f'{folder}: holds no .mat file',
            'features such as "abuse (3).MP4.mat"',
            'give the folder test_data of sign-segmentation-isl',
        )
    return files


def sentence_of(name: str) -> str:
    """The sentence of a video, all of whose takes have numbers: ``v_abuse_3`` is of ``abuse``."""
    return re.sub(r'_\d+$', '', name.removeprefix('v_'))


def annotate(
    videos: dict[str, tuple[str, int]], segments: dict[str, list[tuple[float, float]]]
) -> IslVideos:
    """Bring lengths and segments together, by sentence.

    Segments are clipped to the frames that have features. What starts after these is dropped.

    Args:
        videos: For each name the video file that it stands for, and its number of snippets.
        segments: Start and end in seconds of each sign, by video file.
    """
    found = IslVideos({}, {}, [], [])
    for name, (file, num_snippets) in videos.items():
        if file not in segments:
            found.without_segments.append(name)
            continue
        if sentence_of(name) in LEFT_OUT_SENTENCES:
            found.left_out.append(name)
            continue
        num_frames = num_snippets + WINDOW_FRAMES - 1
        duration_sec = num_frames / FPS
        is_scored = sentence_of(name) in VALIDATION_SENTENCES
        (found.validation if is_scored else found.training)[name] = {
            'duration_second': duration_sec,
            'duration_frame': num_frames,
            'feature_frame': num_frames,
            'fps': float(FPS),
            'rfps': float(FPS),
            'annotations': [
                {'segment': [start_sec, min(end_sec, duration_sec)], 'label': LABEL}
                for start_sec, end_sec in sorted(segments[file])
                if start_sec < duration_sec
            ],
        }
    return found


def read_via_segments(file: Path) -> dict[str, list[tuple[float, float]]]:
    """Segments in seconds by video file, of a csv export of the VGG Image Annotator.

    Raises:
        AnnotationError: The file is missing, or a row cannot be used; with its line.
    """
    if not file.is_file():
        raise AnnotationError(
            f'{file}: no such file\n  expected: segments as csv, of the VGG Image Annotator\n'
            '  fix: give the folder test_data of sign-segmentation-isl'
        )
    segments: dict[str, list[tuple[float, float]]] = {}
    for line, cells in _csv_cells(file):
        try:
            _, videos, start, end, *_ = cells
            (video,) = json.loads(videos)
            times_sec = float(start), float(end)
            if not (isinstance(video, str) and 0 <= times_sec[0] < times_sec[1] < float('inf')):
                raise ValueError
        except (ValueError, TypeError, RecursionError) as error:
            raise row_error(
                file,
                line,
                f'the cells {cells[:4]}',
                'metadata_id,["video.MP4"],start,end,metadata with 0 <= start < end',
            ) from error
        segments.setdefault(video, []).append(times_sec)
    if not segments:
        raise row_error(file, 1, 'no segment', 'one a row')
    return segments


def _csv_cells(file: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with file.open(encoding='utf-8-sig', newline='') as stream:
            reader = csv.reader(stream, strict=True)
            for cells in reader:
                if cells and not cells[0].startswith('#'):
                    yield reader.line_num, cells
    except (csv.Error, UnicodeDecodeError) as error:
        raise AnnotationError(
            f'{file}: is not csv in UTF-8: {error}\n  expected: a csv export of the VGG Image '
            'Annotator\n  fix: download it again'
        ) from error


def _read_mat(path: Path) -> np.ndarray:
    """The array ``features`` ``(T, C)`` of a MATLAB file."""
    where = str(path)
    try:
        shape, kind = next(
            ((shape, kind) for name, shape, kind in whosmat(where) if name == 'features'), ((), '')
        )
        if len(shape) != 2 or 0 in shape or kind not in _MAT_TYPES:
            raise feature_error(
                f'{where}: features are {kind or "not there"} of shape {tuple(shape)}',
                'an array features (T, C) of numbers',
                'download this file again',
            )
        claimed = math.prod(shape) * _MAT_TYPES[kind].itemsize
        check_size(where, shape, _MAT_TYPES[kind], claimed, path.stat().st_size)
        features = loadmat(where, variable_names=['features'])['features']
    except FeatureError:
        raise
    except Exception as error:  # SciPy meets damaged bytes with whatever Python raises
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of the bytes
            raise
        raise truncated_error(where, f'{type(error).__name__}: {error}') from error
    return features
