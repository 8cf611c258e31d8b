"""Which frames of a video an encoder sees for each snippet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SnippetSampling:
    """Snippets of equal length at equal distances, all of them wholly inside the video.

    Snippet k covers ``window_frames`` frames from frame ``k * stride_frames`` on, which is what
    ``SnippetTimeline(stride_frames, window_frames)`` says of it. Of each ``frame_interval`` of
    these the encoder sees the middle one. A video shorter than one snippet makes one, its last
    frame repeated.

    Args:
        snippet_frames: Frames that the encoder sees of a snippet.
        frame_interval: Distance of one of these to the next.
        stride_frames: From one snippet to the next; None lets them follow each other without
            overlap.

    Examples:
        >>> SnippetSampling(snippet_frames=2, frame_interval=3, stride_frames=4).frames(10).tolist()
        [[1, 4], [5, 8]]
    """

    snippet_frames: int
    frame_interval: int = 1
    stride_frames: int | None = None

    def __post_init__(self) -> None:
        for key in ('snippet_frames', 'frame_interval', 'stride_frames'):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ValueError(f'{key} is {value}; expected a whole number of frames, 1 or more.')

    @property
    def window_frames(self) -> int:
        """Frames that a snippet covers."""
        return self.snippet_frames * self.frame_interval

    @property
    def stride(self) -> int:
        """Frames from one snippet to the next."""
        return self.stride_frames or self.window_frames

    def num_snippets(self, num_frames: int) -> int:
        """T of a video."""
        return max(0, num_frames - self.window_frames) // self.stride + 1

    def frames(self, num_frames: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frame indices ``(T, snippet_frames)`` of snippets ``start`` to ``stop - 1``."""
        stop = self.num_snippets(num_frames) if stop is None else stop
        firsts = np.arange(start, stop)[:, None] * self.stride + (self.frame_interval - 1) // 2
        offsets = np.arange(self.snippet_frames) * self.frame_interval
        return np.minimum(firsts + offsets, num_frames - 1)
