"""The generated videos are annotated to the frame, and only the action gives the action away."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import runpy
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmaction.registry import DATASETS

import mmsola.datasets.generated.video_world as video_world
from mmsola.datasets.annotations import load_annotations
from mmsola.datasets.generated.moving_shapes import (
    MARGIN,
    SPEED,
    draw_look,
    draw_scene,
    render_frames,
)
from mmsola.datasets.generated.shape_actions import (
    CLASSES,
    FORMS,
    MOTIONS,
    Action,
    action_amounts,
)
from mmsola.datasets.generated.video_world import (
    VideoWorldError,
    draw_actions,
    make_video_world,
    render_untrimmed,
)

TOOL = Path(__file__).parents[1] / 'tools' / 'make_video_world.py'
TINY = dict(
    num_training=3, num_validation=2, clips_per_class=2, seconds=(3.0, 25.0), size=32, fps=8.0
)


def digests(root):
    """Hash of each file's content, by its path."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def pictures(file):
    capture = cv2.VideoCapture(str(file))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return np.stack(frames)


def a_look(seed, size=32):
    rng = np.random.default_rng(seed)
    return draw_look(draw_scene(size, rng), rng)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('video_world')
    make_video_world(root, **TINY)
    return root


@pytest.fixture(scope='module')
def database(root):
    return json.loads((root / 'annotations.json').read_text())['database']


# --- the files


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(root, tmp_path):
    make_video_world(tmp_path / 'again', **TINY)
    assert digests(tmp_path / 'again') == digests(root)
    make_video_world(tmp_path / 'other', **TINY, seed=1)
    other, one = digests(tmp_path / 'other'), digests(root)
    assert other.keys() == one.keys()
    differ = {path for path in one if other[path] != one[path]}
    assert differ >= {path for path in one if path.endswith('.mp4')} | {'annotations.json'}


def test_a_larger_world_begins_with_the_same_videos(root, database, tmp_path):
    larger = dict(TINY, num_training=4, num_validation=3, clips_per_class=4)
    make_video_world(tmp_path, **larger)
    small, large = digests(root), digests(tmp_path)
    mp4s = [path for path in small if path.endswith('.mp4')]
    assert len(mp4s) == 5 + 8 * (2 + 1)
    assert all(large[path] == small[path] for path in mp4s)
    entries = json.loads((tmp_path / 'annotations.json').read_text())['database']
    assert len(entries) == 7 and all(entries[name] == database[name] for name in database)


def test_no_two_videos_or_clips_of_a_class_are_alike(root):
    mp4s = [digest for path, digest in digests(root).items() if path.endswith('.mp4')]
    assert len(set(mp4s)) == len(mp4s)


def test_a_stopped_call_goes_on_where_it_was(root, tmp_path):
    make_video_world(tmp_path, **TINY)
    kept = tmp_path / 'videos' / 'training_0001.mp4'
    kept_since = kept.stat().st_mtime_ns
    for path in (
        'annotations.json',
        'clips_training.txt',
        'videos/validation_0000.mp4',
        'clips/training_leap_and_sink_0001.mp4',
    ):
        (tmp_path / path).unlink()
    make_video_world(tmp_path, **TINY)
    assert digests(tmp_path) == digests(root)
    assert kept.stat().st_mtime_ns == kept_since


def test_a_killed_call_leaves_no_annotations_and_no_half_video_under_its_name(root, tmp_path):
    arguments = dict(TINY, num_training=400)
    code = (
        'from mmsola.datasets.generated.video_world import make_video_world; '
        f'make_video_world({str(tmp_path)!r}, **{arguments!r})'
    )
    process = subprocess.Popen([sys.executable, '-c', code], stderr=subprocess.DEVNULL)
    first = tmp_path / 'videos' / 'training_0002.mp4'
    deadline = time.monotonic() + 60
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / 'annotations.json').exists()
    whole = {path.name for path in (tmp_path / 'videos').glob('[!.]*.mp4')}
    assert 3 <= len(whole) < 400
    expected = digests(root)
    for index in range(3):
        path = f'videos/training_{index:04d}.mp4'
        assert digests(tmp_path)[path] == expected[path]


