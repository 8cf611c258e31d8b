"""Validation figures over the epochs, to see whether a baseline still rises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmsola.visualization.lettering import drawable

#: Of one arm: for each seed, the figures of its validations by epoch.
Validations = Sequence[Mapping[int, Mapping[str, float]]]


def draw_curves(
    panels: Mapping[str, Mapping[str, Validations]], figures: Sequence[str], title: str
) -> Figure:
    """One row of panels for each share of labels, one column for each figure.

    Args:
        panels: ``{title of a row: {arm: validations}}``; an arm may have none.
        figures: Which figures to draw.
        title: Above all.
    """
    canvas = Figure(figsize=(3.4 * len(figures), 0.8 + 2.6 * len(panels)), layout='constrained')
    grid = canvas.subplots(len(panels), len(figures), squeeze=False)
    for axes, (name, arms) in zip(grid, panels.items()):
        for panel, figure in zip(axes, figures):
            for i, (arm, validations) in enumerate(arms.items()):
                _draw_arm(panel, drawable(arm), f'C{i}', validations, figure)
            panel.set_title(drawable(f'{figure}, {name}'), fontsize='medium')
            panel.set_xlabel('epoch', fontsize='small')
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = grid[0, 0].get_legend_handles_labels()
    if handles:
        canvas.legend(handles, labels, loc='outside lower center', ncols=len(handles))
    canvas.suptitle(drawable(title), fontsize='large')
    return canvas


def _draw_arm(panel: Axes, arm: str, colour: str, validations: Validations, figure: str) -> None:
    """Thin: each seed; thick: the mean where all seeds have a validation."""
    for by_epoch in validations:
        epochs = sorted(epoch for epoch in by_epoch if figure in by_epoch[epoch])
        values = [by_epoch[epoch][figure] for epoch in epochs]
        panel.plot(epochs, values, color=colour, linewidth=0.7, alpha=0.4)
    if validations:
        shared = set.intersection(*({e for e in v if figure in v[e]} for v in validations))
        epochs = sorted(shared)
        means = [float(np.mean([v[epoch][figure] for v in validations])) for epoch in epochs]
        panel.plot(epochs, means, 'o-', color=colour, markersize=3, label=arm)
