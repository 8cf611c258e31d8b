"""Whether snippets span the seconds that annotations have: stride and fps are easily mistaken."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from mmengine.logging import print_log

from mmsola.datasets.snippet_times import SnippetTimeline, TimelineError
from mmsola.messages.first_few import first_few
from mmsola.structures.video_record import VideoRecord

# Encoders drop frames at the end, and durations are rounded or include the sound.
_SLACK_STRIDES, _SLACK_SHARE = 3, 0.01
_ALIKE = 0.03  # factors so near to each other have one cause; a stride so near a whole one is it
_SHOWN = 3  # videos in a message


def check_timelines(
    where: str,
    videos: Sequence[tuple[VideoRecord, int]],
    timeline: SnippetTimeline,
    on_bad_timeline: str = 'stop',
) -> None:
    """Compare the time that snippets span with the durations in the annotations.

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
        print_log(message, 'current', logging.WARNING)
    if early:
        names = [
            f'{record.name} ({end_sec:.1f} of {record.duration_sec:.1f} s)'
            for record, end_sec, _ in early
        ]
        print_log(
            f'{where}: the features of {len(early)} of {num_timed} videos end before their video: '
            f'{first_few(names, _SHOWN)}',
            'current',
            logging.WARNING,
        )


def _message(
    where: str,
    wrong: Sequence[tuple[VideoRecord, float, float]],
    num_timed: int,
    timeline: SnippetTimeline,
) -> str:
    factors = np.array([factor for *_, factor in wrong])
    factor = float(np.median(factors))
    examples = [
        f'{record.name} ({end_sec:.1f} s of snippets in {record.duration_sec:.1f} s, fps='
        f'{timeline.fps or record.fps:g})'
        for record, end_sec, _ in wrong
    ]
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
        f'{first_few(examples, _SHOWN)}\n'
        '  expected: snippets that end with their video, give or take a few strides\n'
        f"  fix: {fix}; or go on with on_bad_timeline='warn'"
    )


def _whole(value: float) -> str:
    near = round(value)
    return str(near) if near and abs(value / near - 1) < _ALIKE else f'{value:.3g}'
