"""Which classes a data set has, and in which order: what a localizer calls class 0, 1, 2."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmsola.datasets.annotations import AnnotationError
from mmsola.datasets.known_sets import see_page
from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL, VideoRecord

_NUMBERED = re.compile(r'(\d+)[ \t]+(\S.*)')  # a line such as "7 BaseballPitch"
_NEAREST = 3  # names that a message offers


@dataclass(frozen=True)
class ClassChoice:
    """What the arguments of a data set say of its classes.

    Attributes:
        given: Names in order, or a text file of them (:func:`read_class_names`); None takes the
            sorted labels of the annotations.
        class_agnostic: One class for all.
        ignored: Labels whose segments are left out, and that are no class even if they are given.
    """

    given: Sequence[str] | str | None = None
    class_agnostic: bool = False
    ignored: tuple[str, ...] = ()

    @property
    def is_made(self) -> bool:
        """Whether anything is said of the classes."""
        return self.class_agnostic or self.given is not None

    def without_ignored(self, records: Sequence[VideoRecord]) -> tuple[list[VideoRecord], int]:
        """The records without segments of ignored classes, and how many segments these were."""
        kept, count = [], 0
        for record in records:
            if record.segments is not None:
                segments = tuple(s for s in record.segments if s.label not in self.ignored)
                count += len(record.segments) - len(segments)
                record = dataclasses.replace(record, segments=segments)
            kept.append(record)
        return kept, count

    def names(
        self, records: Sequence[VideoRecord], ann_file: str, data_root: str | None = None
    ) -> tuple[str, ...]:
        """The classes in order; none where none are given and nothing is annotated.

        Args:
            records: Without ignored classes.
            ann_file: Where they are from, for messages.
            data_root: Where the text file lies, unless its path is absolute.

        Raises:
            AnnotationError: The list or its file cannot be used, or lacks an annotated label.
        """
        if self.class_agnostic:
            return (CLASS_AGNOSTIC_LABEL,)
        if self.given is None:
            return tuple(sorted({s.label for record in records for s in record.segments or ()}))
        if isinstance(self.given, str):
            source = os.path.join(data_root or '', self.given)
            names = read_class_names(source)
        else:
            source = 'classes'
            names = _checked([str(name).strip() for name in self.given], source)
        names = [name for name in names if name not in self.ignored]
        _check_labels(records, names, ann_file, source)
        return tuple(names)


def class_choice(
    classes: Sequence[str] | str | None,
    class_agnostic: bool,
    ignored_classes: Sequence[str],
    metainfo: Mapping[str, Any] | None,
) -> tuple[ClassChoice, dict[str, Any] | None]:
    """The choice that a data set's arguments make, and its ``metainfo`` without ``classes``.

    MMEngine's ``metainfo=dict(classes=...)`` is the same as ``classes=...``.

    Raises:
        ValueError: Both are given and not the same, a single class is to have names, or
            ``ignored_classes`` is a text.
    """
    rest = None if metainfo is None else dict(metainfo)
    of_metainfo = rest.pop('classes', None) if rest else None
    if of_metainfo is not None:
        if classes is not None and _plain(classes) != _plain(of_metainfo):
            raise ValueError(
                f'classes is {_plain(classes)!r}, but metainfo has classes={_plain(of_metainfo)!r};'
                ' leave out one of them.'
            )
        classes = of_metainfo
    if class_agnostic and classes is not None and _plain(classes) != [CLASS_AGNOSTIC_LABEL]:
        raise ValueError(
            f'class_agnostic=True has the one class {CLASS_AGNOSTIC_LABEL!r}, but classes='
            f'{_plain(classes)!r} is given as well; leave out one of them.'
        )
    if isinstance(ignored_classes, str):
        raise ValueError(
            f'ignored_classes is the text {ignored_classes!r}; expected a list: '
            f'[{ignored_classes!r}].'
        )
    given = None if classes is None else _plain(classes)
    return ClassChoice(given, class_agnostic, tuple(map(str, ignored_classes))), rest


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
        raise _error(
            f'{file}: {found}',
            'a text file with one class name a line, or a list of names',
            'correct the path given as classes; it begins at data_root if there is one'
            f'{see_page(file)}',
        )
    try:
        with open(file, encoding='utf-8-sig') as stream:
            lines = [line.strip() for line in stream]
    except (OSError, UnicodeDecodeError) as cause:
        raise _error(
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
                raise _error(
                    f'{file}: {number} {following!r} follows {before} {name!r}',
                    'numbers that rise from line to line',
                    'sort the lines, or write the names without numbers',
                )
        names = [name for _, name in pairs]
    return _checked(names, file)


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
    more = ', ...' if len(names) > _NEAREST else ''
    return ', '.join(map(repr, names[:_NEAREST])) + more


def _check_labels(
    records: Sequence[VideoRecord], names: Sequence[str], ann_file: str, source: str
) -> None:
    known = set(names)
    unknown: Counter[str] = Counter()
    first_video = ''
    for record in records:
        for segment in record.segments or ():
            if segment.label not in known:
                first_video = first_video or record.name
                unknown[segment.label] += 1
    if not unknown:
        return
    label = next(iter(unknown))
    more = f' (and {len(unknown) - 1} more labels)' if len(unknown) > 1 else ''
    raise _error(
        f'{ann_file}: video {first_video!r}: the label {label!r}{more} is none of the '
        f'{len(names)} classes of {source}',
        f'one of these, such as {nearest_names(label, names)}',
        f'correct the label or the list, or leave it out with ignored_classes=[{label!r}]',
    )


def _checked(names: list[str], source: str) -> list[str]:
    """The names, if there are some and each is there once."""
    if not names or not all(names):
        raise _error(
            f'{source}: {"an empty name" if names else "holds no class name"}',
            'at least one name, and none of them empty',
            'name the classes, or leave classes out to take the labels of the annotations',
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        places = ', '.join(str(i) for i, name in enumerate(names) if name == twice[0])
        raise _error(
            f'{source}: the name {twice[0]!r} occurs at the positions {places}',
            'each class once',
            'remove all but one of them',
        )
    return names


def _plain(classes: Any) -> Any:
    return classes if isinstance(classes, str) else [str(name) for name in classes]


def _error(found: str, expected: str, fix: str) -> AnnotationError:
    return AnnotationError(f'{found}\n  expected: {expected}\n  fix: {fix}')
