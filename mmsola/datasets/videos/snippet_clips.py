"""Whole videos as the frames of all their snippets, decoded each time or kept in memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.logging import print_log

from mmsola.datasets.features.free_memory import free_memory
from mmsola.datasets.videos.frame_views import frame_views
from mmsola.datasets.videos.snippet_sampling import SnippetSampling
from mmsola.datasets.videos.video import Video

# Others draw at random, anew for every block of frames, or make several crops.
FRAME_STEPS = ('Resize', 'CenterCrop')
BLOCK_FRAMES = 16  # decoded frames of full size that are in memory at once


class SnippetClips:
    """The frames of every snippet of a video, ``(T, L, H, W, 3)`` in uint8.

    A frame that snippets share is decoded, resized and cropped once.

    Args:
        videos: Names and files.
        sampling: Which frames make a snippet.
        frame_pipeline: Configs of MMAction2's ``Resize`` and ``CenterCrop``.
        fps: Frames a second to bring videos to; None keeps their own.
        keep: Keep in memory what was decoded once.

    Attributes:
        kept: Frames ``(F, H, W, 3)`` that are in memory, by video.

    Raises:
        ValueError: The pipeline has other steps.
    """

    def __init__(
        self,
        videos: Mapping[str, Path],
        sampling: SnippetSampling,
        frame_pipeline: Sequence[dict],
        fps: float | None = None,
        keep: bool = False,
    ) -> None:
        others = [step['type'] for step in frame_pipeline if step['type'] not in FRAME_STEPS]
        if others:
            raise ValueError(
                f'frame_pipeline: found {", ".join(map(str, others))}; expected '
                f'{" and ".join(FRAME_STEPS)} only, which are the same for all frames of a video. '
                'Leave the others out; the encoder normalises and shapes frames itself.'
            )
        self.videos = dict(videos)
        self.sampling = sampling
        self.frame_pipeline = Compose(list(frame_pipeline))
        self.fps = fps
        self._facts: dict[str, tuple[int, float]] = {}
        self.keep = keep
        self.kept: dict[str, np.ndarray] = {}
        self._warned_about: set[str] = set()

    def num_frames(self, name: str) -> int:
        """Frames of a video; nothing is decoded.

        Raises:
            VideoError: The file is missing or no video.
        """
        return self._facts_of(name)[0]

    def fps_of(self, name: str) -> float:
        """Frames a second of a video, its own or those that it is brought to."""
        return self._facts_of(name)[1]

    def num_snippets(self, name: str) -> int:
        """T of a video."""
        return self.sampling.num_snippets(self.num_frames(name))

    def read(self, name: str) -> np.ndarray:
        """Frames of all snippets of a video, ``(T, L, H, W, 3)``.

        Raises:
            VideoError: A frame cannot be decoded.
        """
        return self.decode(name)[self._frames_of(name)[1]]

    def decode(self, name: str) -> np.ndarray:
        """The frames that any snippet of a video has, ``(F, H, W, 3)``, each once and in order.

        Raises:
            VideoError: One of them cannot be decoded.
        """
        if name in self.kept:
            return self.kept[name]
        video = Video(self.videos[name], self.fps)
        wanted = self._frames_of(name)[0]
        views = []
        for begin in range(0, len(wanted), BLOCK_FRAMES):
            block = list(video.frames(wanted[begin : begin + BLOCK_FRAMES]))
            views += [crops[0] for crops in frame_views(block, self.frame_pipeline)]
        video.close()
        if video.lost and name not in self._warned_about:
            self._warned_about.add(name)
            print_log(
                f'{video.path}: {len(video.lost)} of its frames cannot be decoded or are damaged; '
                'the nearest ones stand for them',
                'current',
                logging.WARNING,
            )
        frames = np.stack(views)
        if self.keep:
            self.kept[name] = frames
        return frames

    def check_memory(self, names: Sequence[str]) -> None:
        """Refuse to keep more than fits, as soon as the frames of one video are known.

        Raises:
            ValueError: Less memory is free than these videos will take.
        """
        frame_bytes = next(iter(self.kept.values()))[0].nbytes
        left = sum(len(self._frames_of(name)[0]) for name in names if name not in self.kept)
        free_bytes = free_memory(torch.device('cpu'))
        if left * frame_bytes > free_bytes:
            raise ValueError(
                f'the frames of {len(names)} videos take {left * frame_bytes / 1e6:.0f} MB, and '
                f'{free_bytes / 1e6:.0f} MB of memory are free. Set cache=False to decode them in '
                'every epoch, or a smaller size in frame_pipeline.'
            )

    def __deepcopy__(self, memo: dict) -> SnippetClips:
        return self  # what is kept is never written to

    def _frames_of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Frames ``(F,)`` that a video is read for, and which of them ``(T, L)`` snippets have."""
        frames = self.sampling.frames(self.num_frames(name))
        wanted, index = np.unique(frames, return_inverse=True)
        return wanted, index.reshape(frames.shape)

    def _facts_of(self, name: str) -> tuple[int, float]:
        if name not in self._facts:
            video = Video(self.videos[name], self.fps)
            self._facts[name] = video.num_frames, video.fps
        return self._facts[name]
