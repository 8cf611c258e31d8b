"""A table of segments and a folder of videos, brought together as an annotation file."""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmsola.atomic import replacing
from mmsola.datasets.annotations import AnnotationError
from mmsola.datasets.tables.seeded_split import draw_validation
from mmsola.datasets.tables.segment_csv import CsvRow, SegmentTable, read_segment_csv
from mmsola.datasets.videos.video import Video, VideoError, list_videos
from mmsola.files.suffixes import VIDEO_SUFFIXES
from mmsola.messages.argument_checks import check_choice
from mmsola.messages.first_few import first_few
from mmsola.messages.progress import progress
from mmsola.structures.video_record import ROUNDING_SEC

_SHOWN = 10  # problems in a message


@dataclass(frozen=True)
class CsvAnnotations:
    """What is to be written, and what was left out of it.

    Attributes:
        database: The entry of each video, as ``load_annotations`` reads it.
        unnamed: Videos of the folder that the table does not name.
        skipped: A line for each video that cannot be decoded.
        clipped: Segments that end after their video, which are clipped when they are read.
        unused: Columns of the table that mean nothing here.
    """

    database: dict[str, dict[str, Any]]
    unnamed: tuple[str, ...]
    skipped: tuple[str, ...]
    clipped: int
    unused: tuple[str, ...]

    def write(self, out: str | Path) -> None:
        """Write the ``database`` json, whole or not at all."""
        with replacing(out) as partial:
            content = json.dumps({'database': self.database}, indent=1, ensure_ascii=False)
            partial.write_text(content + '\n', encoding='utf-8')


def annotate_from_csv(
    csv_file: str | Path,
    folder: str | Path,
    validation_share: float = 0.25,
    seed: int = 0,
    with_unnamed: bool = False,
    on_bad: str = 'stop',
) -> CsvAnnotations:
    """Match the rows of a table (see ``read_segment_csv``) with the videos of a folder.

    A video is named by its path below the folder, with or without suffix. Length and rate are read
    from the video. Nobody knows whether a video that the table does not name was looked through,
    so it is left out.

    Without column ``subset``, a share of the videos becomes ``'validation'`` and the others
    ``'training'``; a video keeps its subset when others are added. Videos of one ``subject`` stay
    together, and both subsets get some with action if there are two.

    Args:
        csv_file: The table.
        folder: The folder of the videos.
        validation_share: About what share of videos, or subjects, is for validation.
        seed: Another one gives another choice.
        with_unnamed: Take videos that the table does not name as videos without action.
        on_bad: ``'skip'`` leaves out videos that cannot be decoded, ``'stop'`` counts them as
            problems.

    Raises:
        AnnotationError: Of all problems of the table together.
        VideoError: There is no video.
    """
    check_choice('annotate_from_csv', 'on_bad', on_bad, ('stop', 'skip'))
    table = read_segment_csv(csv_file)
    if with_unnamed and 'subset' in table.columns:
        raise AnnotationError(
            f'{csv_file}: has a column subset, so videos that it does not name have none\n'
            '  expected: no column subset together with unnamed videos\n'
            '  fix: name each video without action in a row with subset, but no start and end'
        )
    files = list_videos(folder)
    problems = list(table.problems)
    rows_of = _by_video(table, files, folder, problems)
    for rows in rows_of.values():
        problems += _contradictions(rows, 'subset' in table.columns)
    unnamed = [name for name in files if name not in rows_of]
    database: dict[str, dict[str, Any]] = {}
    skipped: list[str] = []
    clipped = 0
    names = sorted([*rows_of, *(unnamed if with_unnamed else ())])
    for name in progress(names, 'Reading videos'):
        rows = rows_of.get(name, [])
        try:
            entry = _entry(files[name], rows)
        except VideoError as error:
            found = str(error).split('\n')[0]
            if on_bad == 'skip':
                skipped.append(found)
            else:
                line = rows[0].line if rows else 0
                problems.append((line, f"{found}; expected a video, or on_bad='skip'"))
            continue
        problems += _beyond(rows, entry['duration'])
        ends_sec = [row.segment.end_sec for row in rows if row.segment is not None]
        clipped += sum(end_sec > entry['duration'] + ROUNDING_SEC for end_sec in ends_sec)
        database[name] = entry
    if not problems and not any(entry['annotations'] for entry in database.values()):
        rest = f' without the {counted(len(skipped), "video")} skipped' if skipped else ''
        problems.append((0, f'there is no segment{rest}; expected some to learn from'))
    if problems:
        raise _error(str(csv_file), problems)
    if 'subset' not in table.columns:
        _split(database, validation_share, seed)
    return CsvAnnotations(
        database,
        () if with_unnamed else tuple(unnamed),
        tuple(skipped),
        clipped,
        table.unused,
    )


