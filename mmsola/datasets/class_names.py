"""Lists of class names: their order is what a localizer calls class 0, 1, 2."""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mmsola.datasets.annotation_error import annotation_error
from mmsola.datasets.known_sets import see_page
from mmsola.messages.first_few import first_few
from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL

_NUMBERED = re.compile(r'(\d+)[ \t]+(\S.*)')  # a line such as "7 BaseballPitch"
_NEAREST = 3  # names that a message offers


def read_class_names(path: str | os.PathLike[str]) -> list[str]:
    """Class names of a text file in UTF-8, in the order of its lines.

    One name a line, as OpenTAD's files of categories, or ``number name`` in every line, as
    THUMOS14's list of classes, in rising order. Blank lines are skipped.

    Raises:
        AnnotationError: The file cannot be read, is empty, names a class twice, or its numbers do
            not rise.
    """
    file = os.fspath(path)
    if not os.path.isfile(file):
        found = 'is a folder' if os.path.isdir(file) else 'does not exist'
        raise annotation_error(
            f'{file}: {found}',
            'a text file with one class name a line, or a list of names',
            'correct the path given as classes; it begins at data_root if there is one'
            f'{see_page(file)}',
        )
    try:
        with open(file, encoding='utf-8-sig') as stream:
            lines = [line.strip() for line in stream]
    except (OSError, UnicodeDecodeError) as cause:
        raise annotation_error(
            f'{file}: cannot be read as text in UTF-8 ({cause})',
            'a text file with one class name a line',
            'correct the path given as classes, or the encoding of the file',
        ) from cause
    names = [line for line in lines if line]
    numbered = [_NUMBERED.fullmatch(name) for name in names]
    if all(numbered):
        pairs = [(int(match[1]), match[2]) for match in numbered if match]
        for (before, name), (number, following) in zip(pairs, pairs[1:]):
            if number <= before:
                raise annotation_error(
                    f'{file}: {number} {following!r} follows {before} {name!r}',
                    'numbers that rise from line to line',
                    'sort the lines, or write the names without numbers',
                )
        names = [name for _, name in pairs]
    return checked_names(names, file)


def number_annotations(annotations: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Add ``class_index`` to each annotation of a video; 0 if there is one class for all."""
    index = {name: i for i, name in enumerate(names)}
    is_agnostic = tuple(names) == (CLASS_AGNOSTIC_LABEL,)
    for annotation in annotations:
        annotation['class_index'] = 0 if is_agnostic else index[annotation['label']]


def nearest_names(name: str, names: Sequence[str]) -> str:
    """Those names that look most like this one, for a message; the first few if none does."""
    lowered = {other.lower(): other for other in names}
    near = difflib.get_close_matches(name.lower(), lowered, _NEAREST)
    if near:
        return ', '.join(repr(lowered[other]) for other in near)
    return first_few(map(repr, names), _NEAREST)


def checked_names(names: list[str], source: str) -> list[str]:
    """The names, if there are some and each is there once.

    Raises:
        AnnotationError: There is none, or one is empty or there twice.
    """
    if not names or not all(names):
        raise annotation_error(
            f'{source}: {"an empty name" if names else "holds no class name"}',
            'at least one name, and none of them empty',
            'name the classes, or leave classes out to take the labels of the annotations',
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        positions = ', '.join(str(i) for i, name in enumerate(names) if name == twice[0])
        raise annotation_error(
            f'{source}: the name {twice[0]!r} occurs at the positions {positions}',
            'each class once',
            'remove all but one of them',
        )
    return names
