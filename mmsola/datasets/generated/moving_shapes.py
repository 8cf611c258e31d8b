"""Pictures of shapes that wander over a still scene; one of them, the actor, sometimes acts.

Lengths are in picture widths, x to the right and y down; colours are BGR.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mmsola.datasets.generated.shape_actions import (
    CYCLE,
    FORMS,
    LARGEST_FORM,
    MOTIONS,
    REACH,
    Action,
    action_amounts,
)

RADIUS = (0.08, 0.11)
# The middle of a shape stays this far from the border, so that no form leaves the picture.
MARGIN = LARGEST_FORM * RADIUS[1]
# Mean speed of a shape per second, whether it wanders or acts.
SPEED = (0.5, 0.75)

# Shares of the slow, the middle and the fast wave of a wandering shape, and their frequencies
# before all three are scaled to the shape's speed.
_WAVES = np.array([[0.5], [0.3], [0.2]])
_WAVES_HZ = np.array([[0.15, 0.25], [0.3, 0.5], [0.5, 0.8]])

_BRIGHTNESS_DRIFT = 0.15
_NOISE_LEVELS = 5
_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Mover:
    """A shape and the way that it wanders.

    Attributes:
        outline: ``(P, 2)``, relative to the middle of the shape.
        colour: BGR.
        speed: Mean speed per second.
        waves_hz: ``(3, 2)``, frequencies of the waves that its x and y are made of.
        wave_phases: ``(3, 2)``, in cycles.
        motion_phase: Where in its cycle a motion is at the beginning of the video.
    """

    outline: np.ndarray
    colour: tuple[int, ...]
    speed: float
    waves_hz: np.ndarray
    wave_phases: np.ndarray
    motion_phase: float

    def wander(self, sec: np.ndarray) -> np.ndarray:
        """Centres ``(T, 2)`` after ``sec`` ``(T,)`` of wandering, never closer than MARGIN."""
        waves = np.sin(2 * np.pi * (sec[:, None, None] * self.waves_hz + self.wave_phases))
        return 0.5 + (0.5 - MARGIN) * (_WAVES * waves).sum(axis=1)

    def act(self, actions: Sequence[Action], num_frames: int, fps: float) -> np.ndarray:
        """Centres ``(T, 2)`` in each frame of a video with these actions.

        During a motion the way stops, and goes on afterwards from where it stopped.
        """
        amounts = action_amounts(actions, num_frames, fps)
        moving = np.zeros(num_frames)
        for label in amounts.keys() & MOTIONS.keys():
            moving += amounts[label]
        centres = self.wander(np.cumsum(1 - moving) / fps)
        phase = self.motion_phase + np.arange(num_frames) / fps * self.speed / CYCLE
        for action in actions:
            if action.label in MOTIONS:
                frames = slice(max(action.start_frame, 0), min(action.end_frame, num_frames))
                offset = REACH * MOTIONS[action.label](phase[frames])
                # starts where the shape is, unless it would leave the picture from there
                middle = np.clip(centres[frames][0] - offset[0], MARGIN + REACH, 1 - MARGIN - REACH)
                share = moving[frames, None]
                centres[frames] = (1 - share) * centres[frames] + share * (middle + offset)
        return centres


@dataclass(frozen=True)
class Look:
    """All that is seen of a video besides its actions.

    Attributes:
        scene: ``(H, W, 3)`` uint8, what stands still.
        distractors: Shapes that only wander, behind the actor.
        actor: The shape that acts.
        drift_sec: Period of the drift in brightness.
        drift_phase: In cycles.
    """

    scene: np.ndarray
    distractors: tuple[Mover, ...]
    actor: Mover
    drift_sec: float
    drift_phase: float


def draw_scene(size: int, rng: np.random.Generator) -> np.ndarray:
    """A texture of large and small patches, ``(size, size, 3)`` uint8."""
    scene = np.zeros((size, size, 3))
    for patches, low, high in ((4, 50, 150), (16, -25, 25)):
        grid = rng.uniform(low, high, size=(patches, patches, 3))
        scene += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(scene, 0, 255).astype(np.uint8)


def draw_look(scene: np.ndarray, rng: np.random.Generator) -> Look:
    """An actor and 1 to 3 distractors of the same kinds, over ``scene``."""
    return Look(
        scene=scene,
        distractors=tuple(_draw_mover(rng) for _ in range(rng.integers(1, 4))),
        actor=_draw_mover(rng),
        drift_sec=rng.uniform(20, 60),
        drift_phase=rng.uniform(),
    )


def render_frames(
    look: Look, actions: Sequence[Action], num_frames: int, fps: float, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield the pictures ``(H, W, 3)`` uint8 of a video one by one; ``rng`` gives their noise."""
    frames = np.arange(num_frames)
    behind = [mover.wander(frames / fps) for mover in look.distractors]
    actor = look.actor.act(actions, num_frames, fps)
    forms = {k: v for k, v in action_amounts(actions, num_frames, fps).items() if k in FORMS}
    drift = np.sin(2 * np.pi * (frames / fps / look.drift_sec + look.drift_phase))
    for frame in frames:
        picture = look.scene.copy()
        for mover, centres in zip(look.distractors, behind):
            _paint(picture, [mover.outline], centres[frame], mover.colour)
        contours = [look.actor.outline]
        for label, amount in forms.items():
            if amount[frame] > 0:
                contours = FORMS[label](look.actor.outline, amount[frame])
        _paint(picture, contours, actor[frame], look.actor.colour)
        noise = rng.standard_normal(picture.shape, dtype=np.float32)
        lit = picture * np.float32(1 + _BRIGHTNESS_DRIFT * drift[frame]) + _NOISE_LEVELS * noise
        yield np.clip(lit, 0, 255).astype(np.uint8)


