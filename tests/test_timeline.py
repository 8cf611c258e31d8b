"""Snippet index to seconds: the one formula, and what is said when it lacks a number."""

from __future__ import annotations

import numpy as np
import pytest

from mmsola.datasets.snippet_times import SnippetTimeline, TimelineError
from mmsola.structures.video_record import VideoRecord

RECORD = VideoRecord('v_abc', duration_sec=60.0, fps=30.0)


def centres(timeline, num_snippets=3, record=None):
    return SnippetTimeline(**timeline).centres_sec(num_snippets, record)


@pytest.mark.parametrize(
    ('timeline', 'expected'),
    [
        # 16 frames at 25 fps from frames 0, 8, 16 on: their centres are frames 8, 16, 24
        (dict(stride_frames=8, window_frames=16, fps=25), [0.32, 0.64, 0.96]),
        # the window is the stride where nothing else is declared: frames 4, 12, 20
        (dict(stride_frames=8, fps=25), [0.16, 0.48, 0.80]),
        # single frames have no width: frames 0, 8, 16
        (dict(stride_frames=8, window_frames=0, fps=25), [0.0, 0.32, 0.64]),
        # frames 100 + 8, 100 + 16, 100 + 24
        (dict(stride_frames=8, window_frames=16, fps=25, offset_frames=100), [4.32, 4.64, 4.96]),
        # overlapping windows of odd size, NTSC
        (
            dict(stride_frames=4, window_frames=15, fps=29.97),
            [7.5 / 29.97, 11.5 / 29.97, 15.5 / 29.97],
        ),
    ],
)
def test_centres_are_those_of_the_frames_that_each_snippet_covers(timeline, expected):
    assert centres(timeline).tolist() == pytest.approx(expected)


def test_frames_per_second_come_from_the_annotation_unless_the_timeline_has_its_own():
    assert centres(dict(stride_frames=30), record=RECORD).tolist() == pytest.approx([0.5, 1.5, 2.5])
    own = centres(dict(stride_frames=30, fps=15), record=RECORD)
    assert own.tolist() == pytest.approx([1, 3, 5])


@pytest.mark.parametrize('num_snippets', [1, 4, 100])
def test_resized_features_share_the_duration_evenly(num_snippets):
    found = centres({}, num_snippets, RECORD)
    edges = np.linspace(0, 60, num_snippets + 1)
    assert found == pytest.approx((edges[:-1] + edges[1:]) / 2)
    assert SnippetTimeline().span_sec(num_snippets, RECORD) == pytest.approx((0, 60))


def test_resized_features_follow_the_formula_with_a_stride_of_their_share():
    by_formula = SnippetTimeline(stride_frames=60 * 30 / 8).centres_sec(8, RECORD)
    assert centres({}, 8, RECORD) == pytest.approx(by_formula)


def test_span_gives_each_snippet_one_stride_around_its_centre():
    timeline = SnippetTimeline(stride_frames=8, window_frames=16, fps=25)
    start, end = timeline.span_sec(3)
    assert (start, end) == pytest.approx((0.32 - 0.16, 0.96 + 0.16))
    assert timeline.span_sec(1) == pytest.approx((0.16, 0.48))
    assert SnippetTimeline(stride_frames=8, fps=25).span_sec(100) == pytest.approx((0, 32))


@pytest.mark.parametrize(
    ('timeline', 'message'),
    [
        (dict(window_frames=16), 'window_frames and offset_frames need stride_frames'),
        (dict(offset_frames=4), 'window_frames and offset_frames need stride_frames'),
        (dict(stride_frames=0), 'stride_frames must be positive, got 0'),
        (dict(stride_frames=-8), 'stride_frames must be positive, got -8'),
        (dict(stride_frames=8, fps=0), 'fps must be positive, got 0'),
        (dict(stride_frames=8, window_frames=-1), 'window_frames must not be negative, got -1'),
    ],
)
def test_numbers_without_meaning_are_refused_when_the_timeline_is_built(timeline, message):
    with pytest.raises(TimelineError, match=message):
        SnippetTimeline(**timeline)


@pytest.mark.parametrize('record', [VideoRecord('v_abc', duration_sec=60.0), None])
@pytest.mark.parametrize('ask', ['centres_sec', 'span_sec'])
def test_unknown_frames_per_second_are_told_with_the_mend(record, ask):
    name = 'v_abc' if record else 'video'
    with pytest.raises(
        TimelineError, match=rf'{name}: stride_frames=8 needs frames per second.*dict\(fps='
    ):
        getattr(SnippetTimeline(stride_frames=8), ask)(3, record)


@pytest.mark.parametrize('record', [VideoRecord('v_abc', fps=30.0), None])
@pytest.mark.parametrize('ask', ['centres_sec', 'span_sec'])
def test_unknown_duration_of_resized_features_is_told_with_the_mend(record, ask):
    name = 'v_abc' if record else 'video'
    with pytest.raises(
        TimelineError, match=rf'{name}: .*annotation has no duration.*stride_frames='
    ):
        getattr(SnippetTimeline(), ask)(3, record)


def test_resized_features_cover_what_the_encoder_saw():
    record = VideoRecord('v', duration_sec=60.0, num_frames=1800, feature_frames=1500)
    assert SnippetTimeline().span_sec(10, record) == pytest.approx((0, 50))
