"""Segments of one video with classes, annotated or found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmsola.structures.video_record import VideoRecord


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
