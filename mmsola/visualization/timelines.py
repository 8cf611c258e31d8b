"""Timelines: annotated segments of a video against the best proposals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmsola.evaluation.temporal_iou import temporal_iou

TRUTH_COLOUR = '0.25'


def draw_timelines(
    videos: Mapping[str, tuple[np.ndarray, float]],
    proposals: Mapping[str, Mapping[str, np.ndarray]],
    top_k: int = 10,
) -> Figure:
    """One panel a video: its segments, and below them each method's best proposals.

    Beside a method stands how well its proposals shown meet the segments: the mean, over segments,
    of the best tIoU.

    Args:
        videos: Segments ``(N, 2)`` in seconds and the duration of each video.
        proposals: ``{method: {video: (M, 3)}}`` of start_sec, end_sec, score.
        top_k: Proposals shown of each method, the best ones.

    Raises:
        ValueError: There is no video, or none of a method's names is among them.
    """
    if not videos:
        raise ValueError('timelines: there is no video to draw.')
    for method, found in proposals.items():
        if not set(found) & set(videos):
            raise ValueError(
                f'timelines: {method} has proposals of none of {list(videos)[:3]}; its videos are '
                f'called like {list(found)[:3]}.'
            )
    rows = 1.5 + len(proposals) * (0.5 + 0.12 * top_k)
    figure = Figure(figsize=(9, 0.35 * rows * len(videos) + 0.4), layout='constrained')
    panels = np.atleast_1d(figure.subplots(len(videos), 1))
    for panel, (name, (segments, duration_sec)) in zip(panels, videos.items()):
        _draw_video(
            panel,
            name,
            np.asarray(segments, float).reshape(-1, 2),
            duration_sec,
            {method: found.get(name, np.zeros((0, 3))) for method, found in proposals.items()},
            top_k,
        )
    panels[-1].set_xlabel('seconds')
    return figure


def _draw_video(
    panel: Axes,
    name: str,
    segments: np.ndarray,
    duration_sec: float,
    proposals: Mapping[str, np.ndarray],
    top_k: int,
) -> None:
    ticks, labels, y = [0.0], ['annotated'], 0.0
    # neighbours overlap in dense sets, so every other one stands lower
    for i, (start, end) in enumerate(segments[np.argsort(segments[:, 0])]):
        panel.barh(y + 0.22 * (i % 2), end - start, 0.4, left=start, color=TRUTH_COLOUR)
    y += 1.2
    for k, (method, found) in enumerate(proposals.items()):
        best = found[np.argsort(-found[:, 2], kind='stable')][:top_k]
        top = best[0, 2] if len(best) else 1.0
        for i, (start, end, score) in enumerate(best):
            shade = 0.25 + 0.75 * score / top if top > 0 else 1.0
            panel.barh(
                y + 0.24 * i, end - start, 0.2, left=start, color=f'C{k}', alpha=float(shade)
            )
        ticks.append(y + 0.12 * max(len(best) - 1, 0))
        labels.append(f'{method}{_met(segments, best)}')
        y += 0.24 * max(len(best), 1) + 0.5
    panel.set_yticks(ticks, labels)
    panel.set_ylim(y - 0.3, -0.5)
    panel.set_xlim(0, duration_sec)
    panel.set_title(name, loc='left', fontsize='small')
    panel.spines[['top', 'right', 'left']].set_visible(False)
    panel.tick_params(axis='y', length=0)


def _met(segments: np.ndarray, proposals: np.ndarray) -> str:
    if not len(segments) or not len(proposals):
        return ''
    best = temporal_iou(segments, proposals[:, :2]).max(axis=1)
    return f'\ntIoU {best.mean():.2f}'


def pick_videos(names: Sequence[str], count: int) -> list[str]:
    """``count`` of the names, evenly over the whole list, so that nobody chose them."""
    if count >= len(names):
        return list(names)
    return [names[i] for i in np.linspace(0, len(names) - 1, count).round().astype(int)]
