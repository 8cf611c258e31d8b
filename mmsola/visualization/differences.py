"""Paired differences to a baseline: a dot for each seed, the mean with its interval beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mmsola.evaluation.paired import paired_difference


def draw_differences(
    baseline: str, values: Mapping[str, Mapping[str, Sequence[float]]], figures: Sequence[str]
) -> Figure:
    """One panel for each figure; in it, each candidate minus the baseline.

    Args:
        baseline: Name of the baseline in ``values``.
        values: ``{name: {figure: one value for each seed}}``.
        figures: Which figures to draw.
    """
    candidates = [name for name in values if name != baseline]
    width = 1.2 + 1.1 * len(candidates)
    canvas = Figure(figsize=(max(width, 2.4) * len(figures), 3.2), layout='constrained')
    for panel, figure in zip(np.atleast_1d(canvas.subplots(1, len(figures))), figures):
        panel.axhline(0, color='0.6', linewidth=1)
        for i, name in enumerate(candidates):
            before = np.array(values[baseline][figure])
            after = np.array(values[name][figure])
            panel.plot(np.full(len(before), i - 0.12), after - before, 'o', color='0.55', ms=4)
            difference = paired_difference(before, after)
            half = 0.0 if len(before) == 1 else difference.high - difference.mean
            panel.errorbar(i + 0.12, difference.mean, yerr=half, fmt='s', color='C0', capsize=4)
        panel.set_xticks(range(len(candidates)), candidates, rotation=20)
        panel.set_xlim(-0.6, len(candidates) - 0.4)
        panel.set_title(f'{figure} − {baseline}', fontsize='medium')
        if figure.startswith('loc/'):
            panel.set_ylabel('percentage points', fontsize='small')
    canvas.supxlabel('dots: seeds; square: mean with its 95 % interval', fontsize='x-small')
    return canvas
