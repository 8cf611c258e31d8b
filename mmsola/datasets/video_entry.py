"""A video's entry in a data set: what pipelines and localizers read of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext, suppress

from mmsola.datasets.class_names import number_annotations
from mmsola.datasets.snippet_times import SnippetTimeline, TimelineError
from mmsola.structures.video_record import VideoRecord


def video_entry(
    record: VideoRecord,
    num_snippets: int,
    timeline: SnippetTimeline,
    role: str | None = None,
    classes: Sequence[str] = (),
) -> dict:
    """A video's entry in a data set, what pipelines and localizers read of it.

    Keys: ``video_name``, ``num_snippets``, ``record``, ``role``, ``group``, ``window_strides`` (of
    one snippet); ``annotations`` if it was annotated, each with its ``class_index`` if there are
    ``classes``; ``snippet_centres_sec`` ``(T,)``, ``snippet_span_sec`` and ``covered_sec`` if its
    timeline is known; ``duration_second``, ``duration_frame`` and ``feature_frame`` if its duration
    is.

    Raises:
        TimelineError: With a ``role``, where the snippets lie in time is not known.
    """
    info: dict = {
        'video_name': record.name,
        'num_snippets': num_snippets,
        'record': record,
        'role': role,
        'group': record.group,
        'window_strides': timeline.window_strides,
    }
    if record.segments is not None:
        info['annotations'] = [
            {'segment': [segment.start_sec, segment.end_sec], 'label': segment.label}
            for segment in record.segments
        ]
        if classes:
            number_annotations(info['annotations'], classes)
    # only a probe needs times: where there is none, a data set without fps is no error
    with nullcontext() if role else suppress(TimelineError):
        info['snippet_centres_sec'] = timeline.centres_sec(num_snippets, record)
        span_sec = info['snippet_span_sec'] = timeline.span_sec(num_snippets, record)
        # resized features share what they cover; native ones lie somewhere in their video
        is_resized = timeline.stride_frames is None
        info['covered_sec'] = span_sec if is_resized else (0.0, record.duration_sec or span_sec[1])
    if record.duration_sec is not None:
        # MMAction2 relates these two; where frames are not known, their ratio of 1 still is
        frames = record.num_frames or math.ceil(record.duration_sec * (record.fps or 1))
        info['duration_second'] = record.duration_sec
        info['duration_frame'] = frames
        info['feature_frame'] = record.feature_frames or frames
    return info
