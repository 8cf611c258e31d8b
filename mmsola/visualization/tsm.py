"""Pictures of temporal self-similarity with the annotated segments along the axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from mmsola.atomic import replacing
from mmsola.evaluation.self_similarity import mean_similarity, temporal_self_similarity

MAX_LEGEND = 8
MOST_CELLS = 512  # to a side of a panel, which has hardly more pixels


def draw_tsm(
    features: dict[str, Tensor],
    title: str,
    centres_sec: np.ndarray | None = None,
    segments: Sequence[dict] = (),
) -> Figure:
    """Draw the self-similarity of one video's features side by side, on one colour scale.

    Of a long video, means over blocks of snippets are drawn, as fine as the picture.

    Args:
        features: Title of a panel -> sequence ``(T, C)``.
        title: Above all, usually the video's name.
        centres_sec: Centres of the snippets ``(T,)`` in seconds; None draws snippet indices.
        segments: ``dict(segment=[start_sec, end_sec], label=...)``, drawn along both axes.
    """
    num_snippets = len(next(iter(features.values())))
    axis = np.arange(num_snippets, dtype=float) if centres_sec is None else np.asarray(centres_sec)
    half = (axis[1] - axis[0]) / 2 if num_snippets > 1 else 0.5
    low, high = axis[0] - half, axis[-1] + half
    drawn = list(segments) if centres_sec is not None else []
    labels = sorted({segment['label'] for segment in drawn})
    # panels, with a thin strip for each lane of overlapping segments, right of and above each
    lanes = _lanes(drawn)
    strip = 0.06 * min(len(lanes), 6) / max(len(lanes), 1)
    figure = Figure(figsize=(4.6 * len(features) + 1, 5.2), layout='constrained')
    FigureCanvasAgg(figure)
    image = None
    panels = figure.subplots(1, len(features), squeeze=False)[0]
    for panel, (name, feature) in zip(panels, features.items()):
        image = panel.imshow(
            temporal_self_similarity(feature, MOST_CELLS).cpu().numpy(),
            vmin=-1, vmax=1, cmap='RdBu_r', extent=(low, high, high, low), interpolation='nearest',
        )  # fmt: skip
        panel.set_title(
            f'{name}: mean similarity {mean_similarity(feature):.2f}',
            fontsize=10,
            pad=8 + 300 * strip * len(lanes),
        )
        panel.set_xlabel('snippet' if centres_sec is None else 'time (s)')
        for lane, members in enumerate(lanes):
            for segment in members:
                start, end = np.clip(segment['segment'], low, high)
                colour = f'C{labels.index(segment["label"]) % 10}'
                place = 1 + strip * (lane + 0.2)
                for position, size, transform in (
                    ((start, place), (end - start, strip * 0.7), panel.get_xaxis_transform()),
                    ((place, start), (strip * 0.7, end - start), panel.get_yaxis_transform()),
                ):
                    panel.add_patch(_bar(position, size, colour, transform))
    panels[0].set_ylabel('snippet' if centres_sec is None else 'time (s)')
    assert image is not None
    figure.colorbar(image, ax=list(panels), shrink=0.7, label='cosine similarity')
    if labels:
        shown = [
            Patch(color=f'C{i % 10}', label=label) for i, label in enumerate(labels[:MAX_LEGEND])
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


def _lanes(segments: Sequence[dict]) -> list[list[dict]]:
    """Share segments out so that none overlaps another in its lane."""
    lanes: list[list[dict]] = []
    for segment in sorted(segments, key=lambda s: s['segment'][0]):
        for lane in lanes:
            if lane[-1]['segment'][1] <= segment['segment'][0]:
                lane.append(segment)
                break
        else:
            lanes.append([segment])
    return lanes


def _bar(position, size, colour, transform) -> Patch:
    # the white edge tells segments apart that follow each other without a gap
    return Rectangle(
        position, *size, fc=colour, ec='white', lw=1, transform=transform, clip_on=False
    )
