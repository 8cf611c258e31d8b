"""charades_clip: Charades' test split with CLIP features, from video-moment-retrieval."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from mmsola.datasets.features.feature_errors import feature_error
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.prepare.output import write_feature_set
from mmsola.datasets.tables.csv_rows import read_rows, row_error

# Videos of one person are on one side. Those of persons that are not listed are left out.
_TRAINING = (
    'GFWE JTAS AT5D M7K8 GE1M I48P LXD5 ENHU ARRB SW82 LB3Q V044 BKWQ CO87 MWAO BPXZ V2C2 RLWG '
    'QAT6 TSGZ DH76 VOCP'
)
_VALIDATION = 'BONA CP6Y 4UGC UO9Q 376D 4TV7 JQ7D ZG5N NMK2'
SUBSET_OF_PERSON = {
    **dict.fromkeys(_TRAINING.split(), 'training'),
    **dict.fromkeys(_VALIDATION.split(), 'validation'),
}

_FILE_NAME = '{name}__ViT-B_32__fps_1'
_ENTRY = 'image_embeddings'
_ACTION = re.compile(r'(c\d{3}) (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)')


class CharadesVideos(NamedTuple):
    """What is where.

    Attributes:
        database: The entry of each video, as ``load_annotations`` reads it.
        left_out: Videos of persons that are on neither side.
        unknown: Videos with features that the csv file lacks.
    """

    database: dict[str, dict[str, Any]]
    left_out: list[str]
    unknown: list[str]


def prepare_charades_clip(source: Path, annotation_csv: Path, out: Path) -> CharadesVideos:
    """Write ``features/<video>.npy`` and ``annotations.json``.

    Args:
        source: The folder of embeddings, ``<video>__ViT-B_32__fps_1.npz``.
        annotation_csv: Charades' own ``Charades_v1_test.csv``.
        out: Folder to write.

    Raises:
        AnnotationError: The csv file is missing or a row cannot be used.
        FeatureError: Features are missing, damaged or pickled.
        OutputError: Another file is in the way.
    """
    store = FeatureStore(
        source, format='npz', entry=_ENTRY, file_name=_FILE_NAME, cache=False, num_channels=512
    )
    videos = annotate(store.names(), annotation_csv)
    if not videos.database:
        raise feature_error(
            f'{source}: none of its {len(store)} videos is used',
            f'videos of {annotation_csv}',
            'give the embeddings of the test split',
        )
    content = {
        'version': 'Charades, test split, CLIP ViT-B/32, one snippet a second',
        'database': videos.database,
    }
    write_feature_set(store, content, out)
    return videos


def annotate(names: Iterable[str], annotation_csv: Path) -> CharadesVideos:
    """Find these videos in Charades' csv file; they keep its order.

    Segments are clipped to the length of their video. What starts after its end is dropped.

    Raises:
        AnnotationError: The csv file is missing or a row cannot be used.
    """
    wanted = set(names)
    videos = CharadesVideos({}, [], [])
    rows = read_rows(annotation_csv, ('id', 'subject', 'actions', 'length'), 'Charades')
    for line, row in rows:
        name = row['id']
        if name not in wanted:
            continue
        if name in videos.database or name in videos.left_out:
            raise row_error(
                annotation_csv, line, f'video {name!r} for the second time', 'each once'
            )
        subset = SUBSET_OF_PERSON.get(row['subject'])
        if subset is None:
            videos.left_out.append(name)
            continue
        duration_sec = _length_sec(annotation_csv, line, row['length'])
        videos.database[name] = {
            'duration': duration_sec,
            'subset': subset,
            'annotations': _segments(annotation_csv, line, row['actions'], duration_sec),
            'fps': 1.0,
        }
    videos.unknown.extend(sorted(wanted - videos.database.keys() - set(videos.left_out)))
    return videos


def _length_sec(file: Path, line: int, text: str) -> float:
    if not re.fullmatch(r'\d+(\.\d+)?', text) or not float(text):
        raise row_error(file, line, f'the length {text!r}', 'seconds above 0')
    return float(text)


def _segments(file: Path, line: int, text: str, duration_sec: float) -> list[dict[str, Any]]:
    segments = []
    for action in filter(None, text.split(';')):
        match = _ACTION.fullmatch(action)
        if match is None:
            raise row_error(file, line, f'the action {action!r}', 'such as c077 12.10 18.00')
        label, start_sec, end_sec = match[1], float(match[2]), min(float(match[3]), duration_sec)
        if start_sec < end_sec:
            segments.append({'segment': [start_sec, end_sec], 'label': label})
    return segments
