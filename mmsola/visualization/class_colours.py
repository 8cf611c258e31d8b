"""A colour for every class of a picture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib import colormaps

Colour = tuple[float, float, float]


def class_colours(labels: Iterable[str]) -> dict[str, Colour]:
    """One colour a class, in the order in which the classes come; repeated labels share theirs."""
    classes = list(dict.fromkeys(labels))
    if len(classes) <= 10:
        shades = colormaps['tab10'](range(len(classes)))
    elif len(classes) <= 20:
        shades = colormaps['tab20'](range(len(classes)))
    else:
        # the ends of the scale are nearly black
        shades = colormaps['turbo'](np.linspace(0.06, 0.94, len(classes)))
    return {label: (float(r), float(g), float(b)) for label, (r, g, b, _) in zip(classes, shades)}