def _by_video(
    table: SegmentTable,
    files: dict[str, Path],
    folder: str | Path,
    problems: list[tuple[int, str]],
) -> dict[str, list[CsvRow]]:
    """Rows of each video of the folder; adds a problem for each video that is not there."""
    # file systems and spreadsheets write accents in different ways
    names = {unicodedata.normalize('NFC', name): name for name in files}
    rows_of: dict[str, list[CsvRow]] = {}
    lost: dict[str, list[CsvRow]] = {}
    for row in table.rows:
        written = unicodedata.normalize('NFC', row.video.replace('\\', '/')).removeprefix('./')
        stem, _, suffix = written.rpartition('.')
        name = names.get(written)
        if name is None and f'.{suffix.lower()}' in VIDEO_SUFFIXES:
            name = names.get(stem)
        if name is None:
            lost.setdefault(row.video, []).append(row)
        else:
            rows_of.setdefault(name, []).append(row)
    for i, (video, rows) in enumerate(lost.items()):
        # looking for alike names among many takes its time
        near = _near(video, list(files)) if i < _SHOWN else list(files)[:3]
        problems.append(
            (
                rows[0].line,
                f'video {video!r} ({counted(len(rows), "row")}) is not in {folder}; expected a '
                f'name such as {", ".join(map(repr, near))}',
            )
        )
    return rows_of


def _near(video: str, names: Sequence[str]) -> list[str]:
    same_end = [name for name in names if Path(name).name == Path(video).stem]
    return same_end[:3] or difflib.get_close_matches(video, names, 3) or list(names[:3])


def _contradictions(rows: Sequence[CsvRow], with_subset: bool) -> list[tuple[int, str]]:
    """What rows of one video state that cannot both be."""
    video, problems = rows[0].video, []
    for what in ('subset', 'subject'):
        values = {getattr(row, what).lower(): row for row in reversed(rows) if getattr(row, what)}
        if len(values) > 1:
            one, other = sorted(values.values(), key=lambda row: row.line)[:2]
            problems.append(
                (
                    other.line,
                    f'video {video!r} has the {what} {getattr(other, what)!r}, and in line '
                    f'{one.line} {getattr(one, what)!r}; expected one {what} a video',
                )
            )
        elif not values and what == 'subset' and with_subset:
            problems.append(
                (rows[0].line, f'video {video!r} has no subset; expected one in one of its rows')
            )
    without = [row for row in rows if row.segment is None]
    if without and len(without) < len(rows):
        problems.append(
            (
                without[0].line,
                f'video {video!r} has no action here, but segments in other rows; expected start '
                'and end',
            )
        )
    return problems


def _entry(file: Path, rows: Sequence[CsvRow]) -> dict[str, Any]:
    video = Video(file)
    for _ in video.frames([0, video.num_frames - 1]):  # what was cut off lacks its end
        pass
    subsets, subjects = _values(rows, 'subset'), _values(rows, 'subject')
    entry: dict[str, Any] = {
        'duration': video.duration_sec,
        'fps': video.fps,
        'frame': video.num_frames,
        'subset': subsets[0].lower() if subsets else 'training',
    }
    if subjects:
        entry['subject'] = subjects[0]
    entry['annotations'] = [
        {'segment': [row.segment.start_sec, row.segment.end_sec], 'label': row.segment.label}
        for row in rows
        if row.segment is not None
    ]
    return entry


def _values(rows: Sequence[CsvRow], what: str) -> list[str]:
    return [getattr(row, what) for row in rows if getattr(row, what)]


def _beyond(rows: Sequence[CsvRow], duration_sec: float) -> list[tuple[int, str]]:
    return [
        (
            row.line,
            f'starts at {row.segment.start_sec:g} s, but video {row.video!r} is {duration_sec:g} s '
            'long; expected a start inside of it',
        )
        for row in rows
        if row.segment is not None and row.segment.start_sec >= duration_sec
    ]


def _split(database: dict[str, dict[str, Any]], share: float, seed: int) -> None:
    """Give each video its subset; those of one subject have the same."""
    unit_of = {
        name: f'subject {entry["subject"].lower()}' if 'subject' in entry else f'video {name}'
        for name, entry in database.items()
    }
    units = set(unit_of.values())
    with_action = {unit_of[name] for name, entry in database.items() if entry['annotations']}
    # nothing is learnt from, nor measured in, a subset without a segment
    strata = [with_action, units - with_action] if len(with_action) > 1 else [units]
    chosen = {unit for stratum in strata for unit in draw_validation(stratum, share, seed)}
    for name, entry in database.items():
        entry['subset'] = 'validation' if unit_of[name] in chosen else 'training'


def _error(file: str, problems: Sequence[tuple[int, str]]) -> AnnotationError:
    lines = [f'{file}:{line}: {text}' if line else text for line, text in sorted(problems)]
    return AnnotationError(
        f'{file}: {counted(len(problems), "problem")}\n'
        + first_few(lines, _SHOWN, separator='\n')
        + '\n'
        '  fix: correct these rows or videos'
    )


def counted(number: int, one: str, many: str = '') -> str:
    """A number with its noun: ``1 video``, ``2 videos``."""
    return f'{number} {one if number == 1 else many or one + "s"}'
