"""What a localizer found in one video, against what is annotated, along its time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL
from mmsola.visualization.actionness import actionness
from mmsola.visualization.class_colours import Colour, class_colours
from mmsola.visualization.lanes import Lane, lanes_of
from mmsola.visualization.lettering import drawable, letters, shortened
from mmsola.visualization.time_marks import time_marks

MOST_OPAQUE = 0.85  # annotated segments, and the best one found

# inches
_LANE = 0.21
_CURVE = 0.55
_TALLEST_THUMBNAIL = 0.95
_HEADING = 0.24
_TITLE = 0.3
_TIME_AXIS = 0.45
_EDGE = 0.12
_SCORES = 0.5  # right of the panels

_TEXT_POINTS = 8
_GREY = '0.45'

Row = tuple[str, float, Callable[[Axes], None]]


def draw_video(
    name: str,
    duration_sec: float,
    found: LabelledSegments,
    truth: LabelledSegments | None = None,
    thumbnails: Sequence[tuple[float, np.ndarray]] = (),
    top_k: int = 10,
    width_inches: float = 10.0,
    classes: Iterable[str] = (),
    max_lanes: int = 20,
) -> Figure:
    """Pictures of the video, its annotated segments, the best found ones, and their actionness.

    Annotated segments have a lane for each class, several where those of one class overlap; found
    ones have a row each, from the best score down, the more opaque the better. A class has one
    colour in the whole picture. All rows are panels of one time axis.

    Args:
        name: Written above all; nothing if empty.
        duration_sec: Length of the video.
        found: Segments in seconds with scores, in any order.
        truth: Annotated segments; None where they are not known, which is not the same as none.
        thumbnails: Times in seconds with pictures ``(H, W, 3)``, as of ``thumbnails_of``.
        top_k: Found segments shown, the best ones. The actionness is that of all.
        width_inches: Of the figure; its height follows from what there is to show.
        classes: All classes of the localizer and the annotations. Pictures of videos that show
            different ones of them agree on their colours.
        max_lanes: Lanes of annotated segments; of more, the last one holds all the others, and
            its name is their number.

    Raises:
        ValueError: The duration is no time, or what was found has no scores.
    """
    if not (np.isfinite(duration_sec) and duration_sec > 0):
        raise ValueError(f'{name}: duration_sec is {duration_sec}; expected seconds above 0.')
    figure = Figure(figsize=(width_inches, 1.0))
    FigureCanvasAgg(figure)
    best = best_found(found, top_k)
    lanes = [] if truth is None else lanes_of(truth, max_lanes, best.labels)
    colours = video_colours(found, truth, classes)
    shown_classes = dict.fromkeys([*(lane.label for lane in lanes), *best.labels])
    names = shortened(shown_classes, 8 + int(2 * width_inches))
    lane_names = [_name_of(lane, names) for lane in lanes]
    left = 2 * _EDGE + _widest_inches(figure, [*names.values(), *lane_names, '0.00'])
    width = width_inches - left - _SCORES

    rows: list[Row] = []
    if thumbnails:
        row = _thumbnail_inches(thumbnails, width)
        rows.append(('', row, partial(_draw_thumbnails, thumbnails, duration_sec * row / width)))
    if truth is not None:
        truth_drawn = partial(_draw_truth, lanes, colours, lane_names)
        rows.append(('annotated', _LANE * max(len(lanes), 1), truth_drawn))
    found_drawn = partial(_draw_found, best, colours, names)
    shown = f'found: best {len(best.labels)} of {len(found.labels)}, scores at the right'
    rows.append((shown, _LANE * max(len(best.labels), 1), found_drawn))
    curve_drawn = partial(_draw_actionness, found, duration_sec)
    rows.append(('actionness: best score at each moment', _CURVE, curve_drawn))

    above = _EDGE + (_TITLE if name else 0)
    heights = [bool(heading) * _HEADING + row + _EDGE for heading, row, _ in rows]
    figure.set_size_inches(width_inches, above + sum(heights) - _EDGE + _TIME_AXIS)
    _stack(figure, rows, left, above, width, duration_sec)
    if name:
        x, y = left / width_inches, 1 - _EDGE / figure.get_figheight()
        title = drawable(name, int(8 * width))
        figure.text(x, y, title, va='top', size=11, weight='bold', **letters())
    return figure


def best_found(found: LabelledSegments, top_k: int) -> LabelledSegments:
    """The ``top_k`` segments of the best scores, best first; one without label is an 'action'.

    Raises:
        ValueError: There are no scores.
    """
    if found.scores is None:
        raise ValueError('found segments have no scores; expected those of a localizer.')
    order = np.argsort(-np.asarray(found.scores, float), kind='stable')[:top_k]
    return LabelledSegments(
        np.reshape(found.segments, (-1, 2))[order],
        [found.labels[i] or CLASS_AGNOSTIC_LABEL for i in order],
        np.asarray(found.scores, float)[order],
    )


def video_colours(
    found: LabelledSegments, truth: LabelledSegments | None, classes: Iterable[str] = ()
) -> dict[str, Colour]:
    """The colour of every class: of ``classes``, and of others that are found or annotated."""
    return class_colours([*classes, *found.labels, *(() if truth is None else truth.labels)])


def _stack(
    figure: Figure,
    rows: Sequence[Row],
    left: float,
    above: float,
    width: float,
    duration_sec: float,
) -> None:
    """Draw each row in a panel of its own, one below the other, along one time axis."""
    marks_sec, texts, unit = time_marks(duration_sec, max_steps=int(1.4 * width))
    across, down = figure.get_size_inches()
    for i, (heading, row, draw) in enumerate(rows):
        above += _HEADING if heading else 0
        box = (left / across, 1 - (above + row) / down, width / across, row / down)
        panel = figure.add_axes(box)
        draw(panel)
        _dress(panel, heading)
        is_last = i == len(rows) - 1
        panel.set_xlim(0, duration_sec)
        panel.set_xticks(marks_sec, texts if is_last else [''] * len(texts))
        panel.set_xlabel(unit if is_last else '', fontsize=_TEXT_POINTS, color=_GREY)
        above += row + _EDGE


def _name_of(lane: Lane, names: Mapping[str, str]) -> str:
    return f'{lane.num_merged} more segments' if lane.num_merged else names[lane.label]


def _draw_truth(
    lanes: Sequence[Lane], colours: Mapping[str, Colour], names: Sequence[str], panel: Axes
) -> None:
    for y, lane in enumerate(lanes):
        for start_sec, end_sec in lane.spans:
            draw_bar(panel, y, start_sec, end_sec, colours[lane.label])
    _name_rows(panel, names, 'no action is annotated')


def _draw_found(
    best: LabelledSegments, colours: Mapping[str, Colour], names: Mapping[str, str], panel: Axes
) -> None:
    scores = np.asarray(best.scores)
    top = scores.max(initial=0.0)
    for y, ((start_sec, end_sec), label, score, opacity) in enumerate(
        zip(best.segments, best.labels, scores, opacities(scores))
    ):
        draw_bar(panel, y, start_sec, end_sec, colours[label], opacity)
        panel.text(
            1.01, y, f'{score:.2f}' if top >= 0.1 else f'{score:.1e}',
            transform=panel.get_yaxis_transform(), va='center', size=_TEXT_POINTS, color='0.25',
        )  # fmt: skip
    _name_rows(panel, [names[label] for label in best.labels], 'nothing found')


def opacities(scores: np.ndarray) -> list[float]:
    """From 0.35 for the lowest, still a colour, to that of annotated segments for the best."""
    top = scores.max(initial=0.0)
    if top <= 0:
        return [MOST_OPAQUE] * len(scores)
    return (0.35 + (MOST_OPAQUE - 0.35) * scores.clip(0) / top).tolist()


def draw_bar(
    panel: Axes,
    y: float,
    start_sec: float,
    end_sec: float,
    colour: Colour,
    opacity: float = MOST_OPAQUE,
) -> None:
    """Draw one segment in row ``y``."""
    # the edge separates neighbours, and shows a segment that is too short for its area
    dark = tuple(0.75 * part for part in colour)
    panel.barh(
        y, end_sec - start_sec, 0.66, left=start_sec,
        facecolor=(*colour, opacity), edgecolor=dark, linewidth=0.8,
    )  # fmt: skip


def _name_rows(panel: Axes, names: Sequence[str], if_none: str) -> None:
    """A name and a thin line for each row."""
    if not names:
        panel.text(
            0.5, 0.5, if_none, transform=panel.transAxes, ha='center', va='center',
            size=_TEXT_POINTS, style='italic', color=_GREY,
        )  # fmt: skip
    panel.set_yticks(range(len(names)), names, **letters())
    panel.set_ylim(max(len(names), 1) - 0.5, -0.5)
    panel.grid(axis='y', color='0.93', linewidth=0.8)


def _draw_actionness(found: LabelledSegments, duration_sec: float, panel: Axes) -> None:
    segments, scores = np.reshape(found.segments, (-1, 2)), np.asarray(found.scores, float)
    # between two ends of segments it is constant
    edges_sec = np.unique(np.clip([0.0, duration_sec, *segments.ravel()], 0.0, duration_sec))
    steps = actionness(segments, scores, (edges_sec[:-1] + edges_sec[1:]) / 2)
    panel.stairs(steps, edges_sec, fill=True, color='0.82')
    panel.stairs(steps, edges_sec, baseline=None, color='0.35', linewidth=1)
    top = float(steps.max()) if steps.max() > 0 else 1.0
    panel.set_ylim(min(0.0, float(steps.min())), 1.08 * top)
    panel.set_yticks([top], [f'{top:.2g}'])


def _draw_thumbnails(
    thumbnails: Sequence[tuple[float, np.ndarray]], height_sec: float, panel: Axes
) -> None:
    """Pictures about their times; as tall as the panel, which is as tall as ``height_sec``."""
    last_sec = height_sec * panel.bbox.width / panel.bbox.height
    for at_sec, picture in thumbnails:
        half_sec = height_sec * picture.shape[1] / picture.shape[0] / 2
        # one of the very beginning or end is moved inside
        middle_sec = np.clip(at_sec, half_sec, max(last_sec - half_sec, half_sec))
        extent = (middle_sec - half_sec, middle_sec + half_sec, 0.0, 1.0)
        panel.imshow(picture, extent=extent, aspect='auto')
    panel.set_ylim(0, 1)
    panel.set_axis_off()


def _thumbnail_inches(thumbnails: Sequence[tuple[float, np.ndarray]], width: float) -> float:
    """Height at which all of them fit side by side."""
    widest = max(picture.shape[1] / picture.shape[0] for _, picture in thumbnails)
    return min(_TALLEST_THUMBNAIL, 0.97 * width / len(thumbnails) / widest)


def _dress(panel: Axes, heading: str) -> None:
    panel.set_title(heading, loc='left', fontsize=_TEXT_POINTS, color=_GREY, pad=3)
    panel.spines[['top', 'right', 'left']].set_visible(False)
    panel.spines['bottom'].set_color('0.8')
    panel.tick_params(axis='both', length=0, labelsize=_TEXT_POINTS)
    panel.grid(axis='x', color='0.93', linewidth=0.8)
    panel.set_axisbelow(True)


def _widest_inches(figure: Figure, texts: Sequence[str]) -> float:
    widest = 0.0
    for text in texts:
        drawn = figure.text(0, 0, text, size=_TEXT_POINTS, **letters())
        widest = max(widest, drawn.get_window_extent().width / figure.dpi)
        drawn.remove()
    return widest