def _draw_mover(rng: np.random.Generator) -> Mover:
    hue, saturation, value = rng.uniform((0, 0.6, 0.7), 1)
    colour = colorsys.hsv_to_rgb(hue, saturation, value)
    speed = rng.uniform(*SPEED)
    waves_hz = rng.uniform(_WAVES_HZ[:, :1], _WAVES_HZ[:, 1:], size=(3, 2))
    # of a velocity that is distributed normally, as that of many waves is
    mean_speed = np.pi * (0.5 - MARGIN) * np.sqrt(np.pi / 2 * ((_WAVES * waves_hz) ** 2).sum())
    return Mover(
        outline=_draw_outline(rng),
        colour=tuple(round(255 * share) for share in reversed(colour)),
        speed=speed,
        waves_hz=waves_hz * speed / mean_speed,
        wave_phases=rng.uniform(size=(3, 2)),
        motion_phase=rng.uniform(),
    )


def _draw_outline(rng: np.random.Generator) -> np.ndarray:
    """A triangle, square, hexagon, disc or star, turned at random, ``(P, 2)``."""
    corner_radii = [[1.0] * 3, [1.0] * 4, [1.0] * 6, [1.0] * 24, [1.0, 0.45] * 5][rng.integers(5)]
    count = len(corner_radii)
    turn = rng.uniform(0, 2 * np.pi)
    angle = turn + 2 * np.pi * np.arange(count + 1) / count
    closed = np.array([*corner_radii, corner_radii[0]])
    # points along the edges too, so that a form may cut through them
    at = np.linspace(0, count, 120, endpoint=False)
    x = np.interp(at, np.arange(count + 1), closed * np.cos(angle))
    y = np.interp(at, np.arange(count + 1), closed * np.sin(angle))
    return rng.uniform(*RADIUS) * np.stack([x, y], axis=-1)


def _paint(
    picture: np.ndarray,
    contours: Sequence[np.ndarray],
    centre: np.ndarray,
    colour: tuple[int, ...],
) -> None:
    # the centre of a pixel is a whole number for OpenCV, its border a half
    scaled = [
        np.rint(((contour + centre) * len(picture) - 0.5) * 2**_SUBPIXEL_BITS).astype(np.int32)
        for contour in contours
    ]
    cv2.fillPoly(picture, scaled, colour, lineType=cv2.LINE_AA, shift=_SUBPIXEL_BITS)
