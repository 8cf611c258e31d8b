"""Small pictures of a video, evenly over its time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mmsola.datasets.videos.video import Video

HEIGHT_PIXELS = 96


def thumbnails_of(path: str | Path, count: int) -> list[tuple[float, np.ndarray]]:
    """Times in seconds with the pictures ``(96, W, 3)`` shown then, RGB uint8.

    The video is cut into ``count`` equal parts, and each picture is the middle of one. A video of
    fewer frames gives one for each frame.

    Raises:
        VideoError: The file cannot be decoded.
    """
    video = Video(path)
    count = min(count, video.num_frames)
    middles_sec = (np.arange(count) + 0.5) * video.duration_sec / max(count, 1)
    indices = np.minimum((middles_sec * video.fps).astype(int), video.num_frames - 1)
    pictures = [_small(picture) for picture in video.frames(indices)]
    return list(zip(middles_sec.tolist(), pictures))


def _small(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    size = (max(1, round(width * HEIGHT_PIXELS / height)), HEIGHT_PIXELS)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
