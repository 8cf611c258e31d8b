"""Snippet features as csv: one grammar for the check, the shape and the read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from mmsola.datasets.features.containers import Folder
from mmsola.datasets.features.feature_errors import feature_error, truncated_error


class CsvFolder(Folder):
    """``.csv`` as MMAction2 and CUHK write it: text, with or without a header row.

    Read whole and parsed, which takes a hundred times as long as npy; once, where a cache keeps it.
    """

    suffix = '.csv'

    def header(self, key: str) -> tuple[tuple[int, ...], Any]:
        rows = self._rows(key)
        columns = {row.count(b',') for row in rows}
        if len(columns) > 1:
            expected = rows[0].count(b',')
            snippet = next(i for i, row in enumerate(rows) if row.count(b',') != expected)
            raise truncated_error(
                self.path(key),
                f'snippet {snippet} has {rows[snippet].count(b",") + 1} columns, '
                f'snippet 0 has {expected + 1}',
            )
        return (len(rows), columns.pop() + 1 if columns else 0), np.dtype(np.float32)

    def open(self, key: str) -> np.ndarray:
        return self.once(key, lambda: self._parsed(key))

    def _parsed(self, key: str) -> np.ndarray:
        rows = self._rows(key)
        if not rows:
            return np.empty((0, 0), np.float32)
        try:
            # From a stream of bytes this is nearly twice as fast as from a path or from rows. A row
            # that begins with # is no comment, since the shape counts it.
            return np.loadtxt(
                io.BytesIO(b'\n'.join(rows)), np.float32, comments=None, delimiter=',', ndmin=2
            )
        except ValueError as error:
            self.header(key)  # says it better if it is the number of columns
            raise feature_error(
                f'{self.path(key)}: is no table of numbers ({error})',
                'numbers separated by commas, with at most one header row',
                'write it again, or correct this row',
            ) from error

    def is_plainly_finite(self, key: str) -> bool:
        """Whether every field is a number like -3.1e-05 and fits into float32.

        Parsing takes several times longer than a look at the text without its digits: what is left
        are a few marks, and which of them may follow each other, with or without digits between, is
        all there is to the grammar. What is unusual is for the parser: white space, letters, long
        fields, exponents above 9.
        """
        text = np.frombuffer(b','.join([b'', *self._rows(key), b'']), np.uint8)
        where = np.flatnonzero(text - ord('0') > 9)  # bytes below '0' wrap around
        marks = _MARK_OF_BYTE[text[where]]
        gaps = np.diff(where)
        has_digits = gaps > 1
        following = marks[1:]  # a view
        following[(following == _POINT) & ~has_digits] = _BARE_POINT
        following[(following == _MINUS) & (marks[:-1] == _E)] = _EXPONENT_MINUS
        pairs = marks[:-1] * 16 + has_digits * np.uint8(8) + following
        if not _PLAIN_PAIRS[np.flatnonzero(np.bincount(pairs, minlength=128))].all():
            return False
        plus = np.flatnonzero(marks == _PLUS)
        return bool(
            np.diff(where[marks == _COMMA]).max(initial=0) - 1 <= _LONGEST_PLAIN_FIELD
            and (gaps[plus] == 3).all()  # e+09: two digits, the first of which is 0
            and (text[where[plus] + 1] == ord('0')).all()
        )

    def _rows(self, key: str) -> list[bytes]:
        """The rows of numbers, without header row and blank lines."""
        with self.opened(key) as stream:
            text = stream.read()
        rows = [row for row in text.removeprefix(b'\xef\xbb\xbf').splitlines() if row.strip()]
        has_header = bool(rows) and _is_header_row(rows[0])
        if _has_index_column(rows, has_header):
            raise feature_error(
                f'{self.path(key)}: its first column counts the rows (0, 1, 2, ...), as pandas '
                'writes its index; it would be read as one channel more',
                'columns of features only',
                'write it again with index=False, such as pandas.read_csv(path, index_col=0).'
                'to_csv(path, index=False)',
            )
        return rows[1:] if has_header else rows


_LONGEST_PLAIN_FIELD = 28  # so many digits before e+09 still fit into float32
_COMMA, _MINUS, _POINT, _BARE_POINT, _E, _EXPONENT_MINUS, _PLUS, _OTHER = range(8)
_MARK_OF_BYTE = np.full(256, _OTHER, np.uint8)
for _byte, _mark in zip(b',-.e+', (_COMMA, _MINUS, _POINT, _E, _PLUS)):
    _MARK_OF_BYTE[_byte] = _mark
# Which marks may follow each other without (0) and with (1) digits between them. A bare point has
# no digits before it, so it needs some after it.
_PLAIN_PAIRS = np.zeros(128, bool)
for _before, _digits, _after in (
    *((mark, 1, after) for mark in (_COMMA, _MINUS) for after in (_COMMA, _POINT, _E)),
    *((mark, 0, _BARE_POINT) for mark in (_COMMA, _MINUS)),
    *((_POINT, digits, after) for digits in (0, 1) for after in (_COMMA, _E)),
    *((_BARE_POINT, 1, after) for after in (_COMMA, _E)),
    (_COMMA, 0, _MINUS),
    (_E, 0, _EXPONENT_MINUS),
    (_E, 0, _PLUS),
    (_EXPONENT_MINUS, 1, _COMMA),
    (_PLUS, 1, _COMMA),
):
    _PLAIN_PAIRS[_before * 16 + _digits * 8 + _after] = True


def _is_header_row(row: bytes) -> bool:
    """Whether the first row of a csv file names columns instead of holding numbers."""
    if row.startswith(b'#'):
        return True
    fields = row.split(b',')
    # pandas leaves the name of its index empty, and names columns 0, 1, 2, ... if nobody else does
    names = fields[1:] if not fields[0] else fields
    if not any(_is_number(field) for field in names):
        return True
    return len(names) > 1 and names == [b'%d' % index for index in range(len(names))]


def _has_index_column(rows: list[bytes], has_header: bool) -> bool:
    """Whether the first column is the number of the row, as pandas writes it."""
    firsts = [row.split(b',', 1)[0] for row in rows[has_header : has_header + 3]]
    # three whole numbers in order are chance in no features; under a nameless column one is enough
    is_nameless = has_header and rows[0].split(b',', 1)[0] in _INDEX_NAMES
    enough = 1 if is_nameless else 3
    return (
        len(firsts) >= enough
        and b',' in rows[-1]
        and all(
            row.split(b',', 1)[0] == b'%d' % index for index, row in enumerate(rows[has_header:])
        )
    )


_INDEX_NAMES = (b'', b'""', b'Unnamed: 0')


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