def test_annotations_come_last(tmp_path, monkeypatch):
    seen = []
    entry = video_world._entry
    monkeypatch.setattr(
        video_world, '_entry', lambda *of: (seen.append({*digests(tmp_path)}), entry(*of))[1]
    )
    make_video_world(tmp_path, **TINY)
    assert seen[0] == {*digests(tmp_path)} - {'annotations.json'}


@pytest.mark.parametrize(
    'change', [dict(seed=1), dict(num_training=4), dict(seconds=(3.0, 20.0)), dict(size=34)]
)
def test_other_settings_in_the_same_folder_are_refused(root, change):
    before = digests(root)
    (name,) = change
    with pytest.raises(VideoWorldError, match=f'{name} is .* there and .* in this call'):
        make_video_world(root, **{**TINY, **change})
    assert digests(root) == before


def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path / 'videos').mkdir()
    with pytest.raises(VideoWorldError, match='no world.json'):
        make_video_world(tmp_path, **TINY)
    assert [path.name for path in tmp_path.iterdir()] == ['videos']


# --- annotations


def test_annotations_are_exact(root, database):
    assert [*database] == [f'training_{i:04d}' for i in range(3)] + [
        f'validation_{i:04d}' for i in range(2)
    ]
    for name, entry in database.items():
        frames = pictures(root / 'videos' / f'{name}.mp4')
        assert frames.shape == (entry['frame'], 32, 32, 3)
        assert entry['duration'] == entry['frame'] / entry['fps'] and entry['fps'] == 8
        assert 3 <= entry['duration'] <= 25
        borders = np.array([time * 8 for a in entry['annotations'] for time in a['segment']])
        assert np.all(borders == borders.astype(int))
        # background before the first, between any two and after the last
        assert np.all(np.diff([0, *borders, entry['frame']]) > 0)
    assert {len(entry['annotations']) for entry in database.values()} == {1, 2}


def test_load_annotations_takes_them(root):
    loaded = load_annotations(root / 'annotations.json', subset='training', group_field='subject')
    assert not loaded.clipped and not loaded.dropped
    assert [record.group for record in loaded.records] == [f'training_{i}' for i in range(3)]


@pytest.mark.parametrize('sec', [2, 3, 15, 18.1, 40, 90, 3600])
def test_actions_have_background_around_them_and_the_right_number_and_length(sec):
    counts, labels = set(), set()
    for seed in range(60 if sec < 1000 else 3):
        actions = draw_actions(round(sec * 16), 16, np.random.default_rng(seed))
        borders = [f for a in actions for f in (a.start_frame, a.end_frame)]
        assert np.all(np.diff([0, *borders, round(sec * 16)]) > 0)
        lengths = np.diff(borders)[::2] / 16
        assert lengths.max() <= 10 and (sec < 15 or lengths.min() >= 2)
        counts.add(len(actions))
        labels |= {a.label for a in actions}
        assert len({a.label for a in actions}) in (1, 2)
    assert counts <= set(range(1, 6)) or sec > 90
    if sec < 1000:
        assert labels == set(CLASSES)


def test_the_shortest_videos_that_are_allowed_have_room_for_background():
    for num_frames in range(16, 60):
        for seed in range(20):
            for fps in (1, 3, 16):
                actions = draw_actions(num_frames, fps, np.random.default_rng(seed))
                borders = [f for a in actions for f in (a.start_frame, a.end_frame)]
                assert np.all(np.diff([0, *borders, num_frames]) > 0)


