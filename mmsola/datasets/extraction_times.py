"""The time of snippets that ``mmsola extract`` wrote, which its folder declares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mmsola.datasets.snippet_times import SnippetTimeline, TimelineError
from mmsola.datasets.videos.video_facts import EXTRACTION_MANIFEST, read_facts
from mmsola.files.json_file import is_positive, read_json_object
from mmsola.structures.video_record import VideoRecord

_FPS_TOLERANCE = 0.01  # share; rates are rounded


class ExtractionTimes:
    """The stride, window and frame rates that features were extracted with, if they are known.

    Args:
        folder: A folder of features.

    Raises:
        TimelineError: What the folder declares is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.manifest = Path(folder) / EXTRACTION_MANIFEST
        self.is_declared = self.manifest.is_file()
        if not self.is_declared:
            return
        content = read_json_object(self.manifest, TimelineError, 'the facts of an extraction')
        for key in ('stride_frames', 'snippet_frames', 'frame_interval'):
            if not is_positive(content.get(key)):
                raise TimelineError(
                    f'{self.manifest}: {key} is {content.get(key)!r}\n  expected: a whole number '
                    'above 0\n  fix: extract the features again'
                )
        self.stride_frames = content['stride_frames']
        self.window_frames = content['snippet_frames'] * content['frame_interval']

    def timeline(self, configured: SnippetTimeline) -> SnippetTimeline:
        """The data set's timeline, with what it leaves open from the extraction.

        Raises:
            TimelineError: They contradict each other.
        """
        if not self.is_declared:
            return configured
        known = (self.stride_frames, self.window_frames)
        found = (configured.stride_frames, configured.window_frames)
        if found[0] is None or found == (self.stride_frames, None):
            return replace(
                configured, stride_frames=self.stride_frames, window_frames=self.window_frames
            )
        if found != known:
            raise TimelineError(
                f'{self.manifest}: the features were extracted with stride_frames={known[0]} and a '
                f'window of {known[1]} frames\n  found: timeline=dict(stride_frames={found[0]}, '
                f'window_frames={found[1]})\n  fix: leave stride_frames and window_frames out of '
                'timeline'
            )
        return configured

    def record(
        self, record: VideoRecord, feature_path: str, configured: SnippetTimeline
    ) -> VideoRecord:
        """The record, with the fps of the frames that the snippets were made of.

        Raises:
            TimelineError: The timeline has another fps, or the facts of the video are damaged.
        """
        file = Path(feature_path).with_suffix('.json')
        if not self.is_declared or not file.is_file():
            return record
        facts = read_facts(file, TimelineError)
        if (
            configured.fps is not None
            and abs(configured.fps - facts.fps) > _FPS_TOLERANCE * facts.fps
        ):
            raise TimelineError(
                f'{file}: the features were extracted at {facts.fps:g} frames a second\n  found: '
                f'timeline=dict(fps={configured.fps:g})\n  fix: leave fps out of timeline'
            )
        return replace(record, fps=facts.fps)
