"""The entry of one video in an annotation file."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from mmsola.datasets.annotation_error import AnnotationError, annotation_error
from mmsola.datasets.segment_layouts import LayoutFault, segments_of
from mmsola.files.json_file import as_number, is_number
from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL, ROUNDING_SEC, Segment


class AnnotationEntry:
    """Reads the entry of one video; every error names file and video."""

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
                raise annotation_error(
                    f'{self.where}: {field} is {self.entry[field]!r}',
                    'a number above 0',
                    f'correct {field}, or remove it if it is not known',
                )
            return value
        return None

    def group(self, field: str) -> str | None:
        value = self.entry.get(field)
        if value is not None and not isinstance(value, (str, int)):
            raise annotation_error(
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
            raise annotation_error(
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
        return annotation_error(
            f'{self.where}: {found}: {repr(times)[:200]}',
            '"segment": [start, end], two numbers in seconds',
            'correct this segment in the file',
        )

    def _label(self, index: int, label: Any) -> str:
        if label is None or label == '':
            return CLASS_AGNOSTIC_LABEL
        if isinstance(label, bool) or not isinstance(label, (str, int)):
            raise annotation_error(
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
