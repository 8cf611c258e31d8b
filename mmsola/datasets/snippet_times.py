"""Where snippets lie in time: the one formula from snippet index to seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmsola.structures.video_record import VideoRecord


class TimelineError(ValueError):
    """The time of a video's snippets cannot be computed from what is known of it."""


@dataclass(frozen=True)
class SnippetTimeline:
    """How the snippets of an encoder follow each other, in video frames.

    Snippet k covers ``window_frames`` frames from frame ``offset_frames + k * stride_frames`` on::

        centre_sec(k) = (offset_frames + k * stride_frames + window_frames / 2) / fps

    Features that were resized to a fixed number of snippets a video have no stride of their own:
    with ``stride_frames=None`` the T snippets share the video's duration evenly, which is the same
    formula with stride and window of ``duration_sec / T``. Where the annotation knows that the
    features end before the video (MMAction2's ``feature_frame``), they share what they cover.

    Args:
        stride_frames: Frames from one snippet to the next; None for resized features.
        window_frames: Frames that the encoder looked at for one snippet; None equals the stride.
        fps: Frames a second of the video that was encoded; None takes it from the annotation.
        offset_frames: First frame of snippet 0.

    Examples:
        >>> SnippetTimeline(stride_frames=8, window_frames=16, fps=25).centres_sec(3).tolist()
        [0.32, 0.64, 0.96]
    """

    stride_frames: float | None = None
    window_frames: float | None = None
    fps: float | None = None
    offset_frames: float = 0.0

    def __post_init__(self) -> None:
        if self.stride_frames is None and (self.window_frames is not None or self.offset_frames):
            raise TimelineError(
                'timeline: window_frames and offset_frames need stride_frames; resized features '
                '(stride_frames=None) share the duration evenly.'
            )
        for key in ('stride_frames', 'fps'):
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise TimelineError(f'timeline: {key} must be positive, got {value}.')
        if self.window_frames is not None and self.window_frames < 0:
            raise TimelineError(
                f'timeline: window_frames must not be negative, got {self.window_frames}.'
            )

    @property
    def window_strides(self) -> float:
        """How many strides the window of one snippet is long; 1 for resized features."""
        if self.stride_frames is None or self.window_frames is None:
            return 1.0
        return self.window_frames / self.stride_frames

    def centres_sec(self, num_snippets: int, record: VideoRecord | None = None) -> np.ndarray:
        """Centres of snippets 0 to ``num_snippets - 1`` in seconds, shape ``(T,)``.

        Args:
            num_snippets: T.
            record: The video's annotation, for its fps or duration where the timeline needs them.

        Raises:
            TimelineError: Neither the timeline nor the record has the fps (or, for resized
                features, the duration).
        """
        stride_sec, window_sec, offset_sec = self._in_seconds(num_snippets, record)
        return offset_sec + np.arange(num_snippets) * stride_sec + window_sec / 2

    def span_sec(self, num_snippets: int, record: VideoRecord | None = None) -> tuple[float, float]:
        """Start and end, in seconds, of the time that ``num_snippets`` snippets stand for.

        Each snippet stands for the stride whose middle is its centre: the span is ``T`` strides.
        """
        stride_sec = self._in_seconds(num_snippets, record)[0]
        centres = self.centres_sec(num_snippets, record)
        return float(centres[0] - stride_sec / 2), float(centres[-1] + stride_sec / 2)

    def _in_seconds(
        self, num_snippets: int, record: VideoRecord | None
    ) -> tuple[float, float, float]:
        name = record.name if record else 'video'
        if self.stride_frames is None:
            duration_sec = record.duration_sec if record else None
            if duration_sec is None:
                raise TimelineError(
                    f'{name}: its features share its duration evenly (stride_frames=None), but the '
                    'annotation has no duration. Add it, or set timeline=dict(stride_frames=..., '
                    'fps=...).'
                )
            if record and record.feature_frames and record.num_frames:
                # the encoder stopped at the last whole snippet; MMAction2 corrects the same way
                duration_sec *= record.feature_frames / record.num_frames
            return duration_sec / num_snippets, duration_sec / num_snippets, 0.0
        fps = self.fps or (record.fps if record else None)
        if fps is None:
            raise TimelineError(
                f'{name}: stride_frames={self.stride_frames} needs frames per second, and the '
                'annotation has none. Set timeline=dict(fps=...).'
            )
        window_frames = self.stride_frames if self.window_frames is None else self.window_frames
        return self.stride_frames / fps, window_frames / fps, self.offset_frames / fps
