"""Segments of one video with classes, annotated or found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL, VideoRecord


@dataclass(frozen=True)
class LabelledSegments:
    """Segments of one video, with a class each, and a score where they are detections."""

    segments: np.ndarray  # (N, 2)
    labels: Sequence[str]
    scores: np.ndarray | None = None  # (N,)


def annotated_segments(record: VideoRecord | None) -> LabelledSegments | None:
    """What is annotated of a video; None where nobody did."""
    if record is None or record.segments is None:
        return None
    segments = np.array([[s.start_sec, s.end_sec] for s in record.segments], float)
    return LabelledSegments(segments.reshape(-1, 2), [s.label for s in record.segments])


def labels_of(videos: Mapping[str, LabelledSegments]) -> set[str]:
    """The classes of all segments."""
    return {label for video in videos.values() for label in video.labels}


def of_one_class(videos: Mapping[str, LabelledSegments]) -> dict[str, LabelledSegments]:
    """All segments with the one class ``'action'``."""
    return {
        name: replace(video, labels=[CLASS_AGNOSTIC_LABEL] * len(video.labels))
        for name, video in videos.items()
    }


def all_labelled(videos: Mapping[str, LabelledSegments]) -> dict[str, LabelledSegments]:
    """Segments without a class get the class ``'action'``."""
    return {
        name: replace(video, labels=[label or CLASS_AGNOSTIC_LABEL for label in video.labels])
        for name, video in videos.items()
    }
