"""A video file as frames on an even grid of time, read from front to back."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from mmengine.logging import print_log

from mmsola.files.suffixes import VIDEO_SUFFIXES

_SEEK_AHEAD_FRAMES = 256  # to one further away it is quicker to seek than to decode what is between
_NEAR_SEC = 0.5  # a seek that lands further from what was wanted is not believed
_MOST_LOST = 0.5  # share of the frames; what loses more is no video

# What no video has, but a damaged or hostile file may claim: it would fill the memory.
_MOST_FRAMES = 20_000_000  # nine days of 25 a second
_MOST_PIXELS = 1 << 27  # 16K

# Titles and the like need not be text. PyAV 19 ignores by itself what is none.
_OPEN_OPTIONS: dict[str, Any] = (
    {} if int(av.__version__.split('.')[0]) >= 19 else {'metadata_errors': 'ignore'}
)


class VideoError(ValueError):
    """A video that cannot be decoded; has file, what was found, expected, and the fix."""


class Video:
    """One video file: what is known of it, and its frames on an even grid.

    Frame i of the grid is the picture that is shown ``i / fps`` seconds after the first one. With
    the file's own rate and frames that lie evenly, as nearly all do, these are its frames. A file
    of variable rate is brought to its mean rate, others to the one asked for, so that an index
    tells a time in either case. Frames are turned by the file's rotation mark.

    Decoded by PyAV one frame after the other: memory does not grow with the length. (decord, which
    MMAction2 takes for trimmed clips, decodes ahead of a slow reader without limit.)

    Args:
        path: The file.
        fps: Frames a second of the grid; None for the file's own.

    Attributes:
        num_frames: Frames of the grid.
        fps: Frames a second of the grid.
        duration_sec: From the beginning of the first to the end of the last frame.
        is_variable: Whether the file's own frames do not lie evenly.
        lost: Frames of the file, of those that were asked for, that cannot be decoded or are
            damaged; the nearest that can be stands for each.

    Raises:
        VideoError: The file is missing, empty, no video, or holds no frame.
    """

    def __init__(self, path: str | Path, fps: float | None = None) -> None:
        if fps is not None and fps <= 0:
            raise ValueError(f'fps is {fps}; expected a number above 0, or None for the own rate.')
        self.path = str(path)
        self._ticks, end_tick, tick_sec = self._read_times()
        starts_sec = (self._ticks - self._ticks[0]) * tick_sec
        self.duration_sec = float((end_tick - int(self._ticks[0])) * tick_sec)
        if not 0 < self.duration_sec * (fps or 1) <= _MOST_FRAMES:
            raise self._error(
                f'lasts {self.duration_sec:g} s by the times of its {len(self._ticks)} frames'
            )
        own_fps = len(starts_sec) / self.duration_sec
        evenly_sec = np.arange(len(starts_sec)) / own_fps
        self.is_variable = bool(np.abs(starts_sec - evenly_sec).max() > 0.75 / own_fps)
        self.fps = own_fps if fps is None else float(fps)
        if self.is_variable or fps is not None:
            self.num_frames = max(1, round(self.duration_sec * self.fps))
            shown_at_sec = np.arange(self.num_frames) / self.fps + tick_sec  # times are rounded
            self._of_grid = np.searchsorted(starts_sec, shown_at_sec, 'right') - 1
        else:
            self.num_frames = len(starts_sec)
            self._of_grid = np.arange(self.num_frames)
        self._tick_sec = tick_sec
        self._decoded: Iterator[tuple[int, av.VideoFrame]] = iter(())
        self._to_rgb = VideoReformatter()  # one of its own for each frame takes as long as decoding
        self._picture = np.zeros((0, 0, 3), np.uint8)
        self._stands_for = range(0)  # frames of the file: for lost ones the next that is there
        self.lost: set[int] = set()

    def frames(self, indices: Sequence[int] | np.ndarray) -> Iterator[np.ndarray]:
        """Pictures ``(H, W, 3)``, RGB uint8, of frames of the grid; quickest if indices rise.

        Raises:
            VideoError: More than half of the frames are lost.
        """
        for wanted in self._of_grid[np.asarray(indices, dtype=int)].tolist():
            if wanted not in self._stands_for:
                self._go_to(wanted)
            yield self._picture

    def close(self) -> None:
        """Let go of the file; the next frame opens it again."""
        self._decoded = iter(())
        self._stands_for = range(0)

    def _go_to(self, wanted: int) -> None:
        """Decode up to a frame of the file, or to the next one that can be decoded."""
        reached = self._stands_for.stop - 1
        if not reached <= wanted <= reached + _SEEK_AHEAD_FRAMES:
            self._decoded = self._decode_from(wanted)
        at, frame = self._next_from(wanted)
        if at < wanted or self._seconds_between(wanted, at) > _NEAR_SEC:
            # a seek may land anywhere; from the beginning on there is no doubt
            self._decoded = self._decode_from(0)
            at, frame = self._next_from(wanted)
        if frame is None:
            raise self._error(f'not one of its {len(self._ticks)} frames can be decoded')
        # the last frame of all stands for those that are lost behind it
        self._stands_for = range(wanted, at + 1 if at >= wanted else len(self._ticks))
        self.lost.update(i for i in self._stands_for if i != at or frame.is_corrupt)
        if len(self.lost) > _MOST_LOST * len(self._ticks):
            raise self._error(
                f'{len(self.lost)} or more of its {len(self._ticks)} frames cannot be decoded'
            )
        picture = self._to_rgb.reformat(frame, format='rgb24').to_ndarray()
        # the mark is by how much to turn it, counter-clockwise
        turns = round(frame.rotation / 90) % 4
        self._picture = np.ascontiguousarray(np.rot90(picture, turns))

    def _next_from(self, wanted: int) -> tuple[int, av.VideoFrame | None]:
        """The first decoded frame from ``wanted`` on, else the last one, and its index."""
        last: tuple[int, av.VideoFrame | None] = (-1, None)
        try:
            for last in self._decoded:
                if last[0] >= wanted:
                    break
        except VideoError:
            raise
        except Exception as error:  # PyAV meets damaged bytes with whatever Python raises
            raise self._error(
                f'frame {wanted} of {len(self._ticks)} cannot be decoded ({error})'
            ) from error
        return last

    def _seconds_between(self, one: int, other: int) -> float:
        return abs(int(self._ticks[one] - self._ticks[other])) * self._tick_sec

    def _decode_from(self, wanted: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames with their indices in the file, from a key frame at or before ``wanted`` on.

        What a damaged packet held is left out; decoders make up for what later frames miss of it.
        """
        with self._opened() as container:
            stream = self._film(container)
            # threads of a decoder would hang a process forked meanwhile when it cleans up
            stream.codec_context.thread_count = 1
            # the size may change on the way, and FFmpeg shall not believe it either
            stream.codec_context.options = {'max_pixels': str(_MOST_PIXELS)}
            if wanted > _SEEK_AHEAD_FRAMES:
                container.seek(int(self._ticks[wanted]), stream=stream)
            at = -1
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.error.FFmpegError:
                    continue
                for frame in frames:
                    # a frame without time can only be counted
                    nearest = int(np.searchsorted(self._ticks, frame.pts or 0))
                    at = at + 1 if frame.pts is None else min(nearest, len(self._ticks) - 1)
                    yield at, frame

    def _read_times(self) -> tuple[np.ndarray, int, float]:
        """When each frame begins and the last one ends, in ticks, and the length of a tick.

        Nothing is decoded. Headers have it too, but not all, and not always correctly.
        """
        if not os.path.isfile(self.path):  # False too for what can be no path
            raise self._error('no such file', 'correct its path, or leave it out of the list')
        if not os.path.getsize(self.path):
            raise self._error('is empty (0 bytes)')
        try:
            with self._opened() as container:
                stream = self._film(container)
                if stream.codec_context is None:
                    raise self._error('its pictures are of a kind that FFmpeg cannot decode')
                if stream.width * stream.height > _MOST_PIXELS:
                    raise self._error(
                        f'says that its pictures are of {stream.width} x {stream.height} pixels'
                    )
                tick_sec = float(stream.time_base or Fraction(1, 1000))
                packets = [
                    (packet.pts if packet.pts is not None else packet.dts, packet.duration or 0)
                    for packet in container.demux(stream)
                    if packet.size and not packet.is_discard
                ]
        except VideoError:
            raise
        except Exception as error:  # PyAV meets damaged bytes with whatever Python raises
            raise self._error(f'cannot be opened as a video ({error})') from error
        timed = sorted(packet for packet in packets if packet[0] is not None)
        if not timed:
            raise self._error(f'holds no frame with a time, of {len(packets)} frames')
        ticks, lengths = (np.array(column, dtype=np.int64) for column in zip(*timed))
        ticks, first = np.unique(ticks, return_index=True)
        usual = int(np.median(np.diff(ticks))) if len(ticks) > 1 else 0
        last_length = int(lengths[first[-1]]) or usual or round(1 / 25 / tick_sec)
        return ticks, int(ticks[-1]) + last_length, tick_sec

    def _film(self, container: av.container.InputContainer) -> Any:
        """The first stream of pictures that is a film, and not the cover of a record."""
        for stream in container.streams.video:
            if not stream.disposition & av.stream.Disposition.attached_pic:
                return stream
        found = 'only a cover' if container.streams.video else 'only sound or other streams'
        raise self._error(f'holds no film, {found}')

    def _opened(self) -> av.container.InputContainer:
        return av.open(self.path, **_OPEN_OPTIONS)

    def _error(self, found: str, fix: str = '') -> VideoError:
        fix = fix or 'copy, download or record it again, or encode it anew with ffmpeg'
        return VideoError(f'{self.path}: {found}\n  expected: a video with frames\n  fix: {fix}')


