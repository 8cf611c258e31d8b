"""Segments in grid units and random pieces of videos, as ActionFormer's release has them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from generated_data import feature_dataset
from mmaction.registry import TRANSFORMS
from mmengine.runner import Runner

from mmsola.datasets.transforms.random_piece import draw_piece

REFERENCE = np.load(Path(__file__).parent / 'data' / 'actionformer_reference.npz')
CHANNELS, FPS, STRIDE, WINDOW = 3, 30.0, 4, 16
TIMELINE = dict(stride_frames=STRIDE, window_frames=WINDOW, fps=FPS)
PACK = dict(
    type='PackSnippetInputs',
    keys=('gt_segments', 'gt_labels'),
    meta_keys=('video_name', 'grid_sec', 'covered_sec', 'num_snippets', 'snippet_span_sec'),
)
GRID, LOAD = dict(type='GenerateGridSegments'), dict(type='LoadSnippetSequence')
CUT = dict(type='TruncateSnippets', max_snippets=20)
VIDEOS = {
    'long': (60, [([1.0, 3.0], 'b'), ([6.1, 6.9], 'a')]),
    'short': (18, [([0.5, 1.5], 'a')]),
    'background': (50, []),
}


@pytest.fixture
def root(tmp_path):
    """Channel 0 of a feature is the index of its snippet."""
    (tmp_path / 'features').mkdir()
    database = {}
    for name, (num_snippets, segments) in VIDEOS.items():
        feature = np.zeros((num_snippets, CHANNELS), np.float32)
        feature[:, 0] = np.arange(num_snippets)
        np.save(tmp_path / 'features' / f'{name}.npy', feature)
        database[name] = {
            'duration': ((num_snippets - 1) * STRIDE + WINDOW) / FPS,
            'subset': 'training',
            'annotations': [{'segment': s, 'label': label} for s, label in segments],
        }
    (tmp_path / 'annotations.json').write_text(json.dumps({'database': database}))
    return tmp_path


def build(root, *pipeline, **settings):
    return feature_dataset(root, pipeline=[*pipeline, PACK], timeline=TIMELINE, **settings)


def item_of(dataset, name, place=0.3):
    """One item as a loader with SnippetWindowSampler asks for it."""
    names = [dataset.get_data_info(i)['video_name'] for i in range(len(dataset))]
    info = dataset.get_data_info(names.index(name))
    return dataset.pipeline({**info, 'window_fraction': place})


def results_of(segments=None, num_snippets=100, **more):
    """What a data set hands to the transforms, of a video with a snippet a second."""
    results = dict(
        video_name='v',
        num_snippets=num_snippets,
        snippet_span_sec=(0.0, float(num_snippets)),
        window_fraction=0.3,
        **more,
    )
    if segments is not None:
        results['annotations'] = [
            {'segment': list(segment), 'label': 'a', 'class_index': index}
            for *segment, index in segments
        ]
    return results


def apply(results, *steps):
    for step in steps:
        results = TRANSFORMS.build(step).transform(results)
    return results


# The grid ----------------------------------------------------------------------------------------


def test_grid_units_are_those_of_actionformer(root):
    sample = build(root, LOAD, GRID)[0]['data_samples']
    times = np.array([segment for segment, _ in VIDEOS['long'][1]])
    expected = times * FPS / STRIDE - 0.5 * WINDOW / STRIDE
    np.testing.assert_allclose(sample.gt_instances.gt_segments, expected, rtol=1e-6)
    assert sample.grid_sec == pytest.approx((0.5 * WINDOW / FPS, STRIDE / FPS))
    assert sample.gt_instances.gt_segments.dtype == torch.float32
    assert sample.gt_instances.gt_labels.tolist() == [1, 0]
    assert sample.gt_instances.gt_labels.dtype == torch.int64


def test_features_that_share_the_duration_lie_on_a_grid_of_half_cells(root):
    sample = feature_dataset(root, pipeline=[LOAD, GRID, PACK])[0]['data_samples']
    duration_sec = (59 * STRIDE + WINDOW) / FPS
    expected = [segment[0] / duration_sec * 60 - 0.5 for segment, _ in VIDEOS['long'][1]]
    np.testing.assert_allclose(sample.gt_instances.gt_segments[:, 0], expected, rtol=1e-5)


def test_a_video_without_actions_has_no_segments_and_one_that_nobody_annotated_has_no_truth(root):
    background = item_of(build(root, LOAD, GRID), 'background')['data_samples'].gt_instances
    assert background.gt_segments.shape == (0, 2) and background.gt_labels.shape == (0,)
    unannotated = apply(results_of(), GRID)
    assert 'gt_segments' not in unannotated and 'grid_sec' in unannotated


def test_duplicates_and_short_segments_stay_unless_they_are_to_go():
    segments = [(1, 5, 0), (1, 5, 0), (1, 5, 1), (1.0004, 5, 0), (7, 7.0005, 0), (1.1, 5, 0)]
    every = apply(results_of(segments), GRID)
    assert len(every['gt_segments']) == len(every['gt_labels']) == 6
    fewer = apply(results_of(segments), {**GRID, 'drop_duplicates': True, 'min_length_sec': 1e-3})
    np.testing.assert_allclose(fewer['gt_segments'], [[0.5, 4.5], [0.5, 4.5], [0.6, 4.5]])
    assert fewer['gt_labels'].tolist() == [0, 1, 0]


def test_clipping_is_that_of_actionformers_loader_of_activitynet():
    """Beyond T + 0.5 there is nothing: what starts there goes, as what shows less than half."""
    segments = [(90, 104, 0), (97, 120, 1), (101.5, 103, 2), (2, 5, 3)]
    found = apply(results_of(segments), {**GRID, 'clip': True})
    np.testing.assert_allclose(found['gt_segments'], [[89.5, 100.5], [1.5, 4.5]])
    assert found['gt_labels'].tolist() == [0, 3]
    without = apply(results_of(segments), GRID)
    assert without['gt_segments'].max() == 119.5


def test_a_window_of_a_sliding_data_set_has_its_own_grid_and_only_its_segments(root):
    dataset = build(
        root, LOAD, GRID, type='SlidingWindowDataset', window=20, margin=0, min_covered=0.9
    )
    items = [dataset[i] for i in range(len(dataset))]
    of_long = [item for item in items if item['data_samples'].video_name == 'long']
    assert len(of_long) > 2
    for item in of_long:
        sample = item['data_samples']
        first_sec, step_sec = sample.grid_sec
        assert first_sec == pytest.approx(8 / FPS + float(item['inputs'][0, 0]) * step_sec)
        seconds = first_sec + step_sec * sample.gt_instances.gt_segments.numpy()
        for segment in seconds:
            near = min(abs(segment - np.array(s)).max() for s, _ in VIDEOS['long'][1])
            assert near <= 0.1 * 2.0 + 1e-4
    assert {len(item['data_samples'].gt_instances.gt_labels) for item in of_long} >= {0, 1}


def test_an_unknown_timeline_is_told_with_the_video():
    results = results_of([(1, 2, 0)])
    del results['snippet_span_sec']
    with pytest.raises(ValueError, match=r'v: where its snippets lie in time is not known'):
        apply(results, GRID)


# The draw ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('case', range(7))
def test_a_piece_is_the_one_that_actionformer_draws(case):
    key = f'truncate.case{case}.'
    seed, longest, thresh, low, high, keep_whole = REFERENCE[
        key + 'pyseed_maxlen_thresh_croplo_crophi_notrunc'
    ]
    segments = REFERENCE['truncate.segments_in']
    piece = draw_piece(
        100,
        segments,
        int(longest),
        float(REFERENCE['truncate.offset']),
        random.Random(int(seed)).randint,
        trunc_thresh=thresh,
        crop_ratio=None if low < 0 else (low, high),
        keep_whole=bool(keep_whole),
    )
    assert [piece.start, piece.num_snippets] == REFERENCE[key + 'start_len'].tolist()
    np.testing.assert_array_equal(piece.segments, REFERENCE[key + 'segments'])
    np.testing.assert_array_equal(np.arange(5)[piece.kept], REFERENCE[key + 'labels'])


def test_a_video_that_is_not_too_long_stays_whole_without_a_crop_ratio():
    segments = np.array([[-3.0, 200.0]], np.float32)
    piece = draw_piece(100, segments, 100, 2.0, lambda low, high: pytest.fail('drawn'))
    assert piece[:2] == (0, 100) and piece.kept.all()
    np.testing.assert_array_equal(piece.segments, segments)


def test_the_last_trial_is_taken_where_no_piece_shows_enough():
    draws = []

    def randint(low, high):
        draws.append(random.Random(len(draws)).randint(low, high))
        return draws[-1]

    segments = np.array([[0.0, 100.0]], np.float32)
    piece = draw_piece(100, segments, 20, 0.5, randint, max_trials=9)
    assert len(draws) == 9 and piece.start == draws[-1]
    assert not piece.kept.any() and piece.segments.shape == (0, 2)


def test_background_is_cut_at_the_first_trial():
    draws = []
    piece = draw_piece(
        100, np.zeros((0, 2), np.float32), 20, 0.5, lambda low, high: draws.append(high) or 7
    )
    assert draws == [80] and piece[:2] == (7, 20)


def test_a_video_of_one_snippet_can_be_cropped():
    piece = draw_piece(
        1, np.zeros((0, 2), np.float32), 9, 0.5, random.randint, crop_ratio=(0.1, 0.2)
    )
    assert piece[:2] == (0, 1)


# The transform -----------------------------------------------------------------------------------


@pytest.mark.parametrize('place', [0.0, 0.21, 0.5, 0.77, 0.999])
def test_a_piece_keeps_the_seconds_of_its_features_and_segments(root, place):
    item = item_of(build(root, GRID, CUT, LOAD), 'long', place)
    sample, first = item['data_samples'], int(item['inputs'][0, 0])
    np.testing.assert_array_equal(item['inputs'][0], np.arange(first, first + 20))
    first_sec, step_sec = sample.grid_sec
    assert first_sec == pytest.approx((first * STRIDE + WINDOW / 2) / FPS)
    assert step_sec == pytest.approx(STRIDE / FPS)
    assert sample.num_snippets == 20
    assert sample.snippet_span_sec == pytest.approx(
        (first_sec - step_sec / 2, first_sec + 19.5 * step_sec)
    )
    truth = sample.gt_instances
    assert len(truth.gt_segments) == len(truth.gt_labels) > 0
    margin = 0.5 * WINDOW / STRIDE
    for segment, label in zip(truth.gt_segments.numpy(), truth.gt_labels):
        (times,) = (s for s, name in VIDEOS['long'][1] if name == 'ab'[label])
        expected = np.clip(
            (np.array(times) - first_sec) / step_sec, -margin, 20 + margin
        )  # clipped to the piece, else at the same seconds
        np.testing.assert_allclose(segment, expected, atol=1e-4)


def test_only_the_piece_is_read_and_it_is_the_one_cut_from_the_whole(root, monkeypatch):
    before = build(root, GRID, CUT, LOAD)
    after = build(root, LOAD, GRID, CUT)
    reads = []
    read = type(before.store).read

    def spy(store, name, *part):
        reads.append(part)
        return read(store, name, *part)

    monkeypatch.setattr(type(before.store), 'read', spy)
    one, other = item_of(before, 'long'), item_of(after, 'long')
    assert [stop - start for start, stop in reads[:1]] == [20] and reads[1:] == [()]
    assert torch.equal(one['inputs'], other['inputs'])
    assert one['data_samples'].grid_sec == other['data_samples'].grid_sec
    for key in ('gt_segments', 'gt_labels'):
        assert torch.equal(
            one['data_samples'].gt_instances[key], other['data_samples'].gt_instances[key]
        )


def test_a_piece_of_a_window_is_read_from_where_the_window_lies():
    whole = results_of([(45, 55, 0)], read_snippets=(40, 60))
    whole['snippet_span_sec'] = (40.0, 60.0)
    cut = apply(whole, GRID, {**CUT, 'max_snippets': 8})
    start, stop = cut['read_snippets']
    assert start >= 40 and stop == start + 8 <= 60
    assert cut['grid_sec'] == pytest.approx((start + 0.5, 1.0))
    assert cut['snippet_span_sec'] == pytest.approx((start, stop))


def test_background_is_cut_anywhere_and_stays(root):
    dataset = build(root, GRID, CUT, LOAD)
    starts = set()
    for place in np.random.default_rng(0).random(40):
        item = item_of(dataset, 'background', place)
        assert item['inputs'].shape == (CHANNELS, 20)
        assert item['data_samples'].gt_instances.gt_segments.shape == (0, 2)
        starts.add(int(item['inputs'][0, 0]))
    assert len(starts) > 15 and min(starts) < 8 and max(starts) > 22


def test_a_short_video_is_cropped_to_a_random_share_of_itself(root):
    dataset = build(root, GRID, CUT, LOAD)
    lengths = {
        item_of(dataset, 'short', place)['inputs'].shape[1]
        for place in np.random.default_rng(0).random(40)
    }
    assert lengths == {16, 17, 18}
    whole = build(root, GRID, {**CUT, 'crop_ratio': None}, LOAD)
    assert item_of(whole, 'short')['inputs'].shape[1] == 18


def test_the_margin_is_half_a_snippets_window_unless_it_is_set():
    for settings, more, low in (
        ({}, dict(window_strides=4.0), -2.0),
        ({}, {}, -0.5),
        (dict(margin_snippets=3.0), dict(window_strides=4.0), -3.0),
    ):
        results = results_of([(0, 100, 0)], **more)
        cut = apply(results, GRID, {**CUT, 'trunc_thresh': 0.0, **settings})
        assert cut['gt_segments'][0].tolist() == [low, 20 - low]


def test_a_draw_depends_on_the_place_alone():
    def start(place):
        random.seed(1)
        np.random.seed(2)
        cut = apply({**results_of([(1, 99, 0)]), 'window_fraction': place}, GRID, CUT)
        return cut['read_snippets'][0]

    places = np.random.default_rng(0).random(20)
    first = [start(place) for place in places]
    assert first == [start(place) for place in places]
    assert len(set(first)) > 10
    assert start(None) == start(None)  # NumPy's global state, which the run seeds


def test_training_batches_are_the_same_whatever_the_number_of_workers(root):
    def pieces(num_workers, epoch):
        loader = Runner.build_dataloader(
            dict(
                batch_size=1,
                num_workers=num_workers,
                sampler=dict(type='SnippetWindowSampler', shuffle=True, seed=5),
                dataset=build(root, GRID, CUT, LOAD),
                collate_fn=dict(type='pseudo_collate'),
            )
        )
        loader.sampler.set_epoch(epoch)
        return [
            (s.video_name, *s.grid_sec, *s.gt_instances.gt_segments.flatten().tolist())
            for batch in loader
            for s in batch['data_samples']
        ]

    assert pieces(0, 0) == pieces(2, 0)
    assert sorted(pieces(0, 0)) != sorted(pieces(0, 1))


def test_transforms_in_the_wrong_order_are_refused():
    for results, step, message in (
        (results_of([(1, 2, 0)]), CUT, 'put GenerateGridSegments before TruncateSnippets'),
        (results_of(gt_bbox=np.zeros((0, 2))), CUT, 'leave GenerateSnippetLabels out'),
        (
            results_of(grid_sec=(0.5, 1.0), raw_feature=np.zeros((4, 2), np.float32)),
            dict(type='ResizeSnippets', num_snippets=8),
            'put ResizeSnippets before GenerateGridSegments',
        ),
    ):
        with pytest.raises(ValueError, match=message):
            apply(results, step)


@pytest.mark.parametrize(
    'settings',
    [
        dict(max_snippets=0),
        dict(trunc_thresh=1.5),
        dict(crop_ratio=(0.9, 0.5)),
        dict(crop_ratio=(0.0, 1.0)),
        dict(margin_snippets=-1.0),
        dict(max_trials=0),
    ],
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(ValueError, match='TruncateSnippets'):
        TRANSFORMS.build({**CUT, **settings})


# Resizing ----------------------------------------------------------------------------------------


def test_resizing_keeps_the_span_and_interpolates_between_centres(root):
    item = item_of(build(root, LOAD, dict(type='ResizeSnippets', num_snippets=120), GRID), 'long')
    sample = item['data_samples']
    expected = np.clip((np.arange(120) + 0.5) / 2 - 0.5, 0, 59)
    np.testing.assert_allclose(item['inputs'][0], expected, atol=1e-5)
    step_sec = STRIDE / FPS / 2
    first_sec = (WINDOW - STRIDE) / 2 / FPS + step_sec / 2
    assert sample.grid_sec == pytest.approx((first_sec, step_sec))
    assert sample.num_snippets == 120
    seconds = first_sec + step_sec * sample.gt_instances.gt_segments.numpy()
    np.testing.assert_allclose(seconds, [s for s, _ in VIDEOS['long'][1]], rtol=1e-5)


def test_the_grid_of_resized_activitynet_is_the_published_one(root):
    """Window and stride of 16: x = t * fps / stride' - 0.5, stride' = ((T - 1) * 16 + 16) / L."""
    timeline = dict(stride_frames=16, window_frames=16, fps=FPS)
    resize = dict(type='ResizeSnippets', num_snippets=192)
    dataset = feature_dataset(
        root, pipeline=[LOAD, resize, GRID, PACK], timeline=timeline, on_bad_timeline='warn'
    )
    sample = dataset[0]['data_samples']
    times = np.array([s for s, _ in VIDEOS['long'][1]])
    np.testing.assert_allclose(
        sample.gt_instances.gt_segments, times * FPS / (60 * 16 / 192) - 0.5, rtol=1e-5
    )


def test_a_resized_video_is_cut_as_one_of_its_own_rate(root):
    resize = dict(type='ResizeSnippets', num_snippets=40)
    item = item_of(build(root, LOAD, resize, GRID, {**CUT, 'trunc_thresh': 0.0}), 'long')
    sample = item['data_samples']
    assert item['inputs'].shape == (CHANNELS, 20)
    whole = item_of(build(root, LOAD, resize, GRID), 'long')
    start = round((sample.grid_sec[0] - whole['data_samples'].grid_sec[0]) / sample.grid_sec[1])
    assert torch.equal(item['inputs'], whole['inputs'][:, start : start + 20])
    # a snippet of a resized sequence has no window beyond its cell
    assert sample.gt_instances.gt_segments.min() >= -0.5
    assert sample.gt_instances.gt_segments.max() <= 20.5


# Packing -----------------------------------------------------------------------------------------


def test_truths_of_different_lengths_are_not_packed_together():
    results = results_of([(1, 2, 0), (3, 4, 0)], raw_feature=np.zeros((100, 2), np.float32))
    results = apply(results, GRID)
    results['gt_bbox'] = np.zeros((1, 2), np.float32)
    keys = ('gt_bbox', 'gt_segments', 'gt_labels')
    with pytest.raises(ValueError, match=r"v: a different number of each: \{'gt_bbox': 1"):
        apply(dict(results), {**PACK, 'keys': keys})
    results['gt_bbox'] = np.zeros((2, 2), np.float32)
    packed = apply(dict(results), {**PACK, 'keys': keys})
    assert set(packed['data_samples'].gt_instances.keys()) == set(keys)


def test_what_is_listed_goes_into_metainfo(root):
    sample = item_of(build(root, LOAD, GRID), 'short')['data_samples']
    assert sample.covered_sec == pytest.approx((0.0, (17 * STRIDE + WINDOW) / FPS))
    assert len(sample.grid_sec) == 2


def test_every_transform_says_its_settings():
    assert 'clip=True' in repr(TRANSFORMS.build({**GRID, 'clip': True}))
    assert 'max_snippets=20' in repr(TRANSFORMS.build(CUT))
