"""What the actor of a generated video can do: five motions and three forms.

Lengths are in picture widths, x to the right and y down. A *motion* moves the middle of the actor
and leaves its form alone, so one frame does not show it. A *form* changes the outline of the actor,
which wanders on as it did before, so one frame is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# How far a motion goes from its middle, and how long the way of one cycle is in each of them.
REACH = 0.16
CYCLE = 4 * REACH

# No form reaches further from the middle than this many radii.
LARGEST_FORM = 1.5

# An action takes this long to come up, and as long to fade, both inside its annotated segment.
RAMP_SEC = 0.5


@dataclass(frozen=True)
class Action:
    """The actor does ``label`` from ``start_frame`` until just before ``end_frame``.

    Frames outside of the video are allowed: a trimmed clip is the inside of a longer action.
    """

    start_frame: int
    end_frame: int
    label: str


def _circle(phase: np.ndarray) -> np.ndarray:
    angle = 2 * np.pi * phase
    # once around is as long as there and back
    return 2 / np.pi * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _rise_and_drop(phase: np.ndarray) -> np.ndarray:
    # three quarters of the time to go up, one to come down
    half_turns = np.interp(phase % 1, [0, 0.75, 1], [0, 1, 2])
    return np.stack([np.zeros_like(phase), np.cos(np.pi * half_turns)], axis=-1)


def _swing_sideways(phase: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(2 * np.pi * phase), np.zeros_like(phase)], axis=-1)


# Phase (T,) in cycles -> offset (T, 2) from the middle, in units of REACH.
MOTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'circle_clockwise': _circle,
    'circle_counterclockwise': lambda phase: _circle(-phase),
    'rise_and_drop': _rise_and_drop,
    'leap_and_sink': lambda phase: _rise_and_drop(-phase),
    'swing_sideways': _swing_sideways,
}


def _stretch_tall(outline: np.ndarray, amount: float) -> list[np.ndarray]:
    tall = LARGEST_FORM**amount
    return [outline * (1 / tall, tall)]


def _split_in_two(outline: np.ndarray, amount: float) -> list[np.ndarray]:
    gap = (LARGEST_FORM - 1) * amount * np.linalg.norm(outline, axis=1).max()
    left, right = outline.copy(), outline.copy()
    left[:, 0] = np.minimum(outline[:, 0], 0) - gap
    right[:, 0] = np.maximum(outline[:, 0], 0) + gap
    return [left, right]


def _open_to_ring(outline: np.ndarray, amount: float) -> list[np.ndarray]:
    outer = 1 + (LARGEST_FORM - 1) * amount
    # the ring has the area of the full shape
    return [outline * outer, outline * np.sqrt(outer**2 - 1)]


# Outline (P, 2) and how much of the action is there, 0 to 1 -> contours, filled by even and odd.
FORMS: dict[str, Callable[[np.ndarray, float], list[np.ndarray]]] = {
    'stretch_tall': _stretch_tall,
    'split_in_two': _split_in_two,
    'open_to_ring': _open_to_ring,
}

CLASSES = (*MOTIONS, *FORMS)


def action_amounts(actions: Sequence[Action], num_frames: int, fps: float) -> dict[str, np.ndarray]:
    """How much of each label's action there is in each frame, ``(T,)`` in 0 to 1, by label.

    It is above 0 in exactly the frames of the label's actions.
    """
    amounts: dict[str, np.ndarray] = {}
    for action in actions:
        frames = np.arange(max(action.start_frame, 0), min(action.end_frame, num_frames))
        ramp_frames = min(RAMP_SEC * fps, (action.end_frame - action.start_frame) / 4)
        from_border = np.minimum(frames - action.start_frame + 1, action.end_frame - frames)
        rise = np.minimum(from_border / ramp_frames, 1)
        amount = amounts.setdefault(action.label, np.zeros(num_frames))
        amount[frames] = rise**2 * (3 - 2 * rise)
    return amounts
