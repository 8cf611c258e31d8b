"""What annotations made of a table hold, in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from mmsola.datasets.tables.csv_annotations import CsvAnnotations, counted
from mmsola.messages.first_few import first_few

_SHOWN = 10  # names of videos


def summary_lines(annotations: CsvAnnotations) -> list[str]:
    """How many videos, segments and classes there are, in which subsets, and what is not there."""
    entries = list(annotations.database.values())
    labels = Counter(one['label'] for entry in entries for one in entry['annotations'])
    lines = [
        f'{counted(len(entries), "video")} of {_length(entries)}, '
        f'{counted(labels.total(), "segment")} of {counted(len(labels), "class", "classes")}',
        '  classes: ' + ', '.join(f'{label} {n}' for label, n in labels.most_common()),
    ]
    for subset in sorted({entry['subset'] for entry in entries}):
        members = [entry for entry in entries if entry['subset'] == subset]
        segments = sum(len(entry['annotations']) for entry in members)
        empty = sum(not entry['annotations'] for entry in members)
        lines.append(
            f'  {subset}: {counted(len(members), "video")} of {_length(members)}, '
            f'{counted(segments, "segment")}' + (f', {empty} without action' if empty else '')
        )
    if annotations.clipped:
        lines.append(f'{counted(annotations.clipped, "segment")} past the end: clipped when read')
    if annotations.unused:
        lines.append(f'columns not used: {", ".join(annotations.unused)}')
    if annotations.unnamed:
        names = first_few(map(repr, annotations.unnamed), _SHOWN)
        lines.append(f'{counted(len(annotations.unnamed), "video")} not in the table: {names}')
    if annotations.skipped:
        lines.append(f'{counted(len(annotations.skipped), "video")} skipped:')
        lines += [f'  {line}' for line in annotations.skipped]
    return lines


def _length(entries: Iterable[dict[str, Any]]) -> str:
    seconds = round(sum(entry['duration'] for entry in entries))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    if hours:
        return f'{hours} h {minutes} min'
    return f'{minutes} min {seconds % 60} s' if minutes else f'{seconds} s'
