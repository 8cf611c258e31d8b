"""Annotation files of the field, read into one record type.

Two layouts are recognised by their content, and several of the segments within
(:mod:`mmsola.datasets.segment_layouts`):

* MMAction2's flat json: ``{name: {duration_second, duration_frame, feature_frame, fps, rfps,
  annotations: [{segment: [start, end], label}]}}``
* the ``database`` json of ActivityNet, HACS, THUMOS14 and OpenTAD:
  ``{database: {name: {duration, subset, annotations, frame, fps}}}``
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.logging import print_log

from mmsola.datasets.known_sets import see_page
from mmsola.datasets.segment_layouts import (
    SEGMENT_FIELDS,
    LayoutFault,
    segments_of,
    unread_fields,
)
from mmsola.files.file_kind import refuse_other_kinds
from mmsola.files.file_names import leads_out
from mmsola.files.json_file import as_number, is_number, read_json
from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL, ROUNDING_SEC, Segment, VideoRecord

_DURATION_FIELDS = ('duration_second', 'duration')
_FRAME_FIELDS = ('duration_frame', 'frame')
_KNOWN_FIELDS = {*_DURATION_FIELDS, *_FRAME_FIELDS, 'feature_frame', *SEGMENT_FIELDS, 'subset'}


class AnnotationError(ValueError):
    """An annotation that cannot be used; says file, video, found, expected and how to fix it."""


@dataclass(frozen=True)
class AnnotationSet:
    """Records in the order of the file, and a readable line for each segment that was changed.

    ``faults`` says how often a segment was dropped for what.
    """

    records: tuple[VideoRecord, ...]
    clipped: tuple[str, ...]
    dropped: tuple[str, ...]
    faults: Mapping[str, int] = dataclasses.field(default_factory=dict)


def load_annotations(
    path: str | os.PathLike[str],
    subset: str | Sequence[str] | None = None,
    group_field: str | None = None,
    on_bad_segment: str = 'stop',
    may_be_empty: bool = False,
) -> AnnotationSet:
    """Read an annotation file of MMAction2's flat or of the ``database`` style.

    A segment that runs past the end of its video is clipped to it. One whose times make no sense
    (not finite, negative, empty, reversed, wholly past the end) is bad. A segment without label
    gets the label ``'action'``, one with several labels is a segment of each. Numbers may be
    written as text. Where not one video of a subset has a segment, as in test subsets, its videos
    count as not annotated (``segments=None``); where the whole file has none, a warning says so.

    Args:
        path: The json file.
        subset: Keep only videos of this subset, or of these; upper and lower case are the same.
        group_field: Field of a video's entry that becomes ``VideoRecord.group``.
        on_bad_segment: ``'stop'`` raises on bad segments, ``'drop'`` leaves them out. ``'keep'``
            changes nothing, which is what an official evaluation counts; times that are not finite
            or reversed stop it too.
        may_be_empty: Do not warn of a file without any segment: to predict, none is needed.

    Raises:
        AnnotationError: The file cannot be read or used as annotations, or no video has a segment,
            but fields that are not understood look as if they held some.
    """
    if on_bad_segment not in ('stop', 'drop', 'keep'):
        raise ValueError(f"on_bad_segment is {on_bad_segment!r}; expected 'stop', 'drop' or 'keep'")
    file = os.fspath(path)
    if not os.path.exists(file):
        raise _error(
            f'{file}: does not exist', 'a json annotation file', f'correct the path{see_page(file)}'
        )
    refuse_other_kinds(file, AnnotationError)
    entries = _videos(file, read_json(file, AnnotationError, 'a json annotation file'))
    _check_that_segments_are_read(file, entries, may_be_empty)
    if subset is not None:
        entries = _of_subset(file, entries, [subset] if isinstance(subset, str) else list(subset))
    if group_field is not None:
        _require_field(file, entries, group_field)

    annotated_subsets = {entry.get('subset') for entry in entries.values() if _has_segments(entry)}
    clipped: list[str] = []
    dropped: list[str] = []
    faults: Counter[str] = Counter()
    records = []
    for name, entry in entries.items():
        reader = _EntryReader(file, name, entry)
        duration_sec = reader.positive(*_DURATION_FIELDS)
        num_frames = reader.positive(*_FRAME_FIELDS)
        feature_frames = reader.positive('feature_frame')
        fps = reader.positive('rfps')
        if fps is None and num_frames is not None and duration_sec is not None:
            fps = num_frames / duration_sec
        is_annotated = entry.get('subset') in annotated_subsets
        records.append(
            VideoRecord(
                name=name,
                duration_sec=duration_sec,
                fps=reader.positive('fps') if fps is None else fps,
                num_frames=None if num_frames is None else int(num_frames),
                feature_frames=None if feature_frames is None else int(feature_frames),
                subset=entry.get('subset'),
                group=None if group_field is None else reader.group(group_field),
                segments=(
                    reader.segments(
                        None if on_bad_segment == 'keep' else duration_sec,
                        clipped,
                        dropped,
                        faults,
                        with_empty=on_bad_segment == 'keep',
                    )
                    if is_annotated
                    else None
                ),
            )
        )
    if dropped and on_bad_segment != 'drop':
        raise _error(
            f'{file}: {_first(dropped, len(dropped))}',
            'finite times in seconds, 0 <= start < end, start before the end of the video',
            "correct these segments, or leave them out with on_bad_segment='drop'",
        )
    return AnnotationSet(tuple(records), tuple(clipped), tuple(dropped), faults)


class _EntryReader:
    """Takes the entry of one video apart; every complaint names file and video."""

    def __init__(self, file: str, name: str, entry: dict[str, Any]) -> None:
        self.where = f'{file}: video {name!r}'
        self.name = name
        self.entry = entry

    def positive(self, *fields: str) -> float | None:
        """The first of these fields that is there, as a number above zero."""
        for field in fields:
            value = as_number(self.entry.get(field))
            if value is None:
                continue
            if not is_number(value) or not math.isfinite(value) or value <= 0:
                raise _error(
                    f'{self.where}: {field} is {self.entry[field]!r}',
                    'a number above 0',
                    f'correct {field}, or remove it if it is not known',
                )
            return value
        return None

    def group(self, field: str) -> str | None:
        value = self.entry.get(field)
        if value is not None and not isinstance(value, (str, int)):
            raise _error(
                f'{self.where}: {field} is {value!r}',
                'a text or a whole number that names the group',
                'choose another group_field',
            )
        return None if value is None else str(value)

    def segments(
        self,
        duration_sec: float | None,
        clipped: list[str],
        dropped: list[str],
        faults: Counter[str],
        with_empty: bool,
    ) -> tuple[Segment, ...] | None:
        """Segments inside the video; adds a line to ``clipped`` or ``dropped`` for the others."""
        try:
            annotations = segments_of(self.entry)
        except LayoutFault as layout:
            raise _error(
                f'{self.where}: {layout}',
                'a list of {"segment": [start, end], "label": ...}',
                layout.fix,
            ) from layout
        if annotations is None:
            return None
        segments = []
        for index, (times, labels) in enumerate(annotations):
            start_sec, end_sec = self._times(index, times)
            names = [self._label(index, label) for label in labels] or [CLASS_AGNOSTIC_LABEL]
            fault, in_words = _fault(start_sec, end_sec, duration_sec)
            if fault and not (with_empty and start_sec == end_sec):
                dropped.append(f'{self.name}: segment [{start_sec:g}, {end_sec:g}] {in_words}')
                faults[fault] += 1
                continue
            if duration_sec is not None and end_sec > duration_sec:
                if end_sec > duration_sec + ROUNDING_SEC:
                    clipped.append(
                        f'{self.name}: segment [{start_sec:.3f}, {end_sec:.3f}] ends after the '
                        f'video, clipped to {duration_sec:.3f} s'
                    )
                end_sec = duration_sec
            start_sec = max(start_sec, 0.0)
            segments += [Segment(start_sec, end_sec, name) for name in names]
        return tuple(segments)

    def _times(self, index: int, times: Any) -> tuple[float, float]:
        if not isinstance(times, list) or len(times) != 2:
            raise self._segment_error(f'segment {index} is not a pair', times)
        start_sec, end_sec = map(as_number, times)
        if not (is_number(start_sec) and is_number(end_sec)):
            raise self._segment_error(f'segment {index} is not numeric', times)
        return float(start_sec), float(end_sec)

    def _segment_error(self, found: str, times: Any) -> AnnotationError:
        return _error(
            f'{self.where}: {found}: {repr(times)[:200]}',
            '"segment": [start, end], two numbers in seconds',
            'correct this segment in the file',
        )

    def _label(self, index: int, label: Any) -> str:
        if label is None or label == '':
            return CLASS_AGNOSTIC_LABEL
        if isinstance(label, bool) or not isinstance(label, (str, int)):
            raise _error(
                f'{self.where}: label of segment {index} is {label!r}',
                'a text or a whole number',
                'write one label per segment',
            )
        return str(label)


def _fault(start_sec: float, end_sec: float, duration_sec: float | None) -> tuple[str, str]:
    """What makes these times useless, as a kind and in words; two empty texts if nothing."""
    if not (math.isfinite(start_sec) and math.isfinite(end_sec)):
        return 'not finite', 'is not finite'
    if start_sec < -ROUNDING_SEC:
        return 'before 0', 'starts before 0'
    if end_sec == start_sec:
        return 'of no length', 'has zero length'
    if end_sec <= max(start_sec, 0.0):
        return 'reversed', 'is reversed'
    if duration_sec is not None and start_sec >= duration_sec:
        return 'past the end', f'lies past the end of the video ({duration_sec:g} s)'
    return '', ''


def _has_segments(entry: dict[str, Any]) -> bool:
    return any(entry.get(field) for field in SEGMENT_FIELDS)


def _check_that_segments_are_read(
    file: str, entries: dict[str, dict[str, Any]], may_be_empty: bool
) -> None:
    """Refuse what is not understood, rather than take it for a file without annotations."""
    if any(_has_segments(entry) for entry in entries.values()):
        return
    unread = Counter(field for entry in entries.values() for field in unread_fields(entry))
    if unread:
        fields = ', '.join(f'{field!r} ({n} videos)' for field, n in unread.most_common(5))
        raise _error(
            f'{file}: none of its {len(entries)} videos has a segment that is understood; not '
            f'understood: {fields}',
            f'segments in one of {", ".join(map(repr, SEGMENT_FIELDS))}',
            'rename the field, or write {"annotations": [{"segment": [start, end], "label": ...}]}',
        )
    if not may_be_empty:
        print_log(f'{file}: none of its {len(entries)} videos has a segment.', 'current', 30)


def _videos(file: str, content: Any) -> dict[str, dict[str, Any]]:
    """The entries of the videos by name, whichever of the two layouts the file has."""
    expected = (
        'MMAction2\'s {name: {"duration_second", "annotations"}} or ActivityNet\'s '
        '{"database": {name: {"duration", "subset", "annotations"}}}'
    )
    fix = 'give an annotation file of one of these layouts'
    if not isinstance(content, dict):
        raise _error(f'{file}: holds a json {type(content).__name__}', expected, fix)
    videos = content.get('database', content)
    if not isinstance(videos, dict):
        raise _error(f'{file}: "database" is a {type(videos).__name__}', expected, fix)
    if not videos:
        raise _error(f'{file}: holds no videos', expected, fix)
    odd = [name for name, entry in videos.items() if not isinstance(entry, dict)]
    if odd and len(odd) < len(videos) and 'results' not in content:
        raise _error(
            f'{file}: video {odd[0]!r}: its entry is a {type(videos[odd[0]]).__name__}',
            expected,
            'correct this entry, or remove it',
        )
    if odd or not any(_KNOWN_FIELDS & entry.keys() for entry in videos.values()):
        hint = ' (a submission, not annotations)' if 'results' in content else ''
        keys = _first([repr(key) for key in content], len(content))
        raise _error(f'{file}: is of an unknown format{hint}, with the keys {keys}', expected, fix)
    for name, entry in videos.items():
        if leads_out(name):
            raise _error(
                f'{file}: the name of video {name!r} leads out of the folder of its files',
                'a name without .. or a root',
                'rename this video',
            )
        if not isinstance(entry.get('subset'), (str, type(None))):
            raise _error(
                f'{file}: video {name!r}: subset is {entry["subset"]!r}',
                'a text',
                'write the name of the subset, or remove it',
            )
    return videos


def _of_subset(
    file: str, entries: dict[str, dict[str, Any]], wanted: list[str]
) -> dict[str, dict[str, Any]]:
    counts = Counter(entry.get('subset') for entry in entries.values())
    if set(counts) == {None}:
        raise _error(
            f'{file}: its videos belong to no subset, but subset={wanted} is asked for',
            'a "subset" in each entry',
            'leave out subset: a flat annotation file is one subset as a whole',
        )
    present = {str(name).lower() for name in counts if name is not None}
    absent = [name for name in wanted if name.lower() not in present]
    if absent or not wanted:
        found = ', '.join(f'{name!r} ({count} videos)' for name, count in counts.items())
        raise _error(
            f'{file}: has no subset {", ".join(map(repr, absent or wanted))}',
            f'one of {found}',
            'correct subset in the config',
        )
    lowered = {name.lower() for name in wanted}
    return {
        name: entry
        for name, entry in entries.items()
        if entry.get('subset') is not None and entry['subset'].lower() in lowered
    }


def _require_field(file: str, entries: dict[str, dict[str, Any]], group_field: str) -> None:
    if all(entry.get(group_field) is None for entry in entries.values()):
        fields = sorted({field for entry in entries.values() for field in entry})
        raise _error(
            f'{file}: no video has the field {group_field!r}',
            f'one of {", ".join(map(repr, fields))}',
            'correct group_field in the config, or add the field to the file',
        )


def _first(lines: list[str], count: int, shown: int = 5) -> str:
    rest = f' and {count - shown} more' if count > shown else ''
    return '; '.join(lines[:shown]) + rest


def _error(found: str, expected: str, fix: str) -> AnnotationError:
    # One text, not four arguments: DataLoader workers rebuild an exception from its message alone.
    return AnnotationError(f'{found}\n  expected: {expected}\n  fix: {fix}')
