"""What an annotation file holds about a video."""

from __future__ import annotations

from dataclasses import dataclass

# Seconds. Durations and segment ends were rounded by different hands: less than this is no overlap.
ROUNDING_SEC = 1e-3

# The label of a segment that comes without one: all that is known is that something happens.
CLASS_AGNOSTIC_LABEL = 'action'


@dataclass(frozen=True)
class Segment:
    """One annotated stretch of a video, in seconds, with ``start_sec < end_sec``."""

    start_sec: float
    end_sec: float
    label: str


@dataclass(frozen=True)
class VideoRecord:
    """What an annotation file holds about one video; None where it has nothing.

    Attributes:
        fps: True frames per second: ``rfps``, else frames / duration, else ``fps``.
        num_frames: Frames of the video.
        feature_frames: Frames covered by the features (MMAction2's ``feature_frame``).
        group: Who or what must not be in training and validation at once, such as the subject.
            A video without group is bound to no other one.
        segments: None for a video that nobody annotated; an empty tuple for one that was looked
            through and holds no action.
    """

    name: str
    duration_sec: float | None = None
    fps: float | None = None
    num_frames: int | None = None
    feature_frames: int | None = None
    subset: str | None = None
    group: str | None = None
    segments: tuple[Segment, ...] | None = None
