"""A video with a timeline of the segments found in it below, and a cursor that moves along it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from math import ceil
from pathlib import Path

import av
import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmsola.atomic import replacing
from mmsola.datasets.videos.video import Video
from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.visualization.class_colours import Colour
from mmsola.visualization.lettering import drawable, letters
from mmsola.visualization.tsm import figure_to_rgb
from mmsola.visualization.video_picture import best_found, draw_video, video_colours

MAX_FPS = 30.0
MIN_WIDTH, MAX_SIDE = 480, 1280  # pixels
MAX_LANES = 10  # of annotated segments, which would be taller than the picture

_DPI = 100
_CURSOR_COLOUR = (214, 39, 40)
_CURSOR_PIXELS = 2
_LABEL_PIXELS = 22
_GAP_PIXELS = 4  # beside the labels on the picture


def write_film(
    out: str | Path,
    video: Video | str | Path,
    found: LabelledSegments,
    truth: LabelledSegments | None = None,
    top_k: int = 5,
    classes: Iterable[str] = (),
) -> None:
    """Write an mp4 of the video's frames, without sound, above the timeline of its segments.

    The names of the shown segments that cover the moment are in the frame's corner. Rate and
    duration are the video's; above 30 frames a second only every second (third, ...) is kept. One
    frame is held at a time, so memory does not grow with the length.

    Args:
        out: The file, written whole or not at all.
        video: The video or its file.
        found: Segments in seconds with scores, in any order.
        truth: Annotated segments; None where they are not known.
        top_k: Found segments shown, the best ones.
        classes: All classes of the localizer and the annotations, as of ``draw_video``.

    Raises:
        VideoError: The video cannot be decoded.
        ValueError: ``out`` is the video itself, or what was found has no scores.
    """
    video = video if isinstance(video, Video) else Video(video)
    if Path(out).exists() and Path(out).samefile(video.path):
        raise ValueError(f'{out}: is the video itself; expected another file to write to.')
    width, height = _picture_size(next(video.frames([0])))
    classes = list(classes)
    strip = _Strip(video.duration_sec, found, truth, top_k, max(width, MIN_WIDTH), classes)
    labels = _Labels(best_found(found, top_k), video_colours(found, truth, classes))
    every = max(1, ceil(video.fps / MAX_FPS - 1e-3))  # a rate measured as 30.0003 is 30
    indices = np.arange(0, video.num_frames, every)

    def frames() -> Iterator[np.ndarray]:
        frame = np.zeros((height + strip.height, strip.width, 3), np.uint8)
        left = (strip.width - width) // 2
        for index, picture in zip(indices.tolist(), video.frames(indices)):
            shown = frame[:height, left : left + width]
            shown[:] = _resized(picture, width, height)
            labels.put_on(shown, index / video.fps)
            strip.put_on(frame[height:], index / video.fps)
            yield frame

    with replacing(out) as partial:
        _encode(partial, frames(), (strip.width, height + strip.height), video.fps / every)


class _Strip:
    """The timeline, drawn once; only the cursor is new in each frame."""

    def __init__(
        self,
        duration_sec: float,
        found: LabelledSegments,
        truth: LabelledSegments | None,
        top_k: int,
        width: int,
        classes: Iterable[str],
    ) -> None:
        figure = draw_video(
            '', duration_sec, found, truth, (), top_k, width / _DPI, classes, MAX_LANES
        )
        figure.set_dpi(_DPI)
        drawn = figure_to_rgb(figure)[:, :width]
        self.width, self.height = width, _even(len(drawn) + 1)
        self._picture = np.full((self.height, width, 3), 255, np.uint8)
        self._picture[: len(drawn), : drawn.shape[1]] = drawn
        self._duration_sec = duration_sec
        # all panels have one time axis; from the top of the first to the bottom of the last
        first, last = figure.axes[0].bbox, figure.axes[-1].bbox
        self._rows = slice(round(len(drawn) - first.y1), round(len(drawn) - last.y0))
        self._begin, self._end = last.x0, last.x1

    def put_on(self, frame: np.ndarray, at_sec: float) -> None:
        """Write the strip with the cursor at a moment."""
        frame[:] = self._picture
        share = min(at_sec / self._duration_sec, 1.0)
        column = round(self._begin + share * (self._end - self._begin)) - _CURSOR_PIXELS // 2
        frame[self._rows, column : column + _CURSOR_PIXELS] = _CURSOR_COLOUR


class _Labels:
    """The names of found segments, each drawn once, to be put on pictures while they last."""

    def __init__(self, best: LabelledSegments, colours: Mapping[str, Colour]) -> None:
        self._segments = best.segments
        self._drawn = [
            _draw_label(f'{drawable(label, 40)}  {score:.2f}', colours[label])
            for label, score in zip(best.labels, best.scores if best.scores is not None else ())
        ]

    def put_on(self, picture: np.ndarray, at_sec: float) -> None:
        """Write the names of the segments that cover the moment, the best one on top."""
        y = _GAP_PIXELS
        for (start_sec, end_sec), label in zip(self._segments, self._drawn):
            if start_sec <= at_sec <= end_sec:
                box = picture[y : y + len(label), _GAP_PIXELS : _GAP_PIXELS + label.shape[1]]
                box[:] = label[: box.shape[0], : box.shape[1]]
                y += len(label) + _GAP_PIXELS


def _draw_label(text: str, colour: Colour) -> np.ndarray:
    """White or black letters on the colour, whichever has more contrast; ``(22, W, 3)``."""
    is_light = np.dot(colour, (0.299, 0.587, 0.114)) > 0.6
    figure = Figure(facecolor=colour, dpi=_DPI)
    FigureCanvasAgg(figure)
    drawn = figure.text(
        0.5, 0.47, text, ha='center', va='center', size=9, weight='bold',
        color='black' if is_light else 'white', **letters(),
    )  # fmt: skip
    width = drawn.get_window_extent().width + 12
    figure.set_size_inches(width / _DPI, _LABEL_PIXELS / _DPI)
    return figure_to_rgb(figure)


def _picture_size(picture: np.ndarray) -> tuple[int, int]:
    """Width and height to show it at: neither too small to look at nor too large to send."""
    height, width = picture.shape[:2]
    scale = min(max(1.0, MIN_WIDTH / width), MAX_SIDE / max(width, height))
    return _even(width * scale), _even(height * scale)


def _resized(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    if picture.shape[:2] == (height, width):
        return picture
    how = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how))


def _even(pixels: float) -> int:
    """Video codecs halve the resolution of colours."""
    return max(2, 2 * int(pixels / 2))


def _encode(path: Path, frames: Iterator[np.ndarray], size: tuple[int, int], fps: float) -> None:
    """Write frames ``(H, W, 3)`` as mp4 that can be played while it is still loaded."""
    # MPEG-4 allows no greater numbers; 29.97 is 30000 / 1001
    rate = Fraction(fps).limit_denominator(1001) or Fraction(1, 1001)
    codec, options = _codec()
    with av.open(str(path), 'w', format='mp4', options={'movflags': 'faststart'}) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = 'yuv420p'
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        container.mux(stream.encode())


def _codec() -> tuple[str, dict[str, str]]:
    """H.264, which every browser plays, where PyAV was built with it."""
    if 'libx264' in av.codecs_available:
        return 'libx264', {'crf': '21', 'preset': 'veryfast'}
    return 'mpeg4', {'qmin': '3', 'qmax': '6'}
