"""Features of the inputs, one video after another: read from files, or made of videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mmsola.apis.inference_inputs import InferenceError, InputFiles, InputVideo
from mmsola.apis.input_records import InputAnnotations, stored_facts, timed_record
from mmsola.apis.localizer_encoder import LocalizerEncoder
from mmsola.apis.localizer_inputs import LocalizerInputs
from mmsola.apis.segment_classes import SnippetScores
from mmsola.apis.video_encoding import warn_about_lost_frames
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.datasets.span_check import check_timelines
from mmsola.datasets.videos.video_facts import VideoFacts
from mmsola.structures.labelled_segments import annotated_segments
from mmsola.structures.video_record import VideoRecord


@dataclass(frozen=True)
class VideoFeatures:
    """Features ``(T, C)`` of one video, with what is known of its time."""

    record: VideoRecord
    timeline: SnippetTimeline
    features: np.ndarray
    class_scores: SnippetScores | None = None


class InputFeatures:
    """Features of all inputs, of which no more than the current video's are in memory.

    What is wrong with files of features shows at once, before any video is encoded.

    Args:
        files: The inputs.
        data: The config's settings of features and their times.
        encoder: The encoder of videos; None if there are none.
        ann_file: Annotations, for durations of feature files.
        fps: Frames a second of the videos that feature files were extracted from, where neither
            the extraction nor ``ann_file`` has it.
        show_progress: Show a bar while videos are encoded.

    Attributes:
        failed: Names and reasons of the videos so far that cannot be decoded.

    Raises:
        InferenceError: The time of a file's snippets is not known, or the encoder does not fit.
        TimelineError: The snippets of files do not fit the durations of their videos.
    """

    def __init__(
        self,
        files: InputFiles,
        data: LocalizerInputs,
        encoder: LocalizerEncoder | None = None,
        ann_file: str | None = None,
        fps: float | None = None,
        show_progress: bool = True,
    ) -> None:
        self._files = files
        self._encoder = encoder
        self._annotations = InputAnnotations.read(ann_file, files.paths)
        self._fps = fps
        self._show_progress = show_progress
        self.failed: dict[str, str] = {}
        self._learned = self._timeline = data.timeline
        if encoder is not None:
            self._timeline = encoder.timeline(data.timeline)
        self._stored = {name: self._stored_video(name) for name in files.stored}
        for timeline in dict.fromkeys(timeline for _, timeline in self._stored.values()):
            timed = [
                (record, files.num_snippets(name))
                for name, (record, of_file) in self._stored.items()
                if of_file == timeline
            ]
            check_timelines('the inputs', timed, timeline, data.on_bad_timeline)

    def __len__(self) -> int:
        return len(self._files.paths)

    def __iter__(self) -> Iterator[VideoFeatures]:
        for name, (record, timeline) in self._stored.items():
            yield VideoFeatures(record, timeline, self._files.read(name))
        yield from self._encoded()
        if len(self.failed) == len(self):
            raise InferenceError(
                'none of the inputs can be used:\n'
                + '\n'.join(f'- {why}' for why in self.failed.values())
            )

    def input_video(self, record: VideoRecord) -> InputVideo:
        """What pictures and results need of an input."""
        return InputVideo(
            record.name,
            self._files.paths[record.name],
            record.duration_sec or 0.0,
            annotated_segments(self._annotations.records.get(record.name)),
            self._annotations.classes,
        )

    def in_order(self, videos: dict[str, InputVideo]) -> list[InputVideo]:
        """Those that could be used in the order of the inputs."""
        return [videos[name] for name in self._files.paths if name in videos]

    def _stored_video(self, name: str) -> tuple[VideoRecord, SnippetTimeline]:
        timeline = self._files.timeline(name, self._timeline)
        num_snippets = self._files.num_snippets(name)
        facts = stored_facts(self._files.paths[name], num_snippets)
        return self._record(name, num_snippets, timeline, facts), timeline

    def _encoded(self) -> Iterator[VideoFeatures]:
        if self._encoder is None:
            return
        lost: dict[str, int] = {}
        for video, scores in self._encoder.encode(
            self._files.videos, self._learned, self._show_progress
        ):
            if video.features is None or video.facts is None:
                self.failed[video.name] = str(video.failure)
                continue
            if video.facts.lost_frames:
                lost[video.name] = video.facts.lost_frames
            record = self._record(video.name, len(video.features), self._timeline, video.facts)
            yield VideoFeatures(record, self._timeline, video.features, scores)
        warn_about_lost_frames(lost)

    def _record(
        self, name: str, num_snippets: int, timeline: SnippetTimeline, facts: VideoFacts | None
    ) -> VideoRecord:
        annotated = self._annotations.records.get(name)
        path = self._files.paths[name]
        return timed_record(path, num_snippets, timeline, facts, annotated, self._fps)
