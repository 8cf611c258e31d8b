"""Which segments of the ground truth count, as the toolboxes of the field have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mmsola.files.json_file import read_json
from mmsola.files.name_match import plain_name
from mmsola.structures.labelled_segments import LabelledSegments

_TWICE_SEC = 1e-3  # segments of one label whose ends differ by no more are one, in both toolboxes

# What is too short to count, by its length in seconds; None counts all, repeated ones as well.
_TOO_SHORT: dict[str, Callable[[float], bool] | None] = {
    'activitynet': None,
    'opentad': lambda length_sec: length_sec <= 0,
    'actionformer': lambda length_sec: length_sec < 1e-3,
}
CONVENTIONS = tuple(_TOO_SHORT)


class ConventionError(ValueError):
    """An unknown convention, or a list of blocked videos that cannot be read."""


class Convention:
    """What an evaluation counts of annotations and results.

    ActivityNet's toolkit and MMAction2 count every segment. OpenTAD and ActionFormer leave out
    segments of no length (OpenTAD: 0 s; ActionFormer: less than 1 ms) and those that are
    annotated twice with one label, give or take 1 ms at both ends.

    Args:
        name: ``'activitynet'``, ``'opentad'`` or ``'actionformer'``.
        ignored_classes: Classes that are no part of the task, such as THUMOS14's ``'Ambiguous'``;
            detections of them are left out as well.
        blocked_videos: Videos that do not count: names, or a json file with a list of names, as
            ActivityNet's server and OpenTAD's ``blocked.json`` have it.

    Raises:
        ConventionError: There is no such convention, or the file holds no list of names.
    """

    def __init__(
        self,
        name: str = 'activitynet',
        ignored_classes: Collection[str] = (),
        blocked_videos: str | Sequence[str] = (),
    ) -> None:
        if name not in CONVENTIONS:
            raise ConventionError(
                f'convention is {name!r}\n  expected: one of {CONVENTIONS}\n'
                '  fix: correct convention in the config'
            )
        if isinstance(ignored_classes, str):
            ignored_classes = [ignored_classes]
        self.name = name
        self.ignored_classes = frozenset(map(str, ignored_classes))
        # ActivityNet's lists leave out the prefix that its annotations have
        self._blocked = frozenset(map(plain_name, _names(blocked_videos)))
        self.dropped: Counter[str] = Counter()

    def ground_truth(self, videos: Mapping[str, LabelledSegments]) -> dict[str, LabelledSegments]:
        """The segments that count; ``dropped`` counts the others by reason."""
        self.dropped = Counter()
        counted = {}
        for name, video in videos.items():
            if plain_name(name) in self._blocked:
                self.dropped['of blocked videos'] += len(video.labels)
            else:
                counted[name] = _rows(video, self._counted(video))
        return counted

    def results(self, videos: Mapping[str, LabelledSegments]) -> dict[str, LabelledSegments]:
        """Results without those of blocked videos and ignored classes."""
        return {
            name: _rows(
                video,
                [i for i, label in enumerate(video.labels) if label not in self.ignored_classes],
            )
            for name, video in videos.items()
            if plain_name(name) not in self._blocked
        }

    def __str__(self) -> str:
        reasons = ', '.join(f'{count} {reason}' for reason, count in self.dropped.items())
        return f'convention {self.name}, segments that do not count: {reasons or 0}'

    def _counted(self, video: LabelledSegments) -> list[int]:
        too_short = _TOO_SHORT[self.name]
        segments = np.asarray(video.segments, float).reshape(-1, 2).tolist()
        kept: list[int] = []
        by_label: dict[str, list[tuple[float, float]]] = {}
        for i, ((start_sec, end_sec), label) in enumerate(zip(segments, video.labels)):
            same = by_label.setdefault(label, [])
            if label in self.ignored_classes:
                self.dropped[f'of class {label}'] += 1
            elif too_short is not None and too_short(end_sec - start_sec):
                self.dropped['of no length'] += 1
            elif too_short is not None and any(
                abs(start_sec - start) <= _TWICE_SEC and abs(end_sec - end) <= _TWICE_SEC
                for start, end in same
            ):
                self.dropped['annotated twice'] += 1
            else:
                kept.append(i)
                same.append((start_sec, end_sec))
        return kept


def _rows(video: LabelledSegments, rows: list[int]) -> LabelledSegments:
    if len(rows) == len(video.labels):
        return video
    return replace(
        video,
        segments=np.asarray(video.segments, float).reshape(-1, 2)[rows],
        labels=[video.labels[i] for i in rows],
        scores=None if video.scores is None else video.scores[rows],
    )


def _names(blocked_videos: str | Sequence[str]) -> list[str]:
    if not isinstance(blocked_videos, str):
        return list(blocked_videos)
    names = read_json(blocked_videos, ConventionError, 'a json list of blocked videos')
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConventionError(
            f'{blocked_videos}: holds a json {type(names).__name__}\n'
            '  expected: a list of names of videos\n  fix: write ["name", ...]'
        )
    return names
