"""Pictures of temporal self-similarity with the annotated segments along the axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from mmsola.atomic import replacing
from mmsola.evaluation.self_similarity import mean_similarity, temporal_self_similarity
from mmsola.visualization.lettering import drawable
from mmsola.visualization.similarity_colours import (
    SMALLEST_RANGE,
    SimilarityColours,
    percentile_range,
)

MAX_LEGEND = 8
MOST_CELLS = 512  # to a side of a panel, which has hardly more pixels


def draw_tsm(
    features: Mapping[str, Tensor],
    title: str,
    centres_sec: np.ndarray | None = None,
    segments: Sequence[dict] = (),
) -> Figure:
    """Draw the self-similarity of one video's features side by side, on one colour scale.

    The scale is chosen from all of them (``SimilarityColours``) and written beside its bar. Of a
    long video, means over blocks of snippets are drawn, as fine as the picture.

    Args:
        features: Title of a panel -> sequence ``(T, C)``. Snippets with NaN or infinity are grey.
        title: Above all, usually the video's name.
        centres_sec: Centres of the snippets ``(T,)`` in seconds; None draws snippet indices.
        segments: ``dict(segment=[start_sec, end_sec], label=...)``, drawn along both axes.
    """
    num_snippets = len(next(iter(features.values())))
    axis = np.arange(num_snippets, dtype=float) if centres_sec is None else np.asarray(centres_sec)
    half = (axis[1] - axis[0]) / 2 if num_snippets > 1 else 0.5
    low, high = axis[0] - half, axis[-1] + half
    drawn = list(segments) if centres_sec is not None else []
    lanes = _lanes(drawn)
    labels = sorted({segment['label'] for segment in drawn})
    colour_of = {label: f'C{i % 10}' for i, label in enumerate(labels)}
    matrices = {
        name: temporal_self_similarity(feature, MOST_CELLS).cpu().numpy()
        for name, feature in features.items()
    }
    colours = SimilarityColours.of(list(matrices.values()))

    figure = Figure(figsize=(4.6 * len(features) + 1, 5.2), layout='constrained')
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(features), squeeze=False)[0]
    for panel, (name, matrix) in zip(panels, matrices.items()):
        panel.imshow(
            matrix, vmin=colours.low, vmax=colours.high, cmap=colours.colour_map,
            extent=(low, high, high, low), interpolation='nearest',
        )  # fmt: skip
        panel.set_title(
            _heading(name, features[name], matrix, colours),
            fontsize=10,
            pad=8 + 300 * _lane_width(len(lanes)) * len(lanes),
        )
        panel.set_xlabel('snippet' if centres_sec is None else 'time (s)')
        _draw_lanes(panel, lanes, colour_of, low, high)
    panels[0].set_ylabel('snippet' if centres_sec is None else 'time (s)')
    bar = figure.colorbar(
        panels[0].images[0], ax=list(panels), shrink=0.8,
        extend=colours.arrows(list(matrices.values())),
    )  # fmt: skip
    colours.label(bar)
    if labels:
        shown = [
            Patch(color=colour_of[label], label=drawable(label, 40))
            for label in labels[:MAX_LEGEND]
        ]
        if len(labels) > MAX_LEGEND:
            shown.append(Patch(alpha=0, label=f'and {len(labels) - MAX_LEGEND} more'))
        figure.legend(handles=shown, loc='outside lower center', ncols=5, fontsize=8)
    figure.suptitle(title, parse_math=False)
    return figure


def save_rgb(image: np.ndarray, path: str | Path) -> None:
    """Write ``(height, width, 3)`` uint8 to ``path``, whole or not at all."""
    with replacing(path) as partial:
        imsave(partial, image)


def figure_to_rgb(figure: Figure) -> np.ndarray:
    """The figure as ``(height, width, 3)`` uint8, as MMEngine's visualizers take images."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _heading(name: str, feature: Tensor, matrix: np.ndarray, colours: SimilarityColours) -> str:
    """The panel's name, the mean similarity, and a sentence where that is not all there is."""
    is_finite = feature.isfinite().all(dim=-1)
    num, num_finite = len(feature), int(is_finite.sum())
    pairs = percentile_range(matrix)
    remarks = []
    if num_finite < num:
        remarks.append(f'{num - num_finite} of {num} snippets hold NaN or infinity (grey)')
    num_zero = int((feature == 0).all(dim=-1).sum())
    if num_zero:
        remarks.append(f'{num_zero} of {num} snippets are all zeros (similarity 0)')
    if num_finite < 2:
        remarks.append('no two snippets to compare')
        return '\n'.join([name, *remarks])
    if num_zero < num and pairs is not None and pairs[1] - pairs[0] < SMALLEST_RANGE:
        remarks.append('all snippets are equally similar')
    mean = colours.text(mean_similarity(feature[is_finite]))
    return '\n'.join([f'{name}: mean similarity {mean}', *remarks])


def _lanes(segments: Sequence[dict]) -> list[list[dict]]:
    """Rows of segments; in a row, none overlaps another."""
    lanes: list[list[dict]] = []
    for segment in sorted(segments, key=lambda s: s['segment'][0]):
        for lane in lanes:
            if lane[-1]['segment'][1] <= segment['segment'][0]:
                lane.append(segment)
                break
        else:
            lanes.append([segment])
    return lanes


def _lane_width(num_lanes: int) -> float:
    """Part of the panel's side for each lane of segments, thinner where there are many."""
    return 0.06 * min(num_lanes, 6) / max(num_lanes, 1)


def _draw_lanes(
    panel: Axes,
    lanes: Sequence[Sequence[dict]],
    colour_of: Mapping[str, str],
    low: float,
    high: float,
) -> None:
    """Draw each lane as a thin strip above the panel and as another one right of it."""
    width = _lane_width(len(lanes))
    for lane, members in enumerate(lanes):
        outside = 1 + width * (lane + 0.2)
        for segment in members:
            start, end = np.clip(segment['segment'], low, high)
            for position, size, transform in (
                ((start, outside), (end - start, width * 0.7), panel.get_xaxis_transform()),
                ((outside, start), (width * 0.7, end - start), panel.get_yaxis_transform()),
            ):
                panel.add_patch(_bar(position, size, colour_of[segment['label']], transform))


def _bar(position, size, colour, transform) -> Patch:
    # the white edge separates segments that follow each other without a gap
    return Rectangle(
        position, *size, fc=colour, ec='white', lw=1, transform=transform, clip_on=False
    )
