"""Csv files with a header row that others publish: a bad row is named with its file and line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmsola.datasets.annotations import AnnotationError


def read_rows(
    file: Path, columns: Sequence[str], source: str
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each row; at least these columns are in every one.

    Args:
        file: The csv file, in UTF-8.
        columns: Names that the header row must have.
        source: Who publishes it, for the messages.

    Raises:
        AnnotationError: The file or a column is missing, it has no row, or a row has more or fewer
            cells than the header.
    """
    if not file.is_file():
        raise AnnotationError(
            f'{file}: no such file\n  expected: the csv files of {source}\n'
            '  fix: correct the folder, or copy this file to it'
        )
    try:
        with file.open(encoding='utf-8-sig', newline='') as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise row_error(
                    file,
                    1,
                    f'no column {", ".join(map(repr, missing))}',
                    f'the columns {", ".join(columns)}',
                )
            is_empty = True
            for row in reader:
                if any(row[name] is None for name in columns):
                    raise row_error(file, reader.line_num, 'a row that is cut off', 'a whole row')
                if None in row:
                    raise row_error(
                        file,
                        reader.line_num,
                        'a row with more cells than the first one',
                        'as many; a cell with a comma inside stands in quotes',
                    )
                is_empty = False
                yield reader.line_num, row
            if is_empty:
                raise row_error(file, 1, 'no row below the names of the columns', 'some rows')
    except (csv.Error, UnicodeDecodeError) as error:
        raise AnnotationError(
            f'{file}: is not csv in UTF-8: {error}\n  expected: a file of '
            f'{source}\n  fix: download it again'
        ) from error


def row_error(file: Path, line: int, found: str, expected: str) -> AnnotationError:
    """The error of one line of such a file."""
    return AnnotationError(
        f'{file}:{line}: {found}\n  expected: {expected}\n  fix: correct this line, or download '
        'the file again'
    )
