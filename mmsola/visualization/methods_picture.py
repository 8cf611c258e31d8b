"""Annotated segments of several videos, and below them the best proposals of each method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.structures.temporal_iou import temporal_iou
from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL
from mmsola.visualization.class_colours import Colour, class_colours
from mmsola.visualization.lanes import lanes_of
from mmsola.visualization.lettering import drawable, letters, shortened
from mmsola.visualization.time_marks import time_marks
from mmsola.visualization.video_picture import MOST_OPAQUE, best_found, draw_bar, opacities

MAX_LANES = 16
MAX_LETTERS = 32

_LANE = 0.11  # inches; between groups of them there is one more
_FRAME = 0.5  # inches for the title and the time of each video
_SENTENCE = 0.2  # inches for the sentence at the bottom
_NAME_POINTS = 6

TIOU_SENTENCE = (
    "Below a method's name: tIoU with the annotated segment (time that both cover / time that "
    'either covers) of the best proposal shown, averaged over the segments.'
)

_NOTHING = LabelledSegments(np.zeros((0, 2)), [], np.zeros(0))


def draw_methods(
    videos: Mapping[str, tuple[LabelledSegments, float]],
    proposals: Mapping[str, Mapping[str, LabelledSegments]],
    top_k: int = 10,
    classes: Iterable[str] = (),
) -> Figure:
    """One panel a video: its segments, and below them each method's best proposals.

    Every class has one colour in the whole picture, and its name is at the right of its rows;
    segments without a class are grey and have no name. Below the name of a method is the mean,
    over annotated segments, of the best tIoU with its proposals shown; a proposal of another class
    does not count. A sentence at the bottom explains this number.

    Args:
        videos: Annotated segments in seconds and the duration of each video.
        proposals: ``{method: {video: segments with scores}}``, in any order.
        top_k: Proposals shown of each method, the best ones.
        classes: All classes of the annotations. Pictures that show different ones of them agree
            on their colours.

    Raises:
        ValueError: There is no video, or none of a method's names is among them.
    """
    if not videos:
        raise ValueError('timelines: there is no video to draw.')
    for method, found in proposals.items():
        if not set(found) & set(videos):
            raise ValueError(
                f'timelines: {method} has proposals of none of {list(videos)[:3]}; it has '
                f'{list(found)[:3]} and so on.'
            )
    of_video = {
        name: _groups(
            truth, {method: found.get(name, _NOTHING) for method, found in proposals.items()}, top_k
        )
        for name, (truth, _) in videos.items()
    }
    everything = [truth for truth, _ in videos.values()]
    everything += [found[name] for found in proposals.values() for name in videos if name in found]
    colours = class_colours([*classes, *(label for one in everything for label in one.labels)])
    shown = [bar.label for groups in of_video.values() for group in groups for bar in group.bars]
    names = shortened(dict.fromkeys(shown), MAX_LETTERS)

    heights = [_LANE * sum(group.num_rows + 1 for group in groups) for groups in of_video.values()]
    headings = [group.heading for groups in of_video.values() for group in groups]
    sentence = TIOU_SENTENCE if any('\ntIoU ' in heading for heading in headings) else ''
    height = sum(heights) + _FRAME * len(videos) + 0.2 + (_SENTENCE if sentence else 0)
    figure = Figure(figsize=(9, height), layout='constrained')
    panels = figure.subplots(len(videos), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, (name, groups) in zip(panels, of_video.items()):
        _draw_groups(panel, groups, colours, names)
        panel.set_title(drawable(name, 100), loc='left', fontsize='small', **letters())
        _set_time(panel, videos[name][1], is_last=panel is panels[-1])
    if sentence:
        figure.supxlabel(sentence, x=0.01, ha='left', size=7, color='0.25')
    return figure


@dataclass(frozen=True)
class _Bar:
    row: int
    start_sec: float
    end_sec: float
    label: str
    opacity: float


@dataclass(frozen=True)
class _Group:
    """What is annotated, or what one method found: bars in rows without overlap."""

    heading: str
    bars: list[_Bar]
    row_names: dict[int, str]  # of rows that have no class

    @property
    def num_rows(self) -> int:
        return max((bar.row + 1 for bar in self.bars), default=1)


def _groups(
    truth: LabelledSegments, proposals: Mapping[str, LabelledSegments], top_k: int
) -> list[_Group]:
    best = {method: best_found(found, top_k) for method, found in proposals.items()}
    found_classes = {label for found in best.values() for label in found.labels}
    lanes = lanes_of(truth, MAX_LANES, found_classes)
    bars = [
        _Bar(y, *span, lane.label, MOST_OPAQUE)
        for y, lane in enumerate(lanes)
        for span in lane.spans
    ]
    merged = {
        y: f'{lane.num_merged} more segments' for y, lane in enumerate(lanes) if lane.num_merged
    }
    return [
        _Group('annotated', bars, merged),
        *(
            _Group(f'{drawable(method, 30)}{_tiou_line(truth, found)}', _bars(found), {})
            for method, found in best.items()
        ),
    ]


def _bars(best: LabelledSegments) -> list[_Bar]:
    rows = zip(best.segments.tolist(), best.labels, opacities(np.asarray(best.scores)))
    return [
        _Bar(y, start_sec, end_sec, label, opacity)
        for y, ((start_sec, end_sec), label, opacity) in enumerate(rows)
    ]


def _draw_groups(
    panel: Axes, groups: Sequence[_Group], colours: Mapping[str, Colour], names: Mapping[str, str]
) -> None:
    top, ticks = 0, []
    for group in groups:
        ticks.append(top + (group.num_rows - 1) / 2)
        for row in range(group.num_rows):
            panel.axhline(top + row, color='0.93', linewidth=0.6, zorder=0)
        for bar in group.bars:
            span = (bar.start_sec, bar.end_sec)
            draw_bar(panel, top + bar.row, *span, colours[bar.label], bar.opacity)
        beside = {b.row: names[b.label] for b in group.bars if b.label != CLASS_AGNOSTIC_LABEL}
        for row, name in {**beside, **group.row_names}.items():
            panel.text(
                1.01, top + row, name, transform=panel.get_yaxis_transform(), va='center',
                size=_NAME_POINTS, color='0.25', **letters(),
            )  # fmt: skip
        top += group.num_rows + 1
    panel.set_yticks(ticks, [group.heading for group in groups], **letters())
    panel.set_ylim(top - 1, -1)
    panel.spines[['top', 'right', 'left']].set_visible(False)
    panel.tick_params(axis='y', length=0)


def _set_time(panel: Axes, duration_sec: float, is_last: bool) -> None:
    marks_sec, texts, unit = time_marks(duration_sec)
    panel.set_xlim(0, duration_sec)
    panel.set_xticks(marks_sec, texts, fontsize='small')
    panel.set_xlabel(unit if is_last else '', fontsize='small')


def _tiou_line(truth: LabelledSegments, best: LabelledSegments) -> str:
    """How well the proposals shown fit the segments, as a line below the method's name."""
    if not len(truth.labels) or not len(best.labels):
        return ''
    tiou = temporal_iou(np.asarray(truth.segments, float), best.segments)
    no_class = ('', CLASS_AGNOSTIC_LABEL)
    is_same_class = [
        [one == other or one in no_class or other in no_class for other in best.labels]
        for one in truth.labels
    ]
    return f'\ntIoU {np.where(is_same_class, tiou, 0.0).max(axis=1).mean():.2f}'


def pick_videos(names: Sequence[str], count: int) -> list[str]:
    """``count`` of the names, evenly over the whole list, so that nobody chose them."""
    if count >= len(names):
        return list(names)
    return [names[i] for i in np.linspace(0, len(names) - 1, count).round().astype(int)]
