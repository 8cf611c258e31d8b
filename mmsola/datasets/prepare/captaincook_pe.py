"""captaincook_pe: CaptainCook4D's steps with Perception Encoder features."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from mmsola.datasets.annotations import AnnotationError
from mmsola.datasets.features.feature_errors import feature_error
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.prepare.output import write_feature_set
from mmsola.datasets.tables.csv_rows import read_rows, row_error
from mmsola.files.json_file import is_number, is_positive, read_json_object

# Recordings of one person are on one side. Those of other persons are left out.
SUBSET_OF_PERSON = {**dict.fromkeys('12345', 'training'), '8': 'validation'}
LONGEST_SEC = 1530.0

_FILE_NAME = '{name}_360p_224.mp4_1s_1s'
_STEPS = Path('annotation_json', 'complete_step_annotations.json')
_RECORDINGS = Path('metadata', 'video_information.csv')
_SOURCE = 'CaptainCook4D/annotations'


class Recordings(NamedTuple):
    """What is where.

    Attributes:
        database: The entry of each recording, as ``load_annotations`` reads it.
        left_out: Recordings of persons that are on neither side.
        too_long: Recordings of more than ``LONGEST_SEC``.
    """

    database: dict[str, dict[str, Any]]
    left_out: list[str]
    too_long: list[str]


def prepare_captaincook_pe(source: Path, annotations: Path, out: Path) -> Recordings:
    """Write ``features/<recording>.npy`` and ``annotations.json``.

    Args:
        source: The folder of features, ``<recording>_360p_224.mp4_1s_1s.npz``.
        annotations: A copy of the repository CaptainCook4D/annotations.
        out: Folder to write.

    Raises:
        AnnotationError: A file of annotations is missing or cannot be used.
        FeatureError: Features are missing, damaged or pickled.
        OutputError: Another file is in the way.
    """
    store = FeatureStore(
        source, format='npz', entry='features', file_name=_FILE_NAME, cache=False, num_channels=768
    )
    # in the order of their files
    names = sorted(store.names(), key=lambda name: _FILE_NAME.format(name=name))
    recordings = annotate(names, annotations)
    if not recordings.database:
        raise feature_error(
            f'{source}: none of its {len(store)} recordings is used',
            f'recordings of the persons {", ".join(SUBSET_OF_PERSON)}',
            'give the folder data/step3/features',
        )
    content = {
        'version': 'CaptainCook4D, steps, Perception Encoder ViT-B/16, one snippet a second',
        'database': recordings.database,
    }
    write_feature_set(store, content, out)
    return recordings


def annotate(names: Iterable[str], annotations: Path) -> Recordings:
    """Find the steps of these recordings, in their order.

    Steps that were not done, whose times are -1, are dropped; others are sorted by start, clipped
    to the recording and rounded to a thousandth of a second. The person of a recording is that of
    ``video_information.csv``; the file of steps differs for a few.

    Raises:
        AnnotationError: A file is missing or cannot be used, or a recording is in none.
    """
    steps_file, table = annotations / _STEPS, annotations / _RECORDINGS
    steps = read_json_object(
        steps_file, AnnotationError, f'the steps of {_SOURCE}', 'copy or download it again'
    )
    rows: dict[str, tuple[int, dict[str, str]]] = {}
    for line, row in read_rows(table, ('recording_id', 'person_id', 'duration(sec)'), _SOURCE):
        if row['recording_id'] in rows:
            found = f'recording {row["recording_id"]!r} for the second time'
            raise row_error(table, line, found, 'each once')
        rows[row['recording_id']] = (line, row)
    recordings = Recordings({}, [], [])
    for name in names:
        if name not in rows:
            raise AnnotationError(
                f'{table}: no recording {name!r}, which has features\n  expected: each of them\n'
                '  fix: download the file again, or remove these features'
            )
        line, row = rows[name]
        person = row['person_id']
        if person not in SUBSET_OF_PERSON:
            recordings.left_out.append(name)
            continue
        duration_sec = _duration_sec(table, line, row['duration(sec)'])
        if duration_sec > LONGEST_SEC:
            recordings.too_long.append(name)
            continue
        recipe, segments = _steps_of(steps_file, name, steps.get(name), duration_sec)
        recordings.database[name] = {
            'duration': duration_sec,
            'fps': 1,
            'subset': SUBSET_OF_PERSON[person],
            'subject': person,
            'recipe': recipe,
            'annotations': segments,
        }
    return recordings


def _duration_sec(file: Path, line: int, text: str) -> float:
    try:
        duration_sec = float(text)
    except ValueError:
        duration_sec = 0.0
    if not is_positive(duration_sec):
        raise row_error(file, line, f'the duration {text!r}', 'seconds above 0')
    return duration_sec


def _steps_of(
    file: Path, name: str, entry: Any, duration_sec: float
) -> tuple[str, list[dict[str, Any]]]:
    try:
        recipe, steps = str(entry['activity_name']), []
        for step in entry['steps']:
            times_sec = step['start_time'], step['end_time']
            if not all(map(is_number, times_sec)):
                raise TypeError(f'times are {times_sec}')
            steps.append((*times_sec, str(step['description']).strip()))
    except (KeyError, TypeError) as error:
        raise AnnotationError(
            f'{file}: recording {name!r}: {type(error).__name__}: {error}\n  expected: '
            '{"activity_name", "steps": [{"start_time", "end_time", "description"}]}\n'
            '  fix: download it again'
        ) from error
    return recipe, [
        {
            'segment': [round(start_sec, 3), round(min(end_sec, duration_sec), 3)],
            'label': label,
        }
        for start_sec, end_sec, label in sorted(steps, key=lambda step: step[0])
        if 0 <= start_sec < min(end_sec, duration_sec)
    ]
