"""Json files from others, read in one way: every fault names the file and what to do."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

from mmsola.messages.first_few import first_few

_NUMBER = re.compile(r'\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*', re.ASCII)


def read_json(
    path: str | Path,
    error: type[ValueError],
    expected: str,
    fix: str = 'download or copy it again',
) -> Any:
    """The content of a json file; UTF-8, with or without a byte order mark.

    Args:
        path: The file.
        error: What is raised, with one text that has all the parts.
        expected: What the file should hold, for the message.
        fix: What to do about it, for the message.

    Raises:
        error: The file is missing, unreadable, empty, cut off, no json, too deep, or names a key
            twice.
    """
    file = os.fspath(path)

    def fault(found: str, do: str = fix) -> ValueError:
        return error(f'{file}: {found}\n  expected: {expected}\n  fix: {do}')

    if not os.path.isfile(file):
        found = 'is a folder' if os.path.isdir(file) else 'does not exist'
        raise fault(found, 'correct the path')
    try:
        with open(file, encoding='utf-8-sig') as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as cause:
        raise fault(
            f'cannot be read as text in UTF-8 ({cause})',
            'correct the path, or the rights or encoding of the file',
        ) from cause
    if not text.strip():
        raise fault('is empty')

    repeated: list[str] = []

    def to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # json itself keeps the last of two entries of the same name and says nothing
        content = dict(pairs)
        if len(content) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            repeated.extend(
                f'{"video" if isinstance(content[key], dict) else "key"} {key!r} occurs {n} times'
                for key, n in counts.items()
                if n > 1
            )
        return content

    try:
        content = json.loads(text, object_pairs_hook=to_dict)
    except json.JSONDecodeError as cause:
        raise fault(
            f'is not valid json: {cause.msg} in line {cause.lineno}, '
            f'column {cause.colno} of {text.count(chr(10)) + 1} lines',
            f'{fix} if it was cut off, else correct that line',
        ) from cause
    except RecursionError as cause:
        raise fault('is nested too deeply') from cause
    except ValueError as cause:  # a whole number of thousands of digits
        raise fault(f'cannot be read: {cause}') from cause
    if repeated:
        raise fault(first_few(repeated, separator='; '), 'remove or rename all but one of them')
    return content


def read_json_object(
    path: str | Path,
    error: type[ValueError],
    expected: str,
    fix: str = 'download or copy it again',
) -> dict[str, Any]:
    """The content of a json file that must be an object ``{...}``; arguments as ``read_json``.

    Raises:
        error: As ``read_json``, or it holds something else.
    """
    content = read_json(path, error, expected, fix)
    if not isinstance(content, dict):
        raise error(
            f'{path}: holds a {type(content).__name__}\n  expected: {expected}\n  fix: {fix}'
        )
    return content


def is_number(value: Any) -> bool:
    """Whether a value of a json file is a number, and one that float64 can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return isinstance(value, float) or math.isfinite(float(value))
    except OverflowError:  # a whole number of hundreds of digits
        return False


def as_number(value: Any) -> Any:
    """A text of a plain decimal number as that number; anything else as it is."""
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def is_positive(value: Any) -> bool:
    """Whether a value of a json file is a finite number above 0."""
    return is_number(value) and math.isfinite(value) and value > 0
