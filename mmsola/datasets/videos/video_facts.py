"""What an extraction remembers of each video, in a json file beside its features."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from mmsola.files.json_file import is_number, is_positive, read_json_object

EXTRACTION_MANIFEST = '_extraction.json'  # how all of a folder was extracted


@dataclass(frozen=True)
class VideoFacts:
    """What an extraction remembers of a video."""

    num_snippets: int
    num_frames: int
    fps: float
    duration_sec: float
    is_variable: bool
    lost_frames: int = 0  # that could not be decoded, of those that snippets are made of


def read_facts(path: Path, error: type[ValueError]) -> VideoFacts:
    """The facts in a file that an extraction wrote.

    Raises:
        error: It is missing or damaged, lacks a fact, or one makes no sense.
    """
    fix = 'extract this video again'
    expected = 'what an extraction knows of one video'
    content = read_json_object(path, error, expected, fix)
    for field in fields(VideoFacts):
        value = content.get(field.name)
        if field.name == 'lost_frames' and value is None:  # earlier versions lost none
            content['lost_frames'] = 0
            continue
        if field.name == 'is_variable':
            is_right, expected = isinstance(value, bool), 'true or false'
        elif field.name == 'lost_frames':
            is_right = is_number(value) and isinstance(value, int) and value >= 0
            expected = 'a whole number'
        elif field.name.startswith('num_'):
            is_right = isinstance(value, int) and is_positive(value)
            expected = 'a whole number above 0'
        else:
            is_right, expected = is_positive(value), 'a number above 0'
        if not is_right:
            found = repr(value)[:80] if field.name in content else 'not there'
            raise error(f'{path}: {field.name} is {found}\n  expected: {expected}\n  fix: {fix}')
    return VideoFacts(**{field.name: content[field.name] for field in fields(VideoFacts)})
