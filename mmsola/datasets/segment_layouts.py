"""The ways in which public annotation files write down the segments of a video.

ActivityNet and most others have ``"annotations": [{"segment": [start, end], "label": ...}]``.
MultiTHUMOS and Charades, as super-events and the works after it have them, say
``"actions": [[class index, start, end], ...]``, and captions ``"timestamps": [[start, end], ...]``
with other lists beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# In the order in which they are looked for: the first one that an entry has is read.
SEGMENT_FIELDS = ('annotations', 'annotation', 'actions', 'segments', 'timestamps')

# The class of a segment, beside its times or as a list beside the list of segments.
LABEL_FIELDS = (
    'label',
    'labels',
    'label_name',
    'class',
    'class_name',
    'category',
    'action',
    'label_id',
    'label_ids',
    'labels_id',
    'class_id',
    'category_id',
)

_PAIR_FIELDS = ('segment', 'timestamp', 'segments', 'timestamps')
_START_END_FIELDS = (
    ('start', 'end'),
    ('start_sec', 'end_sec'),
    ('start_time', 'end_time'),
    ('t_start', 't_end'),
    ('t-start', 't-end'),
)


class LayoutFault(ValueError):
    """Segments in no known layout: what was found, and what to do."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found)
        self.fix = fix


def segments_of(entry: dict[str, Any]) -> list[tuple[Any, list[Any]]] | None:
    """Times ``[start, end]`` and labels of each segment, unchecked; None if nobody annotated it.

    A segment has no label, one, or several where several classes share it. Times that were not
    found are given back as they are, for the caller's message.

    Raises:
        LayoutFault: The segments are no list, their layout leaves open what is what, or a list of
            labels beside them is of another length.
    """
    field = next((name for name in SEGMENT_FIELDS if entry.get(name) is not None), None)
    if field is None:
        return None
    rows = entry[field]
    if not isinstance(rows, list):
        raise LayoutFault(
            f'{field} is a {type(rows).__name__}', f'write the {field} of this video as a list'
        )
    parallel = _parallel_labels(entry, field, len(rows))
    segments = []
    for index, row in enumerate(rows):
        times, labels = _segment(row, field, index)
        if not labels and parallel is not None:
            labels = parallel[index]
        segments.append((times, labels))
    return segments


def unread_fields(entry: dict[str, Any]) -> list[str]:
    """Fields of an entry without segments that look as if they held some."""
    return [
        field
        for field, value in entry.items()
        if field not in SEGMENT_FIELDS
        and isinstance(value, (list, dict))
        and value
        and all(isinstance(row, (list, dict)) for row in _values(value))
    ]


def _values(value: list | dict) -> list:
    return list(value.values()) if isinstance(value, dict) else value


def _segment(row: Any, field: str, index: int) -> tuple[Any, list[Any]]:
    if isinstance(row, dict):
        return _times_of(row), _labels_of(row)
    if not isinstance(row, list) or len(row) != 3:
        return row, []
    texts = [i for i, value in enumerate(row) if _is_name(value)]
    if texts in ([0], [2]):  # a name before or after the times
        return [value for i, value in enumerate(row) if i != texts[0]], [row[texts[0]]]
    if field == 'actions':
        return row[1:], [row[0]]
    raise LayoutFault(
        f'{field} {index} is {row!r}: which of the three is the class is not clear',
        'write {"segment": [start, end], "label": ...}, or call the field "actions" if the class '
        'stands first',
    )


def _times_of(row: dict[str, Any]) -> Any:
    for field in _PAIR_FIELDS:
        if field in row:
            return row[field]
    for start, end in _START_END_FIELDS:
        if start in row and end in row:
            return [row[start], row[end]]
    return row


def _labels_of(row: dict[str, Any]) -> list[Any]:
    for field in LABEL_FIELDS:
        value = row.get(field)
        if value is not None and value != '':
            # only a field of the plural may hold several
            return value if isinstance(value, list) and field.endswith('s') else [value]
    return []


def _parallel_labels(entry: dict[str, Any], field: str, count: int) -> Sequence[list] | None:
    for name in LABEL_FIELDS:
        values = entry.get(name)
        if not isinstance(values, list):
            continue
        if len(values) != count:
            raise LayoutFault(
                f'has {count} {field} and {len(values)} {name}',
                f'write one of {name} for each of {field}',
            )
        return [value if isinstance(value, list) else [value] for value in values]
    return None


def _is_name(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False
