"""Snippets and annotations that tell of other seconds are found before the first step."""

from __future__ import annotations

import json

import numpy as np
import pytest
from generated_data import feature_dataset

from mmsola.datasets.snippet_times import TimelineError

WINDOW = 16


@pytest.fixture
def write(tmp_path):
    def to_files(fps=30.0, extraction=None, facts_fps=None, **videos):
        """Videos of ``(snippets, duration)``, with what an extraction would say of them."""
        folder = tmp_path / 'features'
        folder.mkdir()
        content = {}
        for name, (num_snippets, duration_sec) in videos.items():
            np.save(folder / f'{name}.npy', np.zeros((num_snippets, 4), np.float32))
            content[name] = {
                'duration': duration_sec,
                'fps': fps,
                'annotations': [{'segment': [0.1, 0.3], 'label': 'a'}],
            }
            if facts_fps:
                facts = dict(
                    num_snippets=num_snippets,
                    num_frames=round(duration_sec * facts_fps),
                    fps=facts_fps,
                    duration_sec=duration_sec,
                    is_variable=False,
                )
                (folder / f'{name}.json').write_text(json.dumps(facts))
        if extraction:
            (folder / '_extraction.json').write_text(json.dumps(extraction))
        (tmp_path / 'annotations.json').write_text(json.dumps(content))
        return tmp_path

    return to_files


def test_a_stride_twice_as_great_is_refused_and_the_right_one_named(write):
    root = write(a=(1269, 169.79))
    with pytest.raises(TimelineError) as raised:
        feature_dataset(root, timeline=dict(stride_frames=8, window_frames=WINDOW))
    message = str(raised.value)
    for part in ('1 of 1 videos', '1.99 times', 'stride_frames=4)', 'fps=60)', 'a (338.'):
        assert part in message, message
    assert len(feature_dataset(root, timeline=dict(stride_frames=4, window_frames=WINDOW))) == 1


def test_a_config_may_say_to_go_on(write, log_lines):
    root = write(a=(1269, 169.79))
    timeline = dict(stride_frames=8, window_frames=WINDOW)
    assert len(feature_dataset(root, timeline=timeline, on_bad_timeline='warn')) == 1
    assert any('1 of 1 videos do not fit the duration' in line for line in log_lines)
    with pytest.raises(ValueError, match="on_bad_timeline is .*; expected 'stop' or 'warn'"):
        feature_dataset(root, on_bad_timeline='ignore')


def test_another_fps_is_refused(write):
    """Extracted at 15 frames a second, annotated with 30: the snippets span half of each video."""
    root = write(a=(186, 100.0), b=(93, 50.0))
    with pytest.raises(TimelineError, match=r'2 of 2 videos.*0\.50 times.*(?s:.*)fps=15'):
        feature_dataset(root, timeline=dict(stride_frames=8, window_frames=WINDOW))


def test_features_of_a_few_videos_that_end_early_are_counted(write, log_lines):
    root = write(a=(374, 100.0), b=(374, 100.0), c=(100, 100.0))
    assert len(feature_dataset(root, timeline=dict(stride_frames=8, window_frames=WINDOW))) == 3
    (line,) = [line for line in log_lines if 'end before their video' in line]
    assert '1 of 3 videos' in line and 'c (26.' in line


@pytest.mark.parametrize(('num_snippets', 'duration_sec'), [(373, 100.0), (375, 99.6), (1, 0.4)])
def test_a_few_strides_more_or_less_are_right(write, log_lines, num_snippets, duration_sec):
    root = write(a=(num_snippets, duration_sec))
    feature_dataset(root, timeline=dict(stride_frames=8, window_frames=WINDOW))
    assert not any('videos' in line for line in log_lines)


def test_resized_features_share_their_duration(write):
    assert len(feature_dataset(write(a=(100, 3.0), b=(100, 700.0)))) == 2


# --- what an extraction says ----------------------------------------------------------------------

EXTRACTION = dict(stride_frames=8, snippet_frames=8, frame_interval=2)


def test_an_extraction_tells_its_own_times(write):
    root = write(fps=30.0, extraction=EXTRACTION, facts_fps=15.0, a=(186, 100.0))
    expected = (8 / 2 + 4 + np.arange(186) * 8) / 15
    for timeline in (
        None,
        dict(stride_frames=8),
        dict(stride_frames=8, window_frames=16),
        dict(stride_frames=8, window_frames=16, fps=15),
    ):
        info = feature_dataset(root, timeline=timeline).get_data_info(0)
        np.testing.assert_allclose(info['snippet_centres_sec'], expected)


@pytest.mark.parametrize(
    ('timeline', 'message'),
    [
        (dict(stride_frames=4), 'extracted with stride_frames=8.*leave stride_frames'),
        (dict(stride_frames=8, window_frames=32), 'window of 16 frames.*window_frames=32'),
        (dict(stride_frames=8, fps=30), r'a\.json.*at 15 frames.*fps=30.*leave fps out'),
    ],
)
def test_what_contradicts_an_extraction_is_refused(write, timeline, message):
    root = write(extraction=EXTRACTION, facts_fps=15.0, a=(186, 100.0))
    with pytest.raises(TimelineError, match=f'(?s){message}'):
        feature_dataset(root, timeline=timeline)


def test_a_damaged_manifest_is_named(write):
    root = write(extraction=dict(EXTRACTION, stride_frames='8'), a=(186, 100.0))
    with pytest.raises(TimelineError, match=r"_extraction\.json: stride_frames is '8'"):
        feature_dataset(root)
