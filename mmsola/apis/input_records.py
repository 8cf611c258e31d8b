"""What is known of the inputs besides their features: durations, frame rates, annotations."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmengine.logging import print_log

from mmsola.apis.inference_inputs import InferenceError
from mmsola.datasets.annotations import load_annotations
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.datasets.videos.video_facts import VideoFacts, read_facts
from mmsola.files.name_match import match_names, rules_used
from mmsola.structures.video_record import VideoRecord


@dataclass(frozen=True)
class InputAnnotations:
    """What an annotation file says about the inputs, nothing if there is none.

    Attributes:
        records: Those of the file, by the names of the inputs.
        classes: All labels of the file.
    """

    records: dict[str, VideoRecord] = field(default_factory=dict)
    classes: frozenset[str] = frozenset()

    @classmethod
    def read(cls, ann_file: str | None, names: Collection[str]) -> InputAnnotations:
        """Match an annotation file with the names of the inputs.

        Raises:
            AnnotationError: The file cannot be used.
        """
        if ann_file is None:
            return cls()
        annotations = load_annotations(ann_file, on_bad_segment='keep')
        records = {record.name: record for record in annotations.records}
        classes = frozenset(s.label for r in records.values() for s in r.segments or ())
        matched = match_names(names, records)
        if matched:
            print_log(f'{ann_file}: {rules_used(matched)}', 'current')
        records.update({name: records[key] for name, key in matched.items()})
        return cls({name: records[name] for name in names if name in records}, classes)


def stored_facts(path: Path, num_snippets: int) -> VideoFacts | None:
    """What an extraction wrote beside a file of features, None where there is nothing.

    Raises:
        InferenceError: It is damaged, or of another number of snippets.
    """
    file = path.with_suffix('.json')
    if not file.is_file():
        return None
    facts = read_facts(file, InferenceError)
    if facts.num_snippets != num_snippets:
        raise InferenceError(
            f'{path}: has {num_snippets} snippets, {file.name} beside it says '
            f'{facts.num_snippets}\n  expected: features and facts of one extraction\n'
            '  fix: extract this video again'
        )
    return facts


def timed_record(
    path: Path,
    num_snippets: int,
    timeline: SnippetTimeline,
    facts: VideoFacts | None = None,
    annotated: VideoRecord | None = None,
    fps: float | None = None,
) -> VideoRecord:
    """A video as one that nobody annotated, with its duration and frame rate.

    Args:
        path: The input.
        num_snippets: T.
        timeline: Where its snippets lie in time.
        facts: What its extraction knows of it; that counts most.
        annotated: What an annotation file says about it; that counts where ``facts`` and ``fps``
            are None.
        fps: Frames a second of the video that its snippets were made of.

    Raises:
        InferenceError: Duration or frame rate are needed and not known.
    """
    known = annotated or VideoRecord(path.stem)
    fps = (facts.fps if facts else None) or fps or known.fps or timeline.fps
    duration_sec = facts.duration_sec if facts else known.duration_sec
    if fps is None and (timeline.stride_frames is not None or duration_sec is None):
        raise InferenceError(
            f'{path}: at how many frames a second its snippets were taken is not known; expected '
            f'{path.stem}.json of mmsola extract beside it. Give fps, or an annotation '
            'file with it.'
        )
    if duration_sec is None:
        duration_sec = timeline.span_sec(num_snippets, VideoRecord(path.stem, fps=fps))[1]
    num_frames = known.num_frames
    if num_frames is None and fps is not None:
        num_frames = max(1, round(duration_sec * fps))
    return replace(
        known,
        name=path.stem,
        duration_sec=duration_sec,
        fps=fps,
        num_frames=num_frames,
        segments=(),
    )