def test_no_subject_is_in_both_subsets_and_its_scene_is_the_same_in_all_its_videos(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(video_world, 'NUM_SUBJECTS', 2)
    arguments = dict(TINY, num_training=4, num_validation=2, clips_per_class=1, seconds=(3, 3))
    database = json.loads(make_video_world(tmp_path, **arguments).read_text())['database']
    scenes = {}
    for name, entry in database.items():
        scene = np.median(pictures(tmp_path / 'videos' / f'{name}.mp4'), axis=0)
        scenes.setdefault(entry['subject'], []).append(scene / scene.mean())
    assert {*scenes} == {'training_0', 'training_1', 'validation_0', 'validation_1'}

    def distance(one, other):
        return np.median(np.abs(one - other))

    same = [distance(*scenes[f'training_{i}']) for i in range(2)]
    different = [
        distance(scenes[one][0], scenes[other][0])
        for one in scenes
        for other in scenes
        if one < other
    ]
    assert max(same) < 0.3 * min(different)


# --- clips


def test_mmaction2_reads_the_clips(root):
    assert (root / 'classes.txt').read_text().split() == [*CLASSES]
    for subset, per_class in (('training', 2), ('validation', 1)):
        dataset = DATASETS.build(
            dict(
                type='VideoDataset',
                ann_file=str(root / f'clips_{subset}.txt'),
                data_prefix=dict(video=str(root)),
                pipeline=[
                    dict(type='OpenCVInit'),
                    dict(type='SampleFrames', clip_len=8, frame_interval=1, num_clips=1),
                    dict(type='OpenCVDecode'),
                ],
            )
        )
        labels = [dataset.get_data_info(i)['label'] for i in range(len(dataset))]
        assert sorted(labels) == sorted([*range(len(CLASSES))] * per_class)
        for i in (0, len(dataset) - 1):
            item = dataset[i]
            assert len(item['imgs']) == 8 and item['imgs'][0].shape == (32, 32, 3)
            assert CLASSES[item['label']] in item['filename']
            assert 1.5 * 8 <= item['total_frames'] <= 4 * 8


def test_a_clip_is_wholly_inside_of_its_action():
    for index in range(20):
        clip = video_world._clip('training', index, 'split_in_two', 16, 0)
        assert 1.5 * 16 <= clip.num_frames <= 4 * 16
        amounts = action_amounts(clip.actions, clip.num_frames, 16)
        assert np.all(amounts['split_in_two'] == 1)


def test_clips_of_the_same_number_look_alike_in_every_class(root):
    """Nothing but the action can tell the class: all the rest is drawn without knowing it."""
    for index in range(2):
        clips = {
            label: pictures(root / 'clips' / f'training_{label}_{index:04d}.mp4')
            for label in CLASSES
        }
        assert len({len(frames) for frames in clips.values()}) == 1
        scenes = np.stack([np.median(frames, axis=0) for frames in clips.values()])
        apart = np.abs(scenes - scenes[0])
        assert np.median(apart) <= 3
    for label in CLASSES:
        one, other = (video_world._clip('training', 0, of, 16, 0) for of in (label, CLASSES[0]))
        assert dataclasses.replace(one, actions=other.actions) == other


def test_background_looks_the_same_whatever_action_follows():
    """Up to the first frame of the action, videos of all classes are equal to the last bit."""
    videos = {}
    for label in CLASSES:
        rng = np.random.default_rng(5)
        frames = render_frames(a_look(4), [Action(20, 50, label)], 60, 16, rng)
        videos[label] = np.stack([*frames]).astype(int)
    first = videos[CLASSES[0]]
    for label, frames in videos.items():
        assert np.array_equal(frames[:20], first[:20])
        if label in FORMS:
            # a form leaves nothing behind
            assert np.array_equal(frames[50:], videos['split_in_two'][50:])
    whole = np.stack([*render_frames(a_look(4), [], 60, 16, np.random.default_rng(5))]).astype(int)
    for label, frames in videos.items():
        assert np.abs(frames[30:40] - whole[30:40]).max() > 30, label


# --- the actor's way


def positions(seed, actions, num_frames=400, fps=16):
    return a_look(seed).actor.act(actions, num_frames, fps)


@pytest.mark.parametrize('label', CLASSES)
def test_the_actor_never_jumps_and_never_leaves_the_picture(label):
    actions = [Action(50, 130, label), Action(140, 172, label), Action(200, 360, label)]
    for seed in range(30):
        way = positions(seed, actions)
        steps = np.linalg.norm(np.diff(way, axis=0), axis=1)
        assert steps.max() < 1 / 6
        # with sixteen times the frames, a jump would be as wide as before
        fine_actions = [Action(16 * a.start_frame, 16 * a.end_frame, label) for a in actions]
        fine = positions(seed, fine_actions, 16 * 400, 16 * 16)
        assert np.linalg.norm(np.diff(fine, axis=0), axis=1).max() < 1.5 / 6 / 16
        for one in (way, fine):
            assert one.min() >= MARGIN - 1e-9 and one.max() <= 1 - MARGIN + 1e-9


@pytest.mark.parametrize('label', FORMS)
def test_no_form_reaches_further_than_the_margin_or_changes_the_area(label):
    for seed in range(30):
        outline = a_look(seed).actor.outline
        sizes = []
        for amount in (0.0, 0.3, 1.0):
            contours = FORMS[label](outline, amount)
            assert np.abs(np.concatenate(contours)).max() <= MARGIN + 1e-9
            canvas = np.zeros((2000, 2000), np.uint8)
            points = [np.rint((c + 0.5) * 2000).astype(np.int32) for c in contours]
            sizes.append(int(cv2.fillPoly(canvas, points, 1).sum()))
        assert np.allclose(sizes, sizes[0], rtol=0.03)


@pytest.mark.parametrize('label', MOTIONS)
def test_the_actor_is_as_fast_in_background_as_in_action(label):
    inside, outside = [], []
    for seed in range(60):
        steps = 16 * np.linalg.norm(
            np.diff(positions(seed, [Action(100, 260, label)]), axis=0), axis=1
        )
        inside.append(steps[100:259].mean())
        outside.append(np.concatenate([steps[:99], steps[260:]]).mean())
    assert 0.8 < np.mean(inside) / np.mean(outside) < 1.25
    assert SPEED[0] * 0.8 < np.mean(outside) < SPEED[1] * 1.2


@pytest.mark.parametrize(
    'one, other',
    [('circle_clockwise', 'circle_counterclockwise'), ('rise_and_drop', 'leap_and_sink')],
)
def test_pairs_differ_only_in_the_order_of_time(one, other):
    phase = np.linspace(0, 1, 101)
    assert np.allclose(MOTIONS[one](phase), MOTIONS[other](phase)[::-1])
    assert not np.allclose(MOTIONS[one](phase), MOTIONS[other](phase), atol=0.3)


@pytest.mark.parametrize('label', MOTIONS)
def test_every_motion_closes_and_has_the_same_length(label):
    way = MOTIONS[label](np.linspace(0, 1, 2001))
    assert np.allclose(way[0], way[-1])
    assert np.linalg.norm(np.diff(way, axis=0), axis=1).sum() == pytest.approx(4, rel=1e-3)
    assert np.linalg.norm(way, axis=1).max() <= 1 + 1e-9


def test_clockwise_is_clockwise_as_it_is_seen():
    # y goes down: from the right the way leads to the bottom
    right, bottom = MOTIONS['circle_clockwise'](np.array([0.0, 0.25]))
    assert right[0] > 0.5 and bottom[1] > 0.5


def test_an_action_is_there_in_exactly_its_frames():
    amount = action_amounts([Action(10, 34, 'open_to_ring')], 60, 16)['open_to_ring']
    assert [*np.flatnonzero(amount)] == [*range(10, 34)]
    assert amount.max() == 1 and np.allclose(amount[10:34], amount[10:34][::-1])


# --- one long video


def test_one_untrimmed_video_of_any_length(tmp_path):
    segments = render_untrimmed(tmp_path / 'one.mp4', num_frames=333, size=32, fps=12.5, seed=3)
    assert len(pictures(tmp_path / 'one.mp4')) == 333
    times = [t for s in segments for t in (s.start_sec, s.end_sec)]
    assert np.all(np.diff([0, *times, 333 / 12.5]) > 0)
    assert {s.label for s in segments} <= set(CLASSES)
    again = render_untrimmed(tmp_path / 'two.mp4', num_frames=333, size=32, fps=12.5, seed=3)
    assert again == segments
    assert (tmp_path / 'one.mp4').read_bytes() == (tmp_path / 'two.mp4').read_bytes()


def test_pictures_do_not_stay_in_memory():
    peaks = []
    for num_frames in (200, 1200):
        tracemalloc.start()
        for _ in render_frames(a_look(0), [], num_frames, 16, np.random.default_rng(0)):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # a picture of 32 x 32 has 3072 bytes
    assert (peaks[1] - peaks[0]) / 1000 < 800


# --- what goes wrong


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(size=33), 'size is 33'),
        (dict(size=8), 'size is 8'),
        (dict(fps=0), 'fps is 0'),
        (dict(fps=-4.0), 'fps is -4'),
        (dict(fps=float('nan')), 'fps is nan'),
        (dict(seconds=(9, 4)), r'seconds is \(9, 4\)'),
        (dict(seconds=(4, float('inf'))), r'seconds is \(4, inf\)'),
        (dict(seconds=(0.5, 4)), 'seconds begins with 0.5'),
        (dict(num_training=0), 'num_training is 0'),
        (dict(num_validation=-1), 'num_validation is -1'),
        (dict(clips_per_class=0), 'clips_per_class is 0'),
    ],
)
def test_bad_arguments_are_named_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(VideoWorldError, match=rf'^{message}[\s\S]*expected: [\s\S]*fix: '):
        make_video_world(tmp_path / 'world', **{**TINY, **change})
    assert not (tmp_path / 'world').exists()