def list_videos(folder: str | Path) -> dict[str, Path]:
    """Videos below a folder by name, which is the path without suffix: ``'train/abc'``.

    Files that are no videos by their suffix are counted.

    Raises:
        VideoError: There is none, or two have one name.
    """
    root = Path(folder)
    every = [path for path in sorted(root.rglob('*')) if not path.name.startswith('.')]
    files = [path for path in every if path.suffix.lower() in VIDEO_SUFFIXES]
    others = Counter(
        path.suffix
        for path in every
        if path.suffix.lower() not in VIDEO_SUFFIXES and path.is_file()
    )
    if files and others:
        of_each = ', '.join(f'{n} {suffix or "without"}' for suffix, n in others.most_common(5))
        print_log(
            f'{folder}: {sum(others.values())} files are left out, which are no videos by their '
            f'suffix: {of_each}. Others are read if they are named one by one.',
            'current',
        )
    if not files:
        raise VideoError(
            f'{folder}: no video found\n  expected: files with {", ".join(VIDEO_SUFFIXES)}\n'
            '  fix: correct the folder'
        )
    videos: dict[str, Path] = {}
    for path in files:
        name = path.relative_to(root).with_suffix('').as_posix()
        if name in videos:
            raise VideoError(
                f'{videos[name]} and {path}: two videos called {name!r}\n'
                '  expected: one file for each name\n  fix: rename one of them'
            )
        videos[name] = path
    return videos
