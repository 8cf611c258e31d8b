"""Small videos for tests, made on the spot: frame i is grey of brightness 5 i (modulo 250)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_video(
    path: str | Path,
    num_frames: int = 40,
    size: tuple[int, int] = (64, 48),
    codec: str = 'mpeg4',
    fps: int = 10,
    times_ms: Sequence[int] | None = None,
    moving: bool = False,
) -> Path:
    """Write a video of ``size`` (width, height); ``times_ms`` make it one of variable rate."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = 'yuv420p'
        stream.gop_size = 12
        if times_ms is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(num_frames):
            frame = av.VideoFrame.from_ndarray(picture(i, size, moving), format='rgb24')
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def picture(i: int, size: tuple[int, int], moving: bool = False) -> np.ndarray:
    """Frame i: grey with a red corner at the top left, or a bright bar that moves."""
    width, height = size
    grey = np.full((height, width, 3), 60 if moving else 5 * i % 250, np.uint8)
    if moving:
        grey[:, 4 * i % width : 4 * i % width + 8] = 240
    else:
        grey[: height // 4, : width // 4] = (255, 0, 0)
    return grey


def brightness(frame: np.ndarray) -> int:
    """Which i a frame shows, from its middle."""
    return round(float(frame[frame.shape[0] // 2, frame.shape[1] // 2].mean()) / 5)


def turn(source: Path, path: Path, degrees: int) -> Path:
    """Copy an mp4 and mark it as one to be turned clockwise when it is shown."""
    content = bytearray(source.read_bytes())
    box = content.index(b'tkhd')
    times = 32 if content[box + 4] == 1 else 20  # version 1 has times of 64 bits
    matrix = box + 8 + times + 16
    a, b, c, d = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees]
    one = 1 << 16
    content[matrix : matrix + 36] = struct.pack(
        '>9i', a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30
    )
    path.write_bytes(content)
    return path


def damage(source: Path, path: Path, packets: Sequence[int]) -> Path:
    """Copy a video with zeros for the bytes of these packets."""
    content = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        spans = [(p.pos, p.size) for p in container.demux(container.streams.video[0]) if p.size]
    for i in packets:
        begin, size = spans[i]
        content[begin : begin + size] = bytes(size)
    path.write_bytes(content)
    return path


def write_sound(path: Path) -> Path:
    """Write an mp4 without any picture."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('aac', rate=16000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format='fltp', layout='mono'
        )
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
