"""A colour for every class, the same in all pictures of one list of classes."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.colors import to_rgb

from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL

Colour = tuple[float, float, float]

# Of segments without a class, or of several classes.
NEUTRAL: Colour = (0.25, 0.25, 0.25)

# The ten colours of M. Petroff, "Accessible Color Sequences for Data Visualization" (2021), which
# colour-blind people can tell apart; the two greys last, as they are the nearest to neutral.
_PALETTE = (
    '#3f90da', '#ffa90e', '#bd1f01', '#832db6', '#92dadd', '#e76300', '#a96b59', '#b9ac70',
    '#94a4a2', '#717581',
)  # fmt: skip


def class_colours(classes: Iterable[str]) -> dict[str, Colour]:
    """One colour for each class, by its index in the sorted names; no class is neutral.

    So pictures of the same classes agree, in whatever order these are found. The eleventh class and
    further ones have darker and lighter shades of the first ten: colours for hundreds of classes
    are all different, but not all easy to distinguish, so pictures need their names as well.
    """
    names = sorted({*classes} - {CLASS_AGNOSTIC_LABEL, ''})
    colours = {name: _shade(*divmod(i, len(_PALETTE))) for i, name in enumerate(names)}
    return {**colours, CLASS_AGNOSTIC_LABEL: NEUTRAL}


def _shade(turn: int, i: int) -> Colour:
    """A colour of the palette, in further turns mixed with black or, every other turn, white."""
    added = 1.0 - turn % 2
    share = 0.8 * _halving((turn + 1) // 2)
    red, green, blue = (part + share * (added - part) for part in to_rgb(_PALETTE[i]))
    return red, green, blue


def _halving(k: int) -> float:
    """0, 1/2, 1/4, 3/4, 1/8, 5/8, ...: ever finer steps between 0 and 1."""
    return int(f'{k:b}'[::-1], 2) / 2 ** k.bit_length()
