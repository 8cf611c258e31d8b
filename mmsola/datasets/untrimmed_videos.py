"""What data sets of untrimmed videos tell of each, whatever they read of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import nullcontext, suppress

from mmengine.dist import get_dist_info
from mmengine.logging import print_log

from mmsola.datasets.annotations import load_annotations
from mmsola.datasets.class_names import number_annotations
from mmsola.datasets.snippet_times import SnippetTimeline, TimelineError
from mmsola.structures.video_record import VideoRecord

NAMED = 5  # videos that a message names before it only counts


def read_records(
    ann_file: str,
    subset: str | Sequence[str] | None = None,
    group_field: str | None = None,
    on_bad_segment: str = 'stop',
    metainfo: dict | None = None,
    test_mode: bool = False,
) -> list[VideoRecord]:
    """Records of an annotation file; what was changed in it is said once.

    Args:
        ann_file: And the next three are those of ``load_annotations``.
        metainfo: Of the data set, for :func:`leave_out`.
        test_mode: The videos are to be predicted, which needs no segments.

    Raises:
        AnnotationError: As ``load_annotations``.
    """
    annotations = load_annotations(
        ann_file, subset, group_field, on_bad_segment, may_be_empty=test_mode
    )
    faults = ', '.join(f'{count} {fault}' for fault, count in annotations.faults.items())
    for lines, what, changed in (
        (
            annotations.clipped,
            'segments end after their video and are clipped',
            'ends of segments after their video',
        ),
        (annotations.dropped, f'segments are dropped ({faults})', 'bad segments'),
    ):
        if lines:
            if metainfo is not None:
                leave_out(metainfo, len(lines), changed)
            say(f'{ann_file}: {len(lines)} {what}: {named(lines)}')
    return list(annotations.records)


def video_info(
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


def leave_out(metainfo: dict, count: int, what: str) -> None:
    """Keep how much of the annotations a data set leaves out, for evaluators to say.

    MMEngine hands a data set's ``metainfo`` to them.
    """
    if count:
        metainfo.setdefault('left_out', {})[what] = count


def say(message: str, level: int = logging.INFO) -> None:
    """Log a line, once in a distributed job."""
    if get_dist_info()[0] == 0:
        print_log(message, 'current', level)


def named(items: Sequence[str]) -> str:
    """The first few of many."""
    more = f', ... ({len(items)} in all)' if len(items) > NAMED else ''
    return ', '.join(items[:NAMED]) + more
