"""Rows for the annotated segments of a video; within a row, none overlaps another."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL, ROUNDING_SEC

Span = tuple[float, float]  # seconds


@dataclass(frozen=True)
class Lane:
    """Segments of one class, or the time covered by the segments that have no lane of their own.

    ``num_merged`` counts the latter; it is 0 in a lane of a class.
    """

    label: str
    spans: list[Span]
    num_merged: int = 0


def lanes_of(truth: LabelledSegments, max_lanes: int, first: Collection[str] = ()) -> list[Lane]:
    """Lanes from the class that begins first to the one that begins last.

    A class whose segments overlap has several. Where there are more than ``max_lanes``, the classes
    ``first`` keep their lanes, then the lanes that cover most time; the last lane stands for all
    the others.
    """
    lanes = _lanes_of_classes(truth)
    if len(lanes) <= max_lanes:
        return lanes
    order = sorted(
        range(len(lanes)), key=lambda i: (lanes[i].label not in first, -_seconds(lanes[i]), i)
    )
    kept, merged = sorted(order[: max_lanes - 1]), order[max_lanes - 1 :]
    spans = [span for i in merged for span in lanes[i].spans]
    return [*(lanes[i] for i in kept), Lane(CLASS_AGNOSTIC_LABEL, _union(spans), len(spans))]


def _lanes_of_classes(truth: LabelledSegments) -> list[Lane]:
    of_class: dict[str, list[Lane]] = {}
    segments = np.reshape(np.asarray(truth.segments, float), (-1, 2))
    for i in np.lexsort((segments[:, 1], segments[:, 0])):
        start_sec, end_sec = segments[i].tolist()
        label = truth.labels[i] or CLASS_AGNOSTIC_LABEL
        lanes = of_class.setdefault(label, [])
        free = (lane for lane in lanes if lane.spans[-1][1] <= start_sec + ROUNDING_SEC)
        lane = next(free, None)
        if lane is None:
            lane = Lane(label, [])
            lanes.append(lane)
        lane.spans.append((start_sec, end_sec))
    return [lane for lanes in of_class.values() for lane in lanes]


def _seconds(lane: Lane) -> float:
    return sum(end_sec - start_sec for start_sec, end_sec in lane.spans)


def _union(spans: list[Span]) -> list[Span]:
    """The time that the spans cover, as spans that do not touch."""
    union: list[Span] = []
    for start_sec, end_sec in sorted(spans):
        if union and start_sec <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end_sec))
        else:
            union.append((start_sec, end_sec))
    return union
