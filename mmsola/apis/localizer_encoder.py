"""Videos encoded as the features were that a localizer learned from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmsola.apis.inference_inputs import InferenceError
from mmsola.apis.segment_classes import ScoringEncoder, SnippetScores
from mmsola.apis.video_encoding import EncodedSnippets, encoded_snippets, whole_videos
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.models.encoders import SnippetEncoder


@dataclass(frozen=True)
class LocalizerEncoder:
    """The encoder whose features a localizer takes.

    Args:
        encoder: The encoder.
        fps: Frames a second that it brings videos to; None keeps their own.
        class_names: Classes of its classifier, whose scores are wanted; None wants none.
        num_channels: Of the features that the localizer learned from, if the config has it.
    """

    encoder: SnippetEncoder
    fps: float | None = None
    class_names: list[str] | None = None
    num_channels: int | None = None

    def timeline(self, learned: SnippetTimeline) -> SnippetTimeline:
        """Where the snippets of videos lie in time.

        Args:
            learned: Where those that the localizer learned from lie; what it leaves open follows
                from the encoder.

        Raises:
            InferenceError: The encoder makes them at another stride or of other windows.
        """
        sampling = self.encoder.sampling
        made = (sampling.stride, sampling.window_frames)
        if learned.stride_frames is None:
            return replace(learned, stride_frames=made[0], window_frames=made[1])
        window_frames = learned.window_frames
        expected = (
            learned.stride_frames,
            sampling.stride if window_frames is None else window_frames,
        )
        if expected != made:
            raise InferenceError(
                f'the localizer learned from snippets of stride and window {expected} frames, '
                f'the encoder makes them of {made}; name the encoder of its features.'
            )
        return learned

    def encode(
        self, videos: Mapping[str, Path], learned: SnippetTimeline, show_progress: bool
    ) -> Iterator[tuple[EncodedSnippets, SnippetScores | None]]:
        """Features of whole videos or why there are none, and class scores if they are wanted.

        Raises:
            FeatureError: Features are not finite.
            InferenceError: They have other channels than those that the localizer learned from.
        """
        names = self.class_names
        encoder = self.encoder if names is None else ScoringEncoder(self.encoder, names)
        fps = learned.fps or self.fps
        pieces = encoded_snippets(encoder, videos, fps=fps, show_progress=show_progress)
        for video in whole_videos(pieces):
            scores = None
            if names and video.features is not None and video.facts is not None:
                features, of_classes = np.split(video.features, [-len(names)], axis=1)
                timeline = SnippetTimeline(
                    encoder.sampling.stride, encoder.sampling.window_frames, video.facts.fps
                )
                centres_sec = timeline.centres_sec(len(features))
                # copied: a part of an array keeps all of it in memory
                scores = SnippetScores(centres_sec, of_classes.copy(), names)
                video = replace(video, features=features)
            self._check_channels(video)
            yield video, scores

    def _check_channels(self, video: EncodedSnippets) -> None:
        if video.features is None or self.num_channels is None:
            return
        if video.features.shape[1] != self.num_channels:
            raise InferenceError(
                f'{video.name}: the encoder makes features of {video.features.shape[1]} channels, '
                f'the localizer learned from {self.num_channels}; name the encoder of its features.'
            )