@pytest.mark.parametrize('change', [dict(size=33), dict(fps=0), dict(num_frames=7)])
def test_bad_arguments_of_one_video_are_named(tmp_path, change):
    (name,) = change
    with pytest.raises(VideoWorldError, match=f'^{name} is'):
        render_untrimmed(tmp_path / 'one.mp4', **{'num_frames': 40, **change})
    assert not [*tmp_path.iterdir()]


def test_a_writer_that_cannot_open_is_named(tmp_path):
    with pytest.raises(VideoWorldError, match='one.unknown: OpenCV .* cannot write'):
        render_untrimmed(tmp_path / 'one.unknown', num_frames=40, size=32)
    assert not [*tmp_path.iterdir()]


def test_frames_that_got_lost_are_noticed(tmp_path, monkeypatch):
    writer = cv2.VideoWriter

    class Lossy:
        fourcc = writer.fourcc

        def __init__(self, *arguments):
            self.writer, self.count = writer(*arguments), 0

        def write(self, frame):
            self.count += 1
            if self.count != 7:
                self.writer.write(frame)

        def __getattr__(self, name):
            return getattr(self.writer, name)

    monkeypatch.setattr(cv2, 'VideoWriter', Lossy)
    with pytest.raises(VideoWorldError, match='39 frames arrived[^*]*40 frames'):
        render_untrimmed(tmp_path / 'one.mp4', num_frames=40, size=32)
    assert not [*tmp_path.iterdir()]


def test_the_tool_hands_on_its_arguments(monkeypatch, capsys, tmp_path):
    line = f'{TOOL} {tmp_path} --num-training 1 --num-validation 1 --clips-per-class 1'
    line += ' --seconds 2 2.5 --size 16 --fps 8 --seed 5'
    monkeypatch.setattr(sys, 'argv', line.split(' '))
    runpy.run_path(str(TOOL), run_name='__main__')
    assert str(tmp_path / 'annotations.json') in capsys.readouterr().out
    settings = json.loads((tmp_path / 'world.json').read_text())
    del settings['version']
    assert settings == dict(
        num_training=1,
        num_validation=1,
        clips_per_class=1,
        seconds=[2, 2.5],
        size=16,
        fps=8,
        seed=5,
    )
