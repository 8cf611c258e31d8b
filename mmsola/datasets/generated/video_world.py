"""A generated world: untrimmed videos with exact annotations, and trimmed clips to pretrain on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmsola.atomic import replacing
from mmsola.datasets.generated.moving_shapes import draw_look, draw_scene, render_frames
from mmsola.datasets.generated.shape_actions import CLASSES, Action
from mmsola.files.json_file import read_json_object
from mmsola.messages.progress import progress
from mmsola.structures.video_record import Segment

# Scenes of a subset; none is in both.
NUM_SUBJECTS = 12

# Seconds between which the length of an action, and of a clip, is drawn.
ACTION_SEC = (2, 10)
CLIP_SEC = (1.5, 4)
# A video has one action in every so many seconds.
SECONDS_PER_ACTION = (18, 30)

MIN_SIZE = 16
MIN_FRAMES = 16

# Raise it with any change of what is rendered: half a world of before is not continued.
_VERSION = 1


class VideoWorldError(ValueError):
    """A world that cannot be made; has what was found, what was expected and how to fix it."""


def make_video_world(
    root: str | Path,
    num_training: int = 60,
    num_validation: int = 40,
    clips_per_class: int = 60,
    seconds: tuple[float, float] = (15, 90),
    size: int = 64,
    fps: float = 16,
    seed: int = 0,
) -> Path:
    """Write untrimmed videos with annotations, and trimmed clips of the same classes.

    ``root/videos/<name>.mp4`` are annotated by ``root/annotations.json``. ``root/clips/<name>.mp4``
    are listed with the number of their class in ``root/clips_training.txt`` and
    ``root/clips_validation.txt``, for MMAction2's ``VideoDataset``; ``root/classes.txt`` names the
    classes in their order.

    A video depends on nothing but its number, ``seconds``, ``size``, ``fps`` and ``seed``: a world
    with more videos begins with the same ones. A call that was stopped goes on where it was, and
    the annotation file comes last.

    Args:
        root: A folder that is new, empty or was begun with the same arguments.
        num_training: Untrimmed videos for training.
        num_validation: Untrimmed videos for validation, of other subjects.
        clips_per_class: Clips of each class for training; a third as many for validation.
        seconds: Length of the shortest and of the longest untrimmed video.
        size: Width and height in pixels.
        fps: Frames per second.
        seed: Another seed gives other videos.

    Returns:
        The annotation file.

    Raises:
        VideoWorldError: The arguments make no world, ``root`` holds another one, or a video cannot
            be written.
    """
    counts = dict(
        num_training=num_training, num_validation=num_validation, clips_per_class=clips_per_class
    )
    _check_counts(counts)
    _check_picture(size, fps)
    num_frames = _check_seconds(seconds, fps)
    root = Path(root)
    settings = dict(counts, seconds=[*seconds], size=size, fps=fps, seed=seed, version=_VERSION)
    _claim(root, settings)

    videos = [
        _video(subset, index, num_frames, fps, seed)
        for subset, count in (('training', num_training), ('validation', num_validation))
        for index in range(count)
    ]
    clips = [
        _clip(subset, index, label, fps, seed)
        for subset, count in (
            ('training', clips_per_class),
            ('validation', math.ceil(clips_per_class / 3)),
        )
        for label in CLASSES
        for index in range(count)
    ]
    for take in progress([*videos, *clips], 'Writing the video world'):
        if not (root / take.file).exists():
            _film(root / take.file, take, size, fps, seed)

    _write_lines(root / 'classes.txt', CLASSES)
    for subset in ('training', 'validation'):
        _write_lines(
            root / f'clips_{subset}.txt',
            (
                f'{clip.file} {CLASSES.index(clip.actions[0].label)}'
                for clip in clips
                if clip.subset == subset
            ),
        )
    database = {video.name: _entry(video, fps) for video in videos}
    annotation_file = root / 'annotations.json'
    with replacing(annotation_file) as partial:
        partial.write_text(json.dumps({'version': 'video world', 'database': database}, indent=1))
    return annotation_file


def render_untrimmed(
    path: str | Path, num_frames: int, size: int = 64, fps: float = 16, seed: int = 0
) -> tuple[Segment, ...]:
    """Write one untrimmed video of any length and return its segments.

    Pictures are made and written one by one; what stays in memory is some numbers per frame.

    Raises:
        VideoWorldError: The arguments make no video, or it cannot be written.
    """
    _check_picture(size, fps)
    _check_length(f'num_frames is {num_frames}', num_frames)
    actions = draw_actions(num_frames, fps, _rng(seed, 'single actions', 0))
    take = _Take('video', 'single', 0, num_frames, actions)
    _film(Path(path), take, size, fps, seed)
    return tuple(
        Segment(action.start_frame / fps, action.end_frame / fps, action.label)
        for action in actions
    )


def draw_actions(num_frames: int, fps: float, rng: np.random.Generator) -> tuple[Action, ...]:
    """Actions of one or two classes, one in each of some equal parts of a video.

    There is background around each. In a part too short for ACTION_SEC, they take a quarter to
    three quarters of it.
    """
    sec = num_frames / fps
    fewest, most = (math.ceil(sec / per_action) for per_action in reversed(SECONDS_PER_ACTION))
    borders = np.linspace(0, num_frames, rng.integers(fewest, most + 1) + 1).astype(int)
    labels = rng.choice(CLASSES, size=rng.integers(1, 3), replace=False)
    actions = []
    for low, high in zip(borders[:-1], borders[1:]):
        margin = (high - low) // 8
        shortest = min(round(ACTION_SEC[0] * fps), (high - low) // 4)
        longest = min(round(ACTION_SEC[1] * fps), high - low - 2 * margin)
        length = rng.integers(shortest, longest + 1)
        start = rng.integers(low + margin, high - margin - length + 1)
        actions.append(Action(int(start), int(start + length), str(rng.choice(labels))))
    return tuple(actions)


@dataclass(frozen=True)
class _Take:
    """What is filmed in one file.

    Its looks hang on kind, subset and index only: clip 7 of one class shows the same scene and the
    same shapes in the same colours as clip 7 of any other.
    """

    kind: str
    subset: str
    index: int
    num_frames: int
    actions: tuple[Action, ...]

    @property
    def name(self) -> str:
        of_class = f'{self.actions[0].label}_' if self.kind == 'clip' else ''
        return f'{self.subset}_{of_class}{self.index:04d}'

    @property
    def file(self) -> str:
        return f'{self.kind}s/{self.name}.mp4'

    @property
    def subject(self) -> int:
        return self.index % NUM_SUBJECTS


def _video(subset: str, index: int, num_frames: tuple[int, int], fps: float, seed: int) -> _Take:
    rng = _rng(seed, f'{subset} video actions', index)
    length = int(rng.integers(num_frames[0], num_frames[1] + 1))
    return _Take('video', subset, index, length, draw_actions(length, fps, rng))


def _clip(subset: str, index: int, label: str, fps: float, seed: int) -> _Take:
    rng = _rng(seed, f'{subset} clip length', index)
    length = math.ceil(rng.uniform(*CLIP_SEC) * fps)
    # far from where the action comes up and fades
    return _Take('clip', subset, index, length, (Action(-length, 2 * length, label),))


def _film(path: Path, take: _Take, size: int, fps: float, seed: int) -> None:
    scene = draw_scene(size, _rng(seed, f'{take.subset} scene', take.subject))
    look = draw_look(scene, _rng(seed, f'{take.subset} {take.kind} look', take.index))
    noise = _rng(seed, f'{take.subset} {take.kind} noise', take.index)
    frames = render_frames(look, take.actions, take.num_frames, fps, noise)
    _write_video(path, frames, take.num_frames, size, fps)


def _rng(seed: int, purpose: str, index: int) -> np.random.Generator:
    """Random numbers of their own for each purpose and index."""
    return np.random.default_rng([seed, index, *purpose.encode()])


def _write_video(
    path: Path, frames: Iterable[np.ndarray], num_frames: int, size: int, fps: float
) -> None:
    with replacing(path) as partial:
        writer = cv2.VideoWriter(
            str(partial), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*'mp4v'), fps, (size, size)
        )
        if not writer.isOpened():
            raise _error(
                f'{path}: OpenCV {cv2.__version__} cannot write this video',
                'a name that ends in .mp4, and an OpenCV with FFmpeg and its mp4v encoder',
                'correct the name, or install opencv-python from PyPI',
            )
        for frame in frames:
            writer.write(frame)
        writer.release()
        # the writer does not report a full disk
        written = int(cv2.VideoCapture(str(partial)).get(cv2.CAP_PROP_FRAME_COUNT))
        if written != num_frames:
            raise _error(
                f'{path}: {written} frames arrived in the file',
                f'{num_frames} frames',
                'look whether the disk is full, and call again',
            )


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with replacing(path) as partial:
        partial.write_text(''.join(f'{line}\n' for line in lines))


def _entry(video: _Take, fps: float) -> dict[str, Any]:
    return {
        'duration': video.num_frames / fps,
        'fps': fps,
        'frame': video.num_frames,
        'subset': video.subset,
        'subject': f'{video.subset}_{video.subject}',
        'annotations': [
            {'segment': [action.start_frame / fps, action.end_frame / fps], 'label': action.label}
            for action in video.actions
        ],
    }


def _claim(root: Path, settings: dict[str, Any]) -> None:
    """Leave the settings in ``root``, or find the same ones there."""
    file = root / 'world.json'
    if file.exists():
        before = read_json_object(
            file,
            VideoWorldError,
            'the settings of a world',
            'give another root, or remove this one',
        )
        changes = [
            f'{name} is {before.get(name)} there and {settings.get(name)} in this call'
            for name in {**settings, **before}
            if before.get(name) != settings.get(name)
        ]
        if changes:
            raise _error(
                f'{root}: holds a world of other settings: {"; ".join(changes)}',
                'the settings that it was begun with',
                'give another root, or remove this one',
            )
        return
    if root.exists() and any(root.iterdir()):
        raise _error(
            f'{root}: holds files, but no world.json',
            'a folder that is new, empty or holds a world',
            'give another root',
        )
    with replacing(file) as partial:
        partial.write_text(json.dumps(settings, indent=1))


def _check_counts(counts: dict[str, int]) -> None:
    for name, count in counts.items():
        if count < 1:
            raise _error(f'{name} is {count}', '1 or more', f'correct {name}')


def _check_picture(size: int, fps: float) -> None:
    if size % 2 or size < MIN_SIZE:
        raise _error(
            f'size is {size}', f'an even number of pixels, {MIN_SIZE} or more', 'correct size'
        )
    if not 1 <= fps < math.inf:
        raise _error(f'fps is {fps}', '1 frame per second or more', 'correct fps')


def _check_seconds(seconds: tuple[float, float], fps: float) -> tuple[int, int]:
    """The same two lengths in frames."""
    shortest, longest = seconds
    if not shortest <= longest < math.inf:
        raise _error(
            f'seconds is ({shortest}, {longest})',
            'the length of the shortest video, then that of the longest',
            'write them in this order',
        )
    _check_length(f'seconds begins with {shortest}, at {fps} fps', round(shortest * fps))
    return round(shortest * fps), round(longest * fps)


def _check_length(found: str, num_frames: int) -> None:
    if num_frames < MIN_FRAMES:
        raise _error(
            found,
            f'{MIN_FRAMES} frames or more, for one action and background around it',
            'make longer videos',
        )


def _error(found: str, expected: str, fix: str) -> VideoWorldError:
    return VideoWorldError(f'{found}\n  expected: {expected}\n  fix: {fix}')
