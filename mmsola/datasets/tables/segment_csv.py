"""Segments that somebody wrote into a table: one row each, times as people write them."""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path

from mmsola.datasets.annotations import AnnotationError
from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL, Segment

REQUIRED_COLUMNS = ('video', 'start', 'end')
OPTIONAL_COLUMNS = ('label', 'subset', 'subject')

# Columns that hold classes in tables that others made. Left unused, all would be one class.
_LOOKS_LIKE_LABEL = (
    *('type', 'class', 'action', 'category', 'activity', 'event', 'name', 'verb', 'behavior'),
    *('behaviour', 'class_name', 'class name', 'action_class', 'classes', 'tag', 'annotation'),
)
_DELIMITERS = (',', ';', '\t')
_CLOCK = re.compile(r'(?:(\d+):)?(\d+):(\d{1,2}(?:\.\d*)?)')


@dataclass(frozen=True)
class CsvRow:
    """One row; ``segment`` is None where the video holds no action."""

    line: int
    video: str
    segment: Segment | None
    subset: str | None = None
    subject: str | None = None


@dataclass(frozen=True)
class SegmentTable:
    """What could be read of a file.

    Attributes:
        rows: The good rows.
        problems: Line and message of each bad one.
        columns: Those that are used.
        unused: Names of columns that mean nothing here.
    """

    file: str
    rows: tuple[CsvRow, ...]
    problems: tuple[tuple[int, str], ...]
    columns: tuple[str, ...]
    unused: tuple[str, ...]


def read_segment_csv(path: str | Path) -> SegmentTable:
    """Read a csv file with a header row that names the columns, in any order.

    ``video``, ``start`` and ``end`` must be there, ``label``, ``subset`` and ``subject`` may. Times
    are seconds (``83.5``), ``mm:ss`` or ``hh:mm:ss``. A segment without label is an ``'action'``. A
    row with neither start nor end means that somebody watched the video and found no action.
    Fields are parted by comma, semicolon or tab; with the latter two, ``1,5`` is a number too.

    Raises:
        AnnotationError: The file cannot be read at all. Bad rows are listed in the table.
    """
    file = str(path)
    text = _read_text(file)
    first_line = text.lstrip().split('\n', 1)[0]
    delimiter = max(_DELIMITERS, key=first_line.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    rows: list[CsvRow] = []
    problems: list[tuple[int, str]] = []
    columns: list[str] = []
    try:
        for fields in reader:
            fields = [field.strip() for field in fields]
            if not any(fields):
                continue
            if not columns:
                columns = _check_columns(file, [field.lower() for field in fields])
                continue
            try:
                if any(fields[len(columns) :]):
                    raise ValueError(
                        f'has {len(fields)} fields, the header {len(columns)}; expected as many: '
                        f'a field with {delimiter!r} inside stands in quotes'
                    )
                cells = dict.fromkeys(columns, '') | dict(zip(columns, fields))
                rows.append(_row(reader.line_num, cells, delimiter != ','))
            except ValueError as error:
                problems.append((reader.line_num, str(error)))
    except csv.Error as error:
        raise AnnotationError(
            f'{file}:{reader.line_num}: is not csv: {error}\n'
            '  expected: rows of fields, a quote that opens also closes\n'
            '  fix: correct this line, or save the table as csv again'
        ) from error
    if not rows and not problems:
        raise AnnotationError(
            f'{file}: holds no row\n  expected: a header row and a row for each segment\n'
            '  fix: save the table as csv again'
        )
    unused = [column for column in columns if column not in REQUIRED_COLUMNS + OPTIONAL_COLUMNS]
    used = [column for column in columns if column not in unused]
    return SegmentTable(file, tuple(rows), tuple(problems), tuple(used), tuple(unused))


def parse_time(text: str, comma_is_point: bool = False) -> float:
    """Seconds of ``83.5``, ``1:23.5`` or ``0:01:23.5``.

    Raises:
        ValueError: It is none of these, or below 0.
    """
    number = text.replace(',', '.') if comma_is_point else text
    clock = _CLOCK.fullmatch(number)
    if clock is not None:
        hours, minutes, seconds = clock.groups()
        if float(seconds) < 60 and (hours is None or int(minutes) < 60):
            time_sec = 3600 * float(hours or 0) + 60 * float(minutes) + float(seconds)
            if time_sec < math.inf:
                return time_sec
    else:
        try:
            if 0 <= float(number) < math.inf:
                return float(number)
        except ValueError:
            pass
    raise ValueError(f'is {text!r}; expected seconds from 0 on, mm:ss or hh:mm:ss')


def _row(line: int, cells: dict[str, str], comma_is_point: bool) -> CsvRow:
    label = cells.get('label', '')
    if not cells['video']:
        raise ValueError('names no video; expected its name in the column video')
    segment = None
    if cells['start'] or cells['end']:
        times_sec = []
        for column in ('start', 'end'):
            try:
                times_sec.append(parse_time(cells[column], comma_is_point))
            except ValueError as error:
                raise ValueError(f'{column} {error}') from error
        start_sec, end_sec = times_sec
        if end_sec <= start_sec:
            raise ValueError(
                f'starts at {cells["start"]} and ends at {cells["end"]}; expected an end after '
                'the start'
            )
        segment = Segment(start_sec, end_sec, label or CLASS_AGNOSTIC_LABEL)
    elif label:
        raise ValueError(
            f'has the label {label!r} but neither start nor end; expected both, or no label '
            'either for a video without action'
        )
    return CsvRow(
        line, cells['video'], segment, cells.get('subset') or None, cells.get('subject') or None
    )


def _check_columns(file: str, columns: list[str]) -> list[str]:
    """The columns, if segments can be read from them and none looks like a slip of the pen."""
    known = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
    found = ', '.join(map(repr, columns))
    faults = [f'there is no column {name!r}' for name in REQUIRED_COLUMNS if name not in columns]
    faults += [f'{name!r} is there twice' for name in known if columns.count(name) > 1]
    for column in columns:
        absent = [name for name in known if name not in columns]
        near = difflib.get_close_matches(column, absent, 1, cutoff=0.75)
        if column not in known and near:
            faults.append(f'{column!r} is unknown (is it {near[0]!r}?)')
    if 'label' not in columns:
        faults += [
            f"there is no column 'label' (is it {column!r}? Else rename that column)"
            for column in columns
            if column in _LOOKS_LIKE_LABEL
        ]
    if faults:
        raise AnnotationError(
            f'{file}:1: {"; ".join(faults)}; the columns are {found}\n'
            f'  expected: a header row with {", ".join(REQUIRED_COLUMNS)}, and if known '
            f'{", ".join(OPTIONAL_COLUMNS)}\n'
            '  fix: correct the first row, or add it if the file begins with a segment'
        )
    return columns


def _read_text(file: str) -> str:
    if not Path(file).is_file():
        raise AnnotationError(
            f'{file}: no such file\n  expected: a csv file of segments\n  fix: correct its path'
        )
    try:
        return Path(file).read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f'{file}: is not in UTF-8 ({error.reason} at byte {error.start})\n'
            '  expected: a text file in UTF-8\n'
            '  fix: save it as "CSV UTF-8", as spreadsheets call it'
        ) from error
