"""EPIC-Kitchens' own csv files, brought together as an annotation file of its verbs or nouns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmsola.datasets.tables.csv_rows import read_rows, row_error
from mmsola.datasets.tables.segment_csv import parse_time
from mmsola.messages.argument_checks import check_choice

CLASS_KINDS = ('verb', 'noun')
_SUBSETS = {'training': 'EPIC_100_train.csv', 'validation': 'EPIC_100_validation.csv'}
_VIDEOS = 'EPIC_100_video_info.csv'
_SOURCE = 'epic-kitchens-100-annotations'


class EpicAnnotations(NamedTuple):
    """What the csv files say of one kind of class.

    Attributes:
        database: The entry of each video, as ``load_annotations`` reads it.
        classes: Names, in the order of their numbers.
        unused: How many of them have no segment in the training subset.
    """

    database: dict[str, dict[str, Any]]
    classes: tuple[str, ...]
    unused: int


def annotate_epic_kitchens(folder: str | Path, kind: str) -> EpicAnnotations:
    """Read EPIC-KITCHENS-100's csv files: who does what when, by verb or by noun.

    Read are ``EPIC_100_train.csv``, ``EPIC_100_validation.csv``, ``EPIC_100_video_info.csv`` and
    ``EPIC_100_verb_classes.csv`` or ``EPIC_100_noun_classes.csv``. A segment's label is the key of
    its class (``turn-on``), not the narrator's own word. Videos of the test subset have no public
    segments and are left out. The frame rate is left out as well: features have that at which
    their frames were extracted. Times stay as they are: who reads the annotation decides about
    reversed ones and of those past the end.

    Args:
        folder: Where the files lie.
        kind: ``'verb'`` (97 classes) or ``'noun'`` (300).

    Raises:
        AnnotationError: A file or a column is missing, or a row cannot be used; with file and line.
    """
    check_choice('annotate_epic_kitchens', 'kind', kind, CLASS_KINDS)
    folder = Path(folder)
    classes = _classes(folder / f'EPIC_100_{kind}_classes.csv')
    durations_sec = _durations_sec(folder / _VIDEOS)
    database: dict[str, dict[str, Any]] = {}
    trained: set[str] = set()
    for subset, name in _SUBSETS.items():
        file = folder / name
        for line, row in read_rows(
            file,
            ('video_id', 'participant_id', 'start_timestamp', 'stop_timestamp', f'{kind}_class'),
            _SOURCE,
        ):
            video = row['video_id']
            if video not in durations_sec:
                raise row_error(file, line, f'video {video!r} is not in {_VIDEOS}', 'one that is')
            entry = database.setdefault(
                video,
                {
                    'duration': durations_sec[video],
                    'subset': subset,
                    'subject': row['participant_id'],
                    'annotations': [],
                },
            )
            if entry['subset'] != subset:
                raise row_error(file, line, f'video {video!r} is in both subsets', 'one of them')
            label = _label(file, line, row[f'{kind}_class'], classes)
            times_sec = [
                _seconds(file, line, row, f'{end}_timestamp', 'hh:mm:ss')
                for end in ('start', 'stop')
            ]
            entry['annotations'].append({'segment': times_sec, 'label': label})
            if subset == 'training':
                trained.add(label)
    return EpicAnnotations(database, classes, len(classes) - len(trained))


def _classes(file: Path) -> tuple[str, ...]:
    names: list[str] = []
    for line, row in read_rows(file, ('id', 'key'), _SOURCE):
        if row['id'] != str(len(names)) or not row['key'] or row['key'] in names:
            raise row_error(
                file,
                line,
                f'class {row["id"]!r}, {row["key"]!r}',
                f'the number {len(names)} and a name of its own',
            )
        names.append(row['key'])
    return tuple(names)


def _durations_sec(file: Path) -> dict[str, float]:
    durations_sec = {}
    for line, row in read_rows(file, ('video_id', 'duration'), _SOURCE):
        if row['video_id'] in durations_sec:
            raise row_error(
                file, line, f'video {row["video_id"]!r} for the second time', 'each once'
            )
        durations_sec[row['video_id']] = _seconds(file, line, row, 'duration', 'seconds')
    return durations_sec


def _label(file: Path, line: int, number: str, classes: Sequence[str]) -> str:
    if not number.isdecimal() or int(number) >= len(classes):
        raise row_error(
            file, line, f'the class {number!r}', f'a number from 0 to {len(classes) - 1}'
        )
    return classes[int(number)]


def _seconds(file: Path, line: int, row: Mapping[str, str], column: str, expected: str) -> float:
    try:
        return parse_time(row[column])
    except ValueError as error:
        found = str(error).split(';')[0]  # what it expects comes after
        raise row_error(file, line, f'{column} {found}', expected) from error
