"""From video files to what a snippet encoder takes, each frame decoded and resized once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import Compose
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from mmsola.datasets.videos.frame_views import frame_views
from mmsola.datasets.videos.snippet_sampling import SnippetSampling
from mmsola.datasets.videos.video import Video, VideoError
from mmsola.datasets.videos.video_facts import VideoFacts

# What of a video is in memory at once: snippets as a recognizer takes them, and decoded frames.
CHUNK_SNIPPETS = 16
BLOCK_FRAMES = 16


@dataclass(frozen=True)
class SnippetChunk:
    """Some consecutive snippets of one video, ``inputs`` ``(N, ...)`` as the recognizer takes them.

    ``failure`` is why the video ends here without being whole; then there are no inputs.
    """

    name: str
    facts: VideoFacts | None = None
    inputs: Tensor | None = None
    failure: str | None = None


class SnippetStream(IterableDataset):
    """Snippets of many videos, video after video, each in order; workers share the videos.

    However long a video is, no more of it than a chunk is in memory.

    Args:
        videos: Names and files.
        sampling: Which frames make a snippet.
        frame_pipeline: MMAction2's transforms that treat every frame alike (resizing, cropping).
        snippet_pipeline: Its transforms from the frames of a snippet to ``inputs``.
        clips: ``num_clips`` and ``clip_len`` that these shall find.
        fps: Frames a second to bring videos to; None keeps their own.
    """

    def __init__(
        self,
        videos: Mapping[str, Path],
        sampling: SnippetSampling,
        frame_pipeline: Sequence[dict | Callable],
        snippet_pipeline: Sequence[dict | Callable],
        clips: Mapping[str, int],
        fps: float | None = None,
    ) -> None:
        self.videos = list(videos.items())
        self.sampling = sampling
        self.frame_pipeline = Compose(list(frame_pipeline))
        self.snippet_pipeline = Compose(list(snippet_pipeline))
        self.clips = dict(clips)
        self.fps = fps

    def __iter__(self) -> Iterator[SnippetChunk]:
        worker = get_worker_info()
        mine = self.videos[worker.id :: worker.num_workers] if worker else self.videos
        for name, path in mine:
            try:
                yield from self._chunks(name, path)
            except VideoError as error:
                yield SnippetChunk(name, failure=str(error))

    def _chunks(self, name: str, path: Path) -> Iterator[SnippetChunk]:
        video = Video(path, self.fps)
        num_snippets = self.sampling.num_snippets(video.num_frames)
        facts = VideoFacts(
            num_snippets, video.num_frames, video.fps, video.duration_sec, video.is_variable
        )
        ready: dict[int, list[np.ndarray]] = {}  # frame -> its views
        for start in range(0, num_snippets, CHUNK_SNIPPETS):
            stop = min(start + CHUNK_SNIPPETS, num_snippets)
            wanted = self.sampling.frames(video.num_frames, start, stop)
            frames = np.unique(wanted).tolist()
            # neighbours overlap: what the last chunk had is not decoded again
            ready = {frame: ready[frame] for frame in frames if frame in ready}
            missing = [frame for frame in frames if frame not in ready]
            for begin in range(0, len(missing), BLOCK_FRAMES):
                block = missing[begin : begin + BLOCK_FRAMES]
                ready.update(zip(block, self._views(list(video.frames(block)))))
            facts = replace(facts, lost_frames=len(video.lost))
            snippets = [self._inputs([ready[frame] for frame in row]) for row in wanted.tolist()]
            yield SnippetChunk(name, facts, torch.stack(snippets))
        video.close()

    def _views(self, frames: list[np.ndarray]) -> list[list[np.ndarray]]:
        """Each frame resized and cropped, once for every crop."""
        return frame_views(frames, self.frame_pipeline)

    def _inputs(self, frames: list[list[np.ndarray]]) -> Tensor:
        images = [frame[view] for view in range(len(frames[0])) for frame in frames]
        results = {
            'imgs': images,
            'original_shape': images[0].shape[:2],
            'img_shape': images[0].shape[:2],
            'modality': 'RGB',
            **self.clips,
        }
        return self.snippet_pipeline(results)['inputs']
