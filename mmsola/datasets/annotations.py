"""Annotation files of the field, read into one record type.

Two layouts are recognised by their content, and several of the segments within
(:mod:`mmsola.datasets.segment_layouts`):

* MMAction2's flat json: ``{name: {duration_second, duration_frame, feature_frame, fps, rfps,
  annotations: [{segment: [start, end], label}]}}``
* the ``database`` json of ActivityNet, HACS, THUMOS14 and OpenTAD:
  ``{database: {name: {duration, subset, annotations, frame, fps}}}``
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmsola.datasets.annotated_videos import (
    DURATION_FIELDS,
    FRAME_FIELDS,
    check_that_segments_are_read,
    has_segments,
    of_subset,
    require_field,
    video_entries,
)
from mmsola.datasets.annotation_entry import AnnotationEntry
from mmsola.datasets.annotation_error import AnnotationError, annotation_error
from mmsola.datasets.known_sets import see_page
from mmsola.files.file_kind import refuse_other_kinds
from mmsola.files.json_file import read_json
from mmsola.messages.argument_checks import check_choice
from mmsola.messages.first_few import first_few
from mmsola.structures.video_record import VideoRecord

__all__ = ['AnnotationError', 'AnnotationSet', 'load_annotations']


@dataclass(frozen=True)
class AnnotationSet:
    """Records in the order of the file, and a readable line for each segment that was changed.

    ``faults`` counts the dropped segments by their fault.
    """

    records: tuple[VideoRecord, ...]
    clipped: tuple[str, ...]
    dropped: tuple[str, ...]
    faults: Mapping[str, int] = dataclasses.field(default_factory=dict)


def load_annotations(
    path: str | os.PathLike[str],
    subset: str | Sequence[str] | None = None,
    group_field: str | None = None,
    on_bad_segment: str = 'stop',
    may_be_empty: bool = False,
) -> AnnotationSet:
    """Read an annotation file of MMAction2's flat or of the ``database`` style.

    A segment that runs past the end of its video is clipped to it. One whose times make no sense
    (not finite, negative, empty, reversed, wholly past the end) is bad. A segment without label
    gets the label ``'action'``, one with several labels is a segment of each. Numbers may be
    written as text. Where not one video of a subset has a segment, as in test subsets, its videos
    count as not annotated (``segments=None``); where the whole file has none, a warning is logged.

    Args:
        path: The json file.
        subset: Keep only videos of this subset, or of these; upper and lower case are the same.
        group_field: Field of a video's entry that becomes ``VideoRecord.group``.
        on_bad_segment: ``'stop'`` raises on bad segments, ``'drop'`` leaves them out. ``'keep'``
            changes nothing, which is what an official evaluation counts; times that are not finite
            or reversed stop it too.
        may_be_empty: Do not warn of a file without any segment: to predict, none is needed.

    Raises:
        AnnotationError: The file cannot be read or used as annotations, or no video has a segment,
            but fields that are not understood look as if they held some.
    """
    check_choice('load_annotations', 'on_bad_segment', on_bad_segment, ('stop', 'drop', 'keep'))
    file = os.fspath(path)
    if not os.path.exists(file):
        raise annotation_error(
            f'{file}: does not exist', 'a json annotation file', f'correct the path{see_page(file)}'
        )
    refuse_other_kinds(file, AnnotationError)
    entries = video_entries(file, read_json(file, AnnotationError, 'a json annotation file'))
    check_that_segments_are_read(file, entries, may_be_empty)
    if subset is not None:
        entries = of_subset(file, entries, [subset] if isinstance(subset, str) else list(subset))
    if group_field is not None:
        require_field(file, entries, group_field)

    annotated_subsets = {entry.get('subset') for entry in entries.values() if has_segments(entry)}
    clipped: list[str] = []
    dropped: list[str] = []
    faults: Counter[str] = Counter()
    records = []
    for name, entry in entries.items():
        reader = AnnotationEntry(file, name, entry)
        duration_sec = reader.positive(*DURATION_FIELDS)
        num_frames = reader.positive(*FRAME_FIELDS)
        feature_frames = reader.positive('feature_frame')
        fps = reader.positive('rfps')
        if fps is None and num_frames is not None and duration_sec is not None:
            fps = num_frames / duration_sec
        is_annotated = entry.get('subset') in annotated_subsets
        records.append(
            VideoRecord(
                name=name,
                duration_sec=duration_sec,
                fps=reader.positive('fps') if fps is None else fps,
                num_frames=None if num_frames is None else int(num_frames),
                feature_frames=None if feature_frames is None else int(feature_frames),
                subset=entry.get('subset'),
                group=None if group_field is None else reader.group(group_field),
                segments=(
                    reader.segments(
                        None if on_bad_segment == 'keep' else duration_sec,
                        clipped,
                        dropped,
                        faults,
                        with_empty=on_bad_segment == 'keep',
                    )
                    if is_annotated
                    else None
                ),
            )
        )
    if dropped and on_bad_segment != 'drop':
        raise annotation_error(
            f'{file}: {first_few(dropped, separator="; ")}',
            'finite times in seconds, 0 <= start < end, start before the end of the video',
            "correct these segments, or leave them out with on_bad_segment='drop'",
        )
    return AnnotationSet(tuple(records), tuple(clipped), tuple(dropped), faults)
