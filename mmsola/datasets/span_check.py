"""Whether snippets and annotations tell of the same seconds: stride and fps are easily mistaken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from mmsola.datasets.snippet_times import SnippetTimeline, TimelineError
from mmsola.datasets.videos.video_facts import EXTRACTION_MANIFEST, read_facts
from mmsola.files.json_file import is_positive, read_json_object
from mmsola.structures.video_record import VideoRecord

# Encoders drop frames at the end, and durations are rounded or tell of the sound as well.
_SLACK_STRIDES, _SLACK_SHARE = 3, 0.01
_ALIKE = 0.03  # factors so near to each other have one cause; a stride so near a whole one is it
_NAMED = 3


class ExtractionTimes:
    """How an extraction of ours placed snippets in time, which its folder says.

    Args:
        folder: A folder of features.

    Raises:
        TimelineError: What it says is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.manifest = Path(folder) / EXTRACTION_MANIFEST
        self.is_there = self.manifest.is_file()
        if not self.is_there:
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

    def timeline(self, given: SnippetTimeline) -> SnippetTimeline:
        """The data set's timeline, with what it leaves open taken from the extraction.

        Raises:
            TimelineError: They contradict each other.
        """
        if not self.is_there:
            return given
        known = (self.stride_frames, self.window_frames)
        found = (given.stride_frames, given.window_frames)
        if found[0] is None or found == (self.stride_frames, None):
            return replace(
                given, stride_frames=self.stride_frames, window_frames=self.window_frames
            )
        if found != known:
            raise TimelineError(
                f'{self.manifest}: the features were extracted with stride_frames={known[0]} and a '
                f'window of {known[1]} frames\n  found: timeline=dict(stride_frames={found[0]}, '
                f'window_frames={found[1]})\n  fix: leave stride_frames and window_frames out of '
                'timeline'
            )
        return given

    def record(self, record: VideoRecord, feature_path: str, given: SnippetTimeline) -> VideoRecord:
        """The record, with the fps of the frames that the snippets were made of.

        Raises:
            TimelineError: The timeline has another fps, or the facts of the video are damaged.
        """
        file = Path(feature_path).with_suffix('.json')
        if not self.is_there or not file.is_file():
            return record
        facts = read_facts(file, TimelineError)
        if given.fps is not None and abs(given.fps - facts.fps) > _SLACK_SHARE * facts.fps:
            raise TimelineError(
                f'{file}: the features were extracted at {facts.fps:g} frames a second\n  found: '
                f'timeline=dict(fps={given.fps:g})\n  fix: leave fps out of timeline'
            )
        return replace(record, fps=facts.fps)


def check_timelines(
    where: str,
    videos: Sequence[tuple[VideoRecord, int]],
    timeline: SnippetTimeline,
    on_bad_timeline: str = 'stop',
) -> None:
    """Compare the time that snippets span with the durations that annotations tell.

    Snippets that span more than their video are wrong. Those of a few videos that end early may be
    right, and are counted; those of most videos are wrong.

    Args:
        where: The data set, for the messages.
        videos: Records, and the number of snippets of each.
        timeline: Where snippets lie.
        on_bad_timeline: ``'stop'`` or ``'warn'``.

    Raises:
        TimelineError: They do not fit, with what would.
    """
    if timeline.stride_frames is None:  # then they share the duration
        return
    longer, early = [], []
    num_timed = 0
    for record, num_snippets in videos:
        try:
            start_sec, end_sec = timeline.span_sec(num_snippets, record)
        except TimelineError:  # no fps: nobody has asked for times
            continue
        if record.duration_sec is None:
            continue
        num_timed += 1
        stride_sec = (end_sec - start_sec) / num_snippets
        window_sec = (timeline.window_frames or 0) / timeline.stride_frames * stride_sec
        slack_sec = _SLACK_STRIDES * stride_sec + window_sec + _SLACK_SHARE * record.duration_sec
        entry = (record, end_sec, end_sec / record.duration_sec)
        if end_sec > record.duration_sec + slack_sec:
            longer.append(entry)
        elif end_sec < record.duration_sec - slack_sec:
            early.append(entry)
    wrong = longer
    if len(early) > num_timed / 2:
        wrong, early = longer + early, []
    if wrong:
        message = _message(where, wrong, num_timed, timeline)
        if on_bad_timeline == 'stop':
            raise TimelineError(message)
        print_log(message, 'current', 30)
    if early:
        names = ', '.join(
            f'{record.name} ({end_sec:.1f} of {record.duration_sec:.1f} s)'
            for record, end_sec, _ in early[:_NAMED]
        )
        print_log(
            f'{where}: the features of {len(early)} of {num_timed} videos end before their video: '
            f'{names}{", ..." if len(early) > _NAMED else ""}',
            'current',
            30,
        )


def _message(
    where: str,
    wrong: Sequence[tuple[VideoRecord, float, float]],
    num_timed: int,
    timeline: SnippetTimeline,
) -> str:
    factors = np.array([factor for *_, factor in wrong])
    factor = float(np.median(factors))
    examples = ', '.join(
        f'{record.name} ({end_sec:.1f} s of snippets in {record.duration_sec:.1f} s, fps='
        f'{timeline.fps or record.fps:g})'
        for record, end_sec, _ in wrong[:_NAMED]
    )
    fix = 'look at these videos'
    assert timeline.stride_frames is not None
    if (np.abs(factors / factor - 1) < 5 * _ALIKE).mean() > 0.5:
        fix = f'timeline=dict(stride_frames={_whole(timeline.stride_frames / factor)}) would fit'
        rates = {timeline.fps or record.fps for record, *_ in wrong}
        if len(rates) == 1:
            fix += f', or timeline=dict(fps={_whole((rates.pop() or 1) * factor)})'
        fix += ': say how the features were made'
    return (
        f'{where}: the snippets of {len(wrong)} of {num_timed} videos do not fit the duration: '
        f'they span {factor:.2f} times as long; stride_frames={timeline.stride_frames:g}: '
        f'{examples}{", ..." if len(wrong) > _NAMED else ""}\n'
        '  expected: snippets that end with their video, give or take a few strides\n'
        f"  fix: {fix}; or go on with on_bad_timeline='warn'"
    )


def _whole(value: float) -> str:
    near = round(value)
    return str(near) if near and abs(value / near - 1) < _ALIKE else f'{value:.3g}'
