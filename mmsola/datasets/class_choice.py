"""Which classes a data set has, as its arguments choose them."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmsola.datasets.annotation_error import annotation_error
from mmsola.datasets.class_names import checked_names, nearest_names, read_class_names
from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL, VideoRecord


@dataclass(frozen=True)
class ClassChoice:
    """What the arguments of a data set ask of its classes.

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
        """Whether any argument is about classes."""
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
            names = checked_names([str(name).strip() for name in self.given], source)
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
    raise annotation_error(
        f'{ann_file}: video {first_video!r}: the label {label!r}{more} is none of the '
        f'{len(names)} classes of {source}',
        f'one of these, such as {nearest_names(label, names)}',
        f'correct the label or the list, or leave it out with ignored_classes=[{label!r}]',
    )


def _plain(classes: Any) -> Any:
    return classes if isinstance(classes, str) else [str(name) for name in classes]
