"""Remembers which feature files passed the check, so that the next run need not read them again.

One small json file for each setting of a feature store, in :func:`cache_folder` below ``checked/``.
It only ever saves time: what cannot be read or written is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from mmsola.atomic import replacing
from mmsola.datasets.features.cache_folder import cache_folder

# Raised whenever the check learns to find something new, so that old passes do not count.
CHECK_VERSION = 2


class Passed(NamedTuple):
    """A video that passed: the file it was in then, its shape (T, C), and how far it was looked at.

    ``size`` in bytes and ``mtime_ns`` are compared: another value is another file.
    """

    size: int
    mtime_ns: int
    num_snippets: int
    num_channels: int
    values: bool


def load(settings: dict[str, Any]) -> dict[str, Passed]:
    """The videos that passed with these settings, by name; none if nothing usable is there."""
    try:
        with open(_file(settings), encoding='utf-8') as stream:
            content = json.load(stream)
        passed = {name: Passed(*row) for name, row in content['passed'].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return {name: row for name, row in passed.items() if _is_usable(row)}


def _is_usable(row: Passed) -> bool:
    numbers = row[:4]
    return isinstance(row.values, bool) and all(type(n) is int and n >= 0 for n in numbers)


def save(settings: dict[str, Any], passed: dict[str, Passed]) -> None:
    """Add videos to those remembered for these settings."""
    file = _file(settings)
    # Other processes check their share of the videos meanwhile: keep what they wrote.
    content = {'settings': settings, 'passed': {**load(settings), **passed}}
    # a cache that cannot be written to only costs time
    with contextlib.suppress(OSError), replacing(file) as partial:
        partial.write_text(json.dumps(content), encoding='utf-8')


def _file(settings: dict[str, Any]) -> Path:
    text = json.dumps([CHECK_VERSION, settings], sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:24] + '.json'
    return cache_folder() / 'checked' / name
