"""Which videos an annotation file has an entry of, in either of its layouts."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from mmengine.logging import print_log

from mmsola.datasets.annotation_error import annotation_error
from mmsola.datasets.segment_layouts import SEGMENT_FIELDS, unread_fields
from mmsola.files.file_names import leads_out
from mmsola.messages.first_few import first_few

DURATION_FIELDS = ('duration_second', 'duration')
FRAME_FIELDS = ('duration_frame', 'frame')
_KNOWN_FIELDS = {*DURATION_FIELDS, *FRAME_FIELDS, 'feature_frame', *SEGMENT_FIELDS, 'subset'}

Entries = dict[str, dict[str, Any]]


def video_entries(file: str, content: Any) -> Entries:
    """The entries of the videos by name, whichever of the two layouts the file has."""
    expected = (
        'MMAction2\'s {name: {"duration_second", "annotations"}} or ActivityNet\'s '
        '{"database": {name: {"duration", "subset", "annotations"}}}'
    )
    fix = 'give an annotation file of one of these layouts'
    if not isinstance(content, dict):
        raise annotation_error(f'{file}: holds a json {type(content).__name__}', expected, fix)
    videos = content.get('database', content)
    if not isinstance(videos, dict):
        raise annotation_error(f'{file}: "database" is a {type(videos).__name__}', expected, fix)
    if not videos:
        raise annotation_error(f'{file}: holds no videos', expected, fix)
    odd = [name for name, entry in videos.items() if not isinstance(entry, dict)]
    if odd and len(odd) < len(videos) and 'results' not in content:
        raise annotation_error(
            f'{file}: video {odd[0]!r}: its entry is a {type(videos[odd[0]]).__name__}',
            expected,
            'correct this entry, or remove it',
        )
    if odd or not any(_KNOWN_FIELDS & entry.keys() for entry in videos.values()):
        hint = ' (a submission, not annotations)' if 'results' in content else ''
        keys = first_few(map(repr, content))
        raise annotation_error(
            f'{file}: is of an unknown format{hint}, with the keys {keys}', expected, fix
        )
    for name, entry in videos.items():
        if leads_out(name):
            raise annotation_error(
                f'{file}: the name of video {name!r} leads out of the folder of its files',
                'a name without .. or a root',
                'rename this video',
            )
        if not isinstance(entry.get('subset'), (str, type(None))):
            raise annotation_error(
                f'{file}: video {name!r}: subset is {entry["subset"]!r}',
                'a text',
                'write the name of the subset, or remove it',
            )
    return videos


def of_subset(file: str, entries: Entries, wanted: list[str]) -> Entries:
    counts = Counter(entry.get('subset') for entry in entries.values())
    if set(counts) == {None}:
        raise annotation_error(
            f'{file}: its videos belong to no subset, but subset={wanted} is asked for',
            'a "subset" in each entry',
            'leave out subset: a flat annotation file is one subset as a whole',
        )
    present = {str(name).lower() for name in counts if name is not None}
    absent = [name for name in wanted if name.lower() not in present]
    if absent or not wanted:
        found = ', '.join(f'{name!r} ({count} videos)' for name, count in counts.items())
        raise annotation_error(
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


def require_field(file: str, entries: Entries, group_field: str) -> None:
    if all(entry.get(group_field) is None for entry in entries.values()):
        fields = sorted({field for entry in entries.values() for field in entry})
        raise annotation_error(
            f'{file}: no video has the field {group_field!r}',
            f'one of {", ".join(map(repr, fields))}',
            'correct group_field in the config, or add the field to the file',
        )


def check_that_segments_are_read(file: str, entries: Entries, may_be_empty: bool) -> None:
    """Refuse what is not understood, rather than take it for a file without annotations."""
    if any(has_segments(entry) for entry in entries.values()):
        return
    unread = Counter(field for entry in entries.values() for field in unread_fields(entry))
    if unread:
        fields = ', '.join(f'{field!r} ({n} videos)' for field, n in unread.most_common(5))
        raise annotation_error(
            f'{file}: none of its {len(entries)} videos has a segment that is understood; not '
            f'understood: {fields}',
            f'segments in one of {", ".join(map(repr, SEGMENT_FIELDS))}',
            'rename the field, or write {"annotations": [{"segment": [start, end], "label": ...}]}',
        )
    if not may_be_empty:
        print_log(
            f'{file}: none of its {len(entries)} videos has a segment.', 'current', logging.WARNING
        )


def has_segments(entry: dict[str, Any]) -> bool:
    return any(entry.get(field) for field in SEGMENT_FIELDS)
