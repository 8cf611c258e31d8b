"""Windows of a long video: none of it is lost in them, in features, in segments and in time."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, METRICS
from mmengine.model import BaseModel
from torch.testing import assert_close

from mmsola.models import SnippetNeckMixin, SoLa
from mmsola.models.localizers.proposals import ranked_proposals

CHANNELS, FPS = 4, 25
TIMELINE = dict(stride_frames=8, window_frames=16)  # centred on 0.32 s, 0.64 s, ...
STRIDE_SEC = 8 / FPS
ANYWHERE = [(0.1, 0.3)]  # where a test does not ask for segments
PIPELINE = [
    dict(type='LoadSnippetSequence'),
    dict(type='GenerateSnippetLabels'),
    dict(
        type='PackSnippetInputs',
        keys=('gt_bbox',),
        meta_keys=('video_name', 'annotations', 'feature_span', 'window_sec'),
    ),
]


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'features').mkdir()
    return tmp_path


def write(root, **videos):
    """Videos of so many snippets, or ``(snippets, segments)``; channel 0 is a snippet's index."""
    random = np.random.default_rng(0)
    database = {}
    for name, video in videos.items():
        length, segments = video if isinstance(video, tuple) else (video, ANYWHERE)
        feature = random.normal(size=(length, CHANNELS)).astype(np.float32)
        feature[:, 0] = np.arange(length)
        np.save(root / 'features' / f'{name}.npy', feature)
        database[name] = {
            'duration': (length + 1) * STRIDE_SEC,
            'fps': FPS,
            'subset': 'training',
            'annotations': [{'segment': list(s), 'label': 'a'} for s in segments],
        }
    (root / 'annotations.json').write_text(json.dumps({'database': database}))


def windows(root, **settings):
    return DATASETS.build(
        {
            'type': 'SlidingWindowDataset',
            'data_root': str(root),
            'ann_file': 'annotations.json',
            'data_prefix': {'feature': 'features'},
            'timeline': TIMELINE,
            'pipeline': PIPELINE,
            **settings,
        }
    )


def whole(root, name='a'):
    """All features of a video, ``(C, T)``."""
    return torch.from_numpy(np.load(root / 'features' / f'{name}.npy').T)


class Echo(BaseModel):
    """A localizer that gives back what it saw, and finds what was annotated."""

    def __init__(self, feat_dim: int, temporal_dim: int) -> None:
        super().__init__()

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'tensor':
            return torch.stack(inputs)
        return [
            {
                'video_name': sample.metainfo['video_name'],
                'proposal_list': [
                    {'segment': segment.tolist(), 'score': 1.0}
                    for segment in sample.gt_instances['gt_bbox']
                ],
            }
            for sample in data_samples
        ]


class EchoWithNeck(SnippetNeckMixin, Echo):
    pass


def echo(temporal_dim, with_sola=False):
    torch.manual_seed(0)
    model = EchoWithNeck(
        feat_dim=CHANNELS,
        temporal_dim=temporal_dim,
        neck=dict(type='SoLa', hidden_channels=6, frozen=False) if with_sola else None,
    )
    if with_sola:
        torch.nn.init.constant_(model.neck.alpha, 0.8)
    return model


def seen(model, entries):
    """What the head sees of each window, ``(windows, C, temporal_dim)``."""
    with torch.no_grad():
        return torch.stack(
            [model([e['inputs']], [e['data_samples']], 'tensor')[0] for e in entries]
        )


def video_of(entry):
    return entry['data_samples'].metainfo['video_name']


def num_labels(entry):
    return len(entry['data_samples'].gt_instances['gt_bbox'])


# --- where windows lie ----------------------------------------------------------------------------


@pytest.mark.parametrize('window, overlap', [(8, 0.5), (8, 0.0), (8, 0.9), (3, 0.99), (1, 0.5)])
def test_windows_see_each_snippet_and_overlap_as_told(root, window, overlap):
    lengths = {f'v{length}': length for length in (1, 7, 8, 9, 15, 16, 17, 40)}
    write(root, **lengths)
    rows = {name: [] for name in lengths}
    dataset = windows(root, window=window, overlap=overlap)
    for entry, found in zip(dataset, seen(echo(window), dataset)):
        rows[video_of(entry)].append(found[0].tolist())
    step = max(1, round(window * (1 - overlap)))
    assert step <= window
    for name, length in lengths.items():
        starts = [row[0] for row in rows[name]]
        assert starts == [*range(0, max(length - window, 0), step), max(length - window, 0)]
        for start, row in zip(starts, rows[name]):
            # consecutive snippets; the last one stands for those that a short video lacks
            assert row == [min(start + i, length - 1) for i in range(window)]
        assert {index for row in rows[name] for index in row} == {*range(length)}


def test_a_window_lies_where_its_snippets_do(root):
    write(root, a=30)
    for i, entry in enumerate(windows(root, window=10, overlap=0.5, margin=0)):
        start_sec, end_sec = entry['data_samples'].metainfo['window_sec']
        first_centre_sec = (5 * i * 8 + 8) / FPS
        assert_close(start_sec, first_centre_sec - STRIDE_SEC / 2)
        assert_close(end_sec, start_sec + 10 * STRIDE_SEC)
        assert entry['data_samples'].metainfo['feature_span'] == pytest.approx((0, 1))


@pytest.mark.parametrize('margin', [0, 2, 3])
def test_a_window_is_read_with_its_margin_inside_of_the_video(root, margin):
    write(root, a=30)
    read = [e['inputs'][0].tolist() for e in windows(root, window=10, margin=margin)]
    assert [(row[0], row[-1] + 1) for row in read] == [
        (max(start - margin, 0), min(start + 10 + margin, 30)) for start in (0, 5, 10, 15, 20)
    ]
    assert seen(echo(10), windows(root, window=10, margin=margin))[2, 0].tolist() == [
        *range(10, 20)
    ]


# --- what a neck and a head see -------------------------------------------------------------------


def test_sola_in_windows_is_sola_in_the_whole_video_cut_to_them(root):
    write(root, a=5, b=8, c=9, d=16, e=37)
    model = echo(8, with_sola=True)
    assert model.neck.reach == 2
    dataset = windows(root, window=8, margin=2)
    for entry, found in zip(dataset, seen(model, dataset)):
        with torch.no_grad():
            expected = model.neck(whole(root, video_of(entry))[None])[0]
        start_sec = entry['data_samples'].metainfo['window_sec'][0]
        start = round((start_sec - STRIDE_SEC / 2) / STRIDE_SEC)
        positions = torch.arange(start, start + 8).clamp(max=expected.shape[1] - 1)
        assert_close(found, expected[:, positions], atol=1e-5, rtol=1e-5)


def test_without_margin_sola_computes_something_else_at_inner_edges_only(root):
    """So the test above can fail."""
    write(root, a=24)
    model = echo(8, with_sola=True)
    expected = seen(model, windows(root, window=8, overlap=0, margin=2))
    found = seen(model, windows(root, window=8, overlap=0, margin=0))
    differs = ~torch.isclose(found, expected, atol=1e-5).all(dim=1)
    assert differs.tolist() == [
        [False] * 6 + [True] * 2,
        [True] * 2 + [False] * 4 + [True] * 2,
        [True] * 2 + [False] * 6,
    ]


@pytest.mark.parametrize('margin', [0, 2])
def test_a_head_of_half_the_rate_sees_means_of_pairs(root, margin):
    write(root, a=24)
    found = seen(echo(4), windows(root, window=8, overlap=0, margin=margin))
    pairs = whole(root).unflatten(1, (3, 4, 2)).mean(-1).transpose(0, 1)
    assert_close(found, pairs)


def test_an_hour_from_the_start_windows_are_still_cut_and_not_interpolated(root):
    length = 12_000
    write(root, a=length)
    dataset = windows(root, window=8, overlap=0, margin=2)
    last = [dataset[i] for i in range(len(dataset) - 100, len(dataset))]
    expected = torch.arange(length - 100 * 8, length, dtype=torch.float32).reshape(100, 8)
    assert torch.equal(seen(echo(8), last)[:, 0], expected)


# --- segments -------------------------------------------------------------------------------------


def test_a_segment_comes_back_in_seconds_of_the_video_clipped_to_its_window(root):
    segment = (3.0, 5.5)
    write(root, a=(30, [segment]))
    model = echo(10)
    inside = 0
    for entry in windows(root, window=10):
        sample = entry['data_samples']
        start_sec, end_sec = sample.metainfo['window_sec']
        result = model([entry['inputs']], [sample], 'predict')[0]
        clipped = np.clip(segment, start_sec, end_sec)
        if clipped[1] - clipped[0] < 0.5 * (segment[1] - segment[0]):
            assert result['proposal_list'] == []
            continue
        inside += 1
        assert [p['segment'] for p in result['proposal_list']] == [pytest.approx(clipped, abs=1e-6)]
    assert inside >= 2


@pytest.mark.parametrize('min_covered', [0.3, 0.5, 1.0])
def test_windows_with_action_are_those_whose_labels_are_not_empty(root, min_covered):
    segments = np.sort(np.random.default_rng(0).uniform(0, 19, (30, 2)), axis=1).tolist()
    write(root, **{f'v{i}': (60, [segment]) for i, segment in enumerate(segments)})
    pipeline = [PIPELINE[0], dict(PIPELINE[1], min_covered=min_covered), PIPELINE[2]]
    settings = dict(window=10, overlap=0.5, pipeline=pipeline, min_covered=min_covered)
    is_labelled = [bool(num_labels(entry)) for entry in windows(root, **settings)]
    kept = windows(root, with_action_only=True, **settings)
    assert all(num_labels(entry) for entry in kept)
    assert 0 < len(kept) == sum(is_labelled) < len(is_labelled)


def test_half_of_a_segment_is_half_of_it_however_it_is_rounded(root):
    """Windows of one snippet, and a segment at each point where two of them meet."""
    meet = (np.arange(1, 60) + 0.5) * STRIDE_SEC
    write(root, a=(60, [(at - 0.07, at + 0.07) for at in meet]))
    for settings in ({}, {'with_action_only': True}):
        labels = [num_labels(e) for e in windows(root, window=1, overlap=0, **settings)]
        assert labels == [1, *[2] * 58, 1]


def test_no_window_with_action_at_all_is_an_error(root):
    write(root, a=(60, [(1.0, 19.0)]))
    with pytest.raises(ValueError, match='none of 11 windows of 10 snippets holds 50% of a seg'):
        windows(root, window=10, with_action_only=True)


def test_windows_without_segments_have_labels_of_shape_0_2(root):
    write(root, a=(30, [(6.0, 7.0)]), b=(5, []))
    for entry in windows(root, window=10):
        sample = entry['data_samples']
        shape = tuple(sample.gt_instances['gt_bbox'].shape)
        start_sec, end_sec = sample.metainfo['window_sec']
        is_inside = sample.metainfo['video_name'] == 'a' and start_sec < 6.5 < end_sec
        assert shape == ((1, 2) if is_inside else (0, 2))


def test_what_all_windows_find_is_what_was_annotated(root):
    """Through the metric, which merges the windows of each video."""
    segments = [(1.0, 2.1), (4.0, 5.5), (5.6, 6.4), (8.9, 9.2)]
    write(root, a=(30, segments), b=(41, segments), c=(5, [(0.3, 1.2)]))
    model = echo(10)
    metric = METRICS.build(dict(type='LocalizationMetric', map_tiou_thresholds=[0.99]))
    for entry in windows(root, window=10, overlap=0.5):
        sample = entry['data_samples']
        results = model([entry['inputs']], [sample], 'predict')
        metric.process({'data_samples': [sample]}, results)
    assert metric.evaluate(len(metric.results))['loc/class_agnostic_AP'] == pytest.approx(100)


# --- bad settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize('bad', [dict(window=0), dict(overlap=1.0), dict(margin=-1)])
def test_impossible_windows_are_refused(root, bad):
    write(root, a=30)
    ((key, value),) = bad.items()
    with pytest.raises(ValueError, match=f'{key}={value}'):
        windows(root, **bad)


def test_windows_need_to_know_when_their_snippets_are(root):
    write(root, a=30)
    content = json.loads((root / 'annotations.json').read_text())
    del content['database']['a']['fps']
    (root / 'annotations.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='a: where its snippets lie in time is not known'):
        windows(root)


def test_margin_of_the_default_is_the_reach_of_the_published_sola(root):
    write(root, a=30)
    assert windows(root).windows.margin == SoLa(CHANNELS).reach


def test_min_covered_is_said_in_one_place(root):
    write(root, a=(40, [(0.2, 12.0)]))
    data = windows(root, window=20, min_covered=0.7)  # every window sees 54 % at most
    assert not any(len(row['data_samples'].gt_instances['gt_bbox']) for row in data)
    both = [PIPELINE[0], dict(PIPELINE[1], min_covered=0.3), PIPELINE[2]]
    with pytest.raises(ValueError, match='min_covered=0.3, but .* has 0.7; leave it out'):
        windows(root, window=20, min_covered=0.7, pipeline=both)[0]


class Everywhere(Echo):
    """Finds segments all over its window, and the more the later."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        rows = [[k / 10, k / 10 + 0.3, k / 10] for k in range(10)]
        return [
            {
                'video_name': sample.metainfo['video_name'],
                'proposal_list': [{'segment': row[:2], 'score': row[2]} for row in rows],
            }
            for sample in data_samples
        ]


class EverywhereWithNeck(SnippetNeckMixin, Everywhere):
    pass


def test_no_segment_lies_outside_a_video_that_is_shorter_than_its_window(root):
    write(root, short=14)
    data = windows(root, window=40)[0]
    model = EverywhereWithNeck(feat_dim=CHANNELS, temporal_dim=40)
    (result,) = model([data['inputs']], [data['data_samples']], 'predict')
    segments = np.array([p['segment'] for p in result['proposal_list']])
    duration_sec = 15 * STRIDE_SEC
    assert len(segments) == 4 and segments[:, 1].max() == pytest.approx(duration_sec)
    assert (segments[:, 0] < duration_sec).all()


def test_what_starts_after_the_video_suppresses_nothing_and_takes_no_place():
    """Before soft-NMS: the best of top_k belongs to what can be right."""
    found = np.array([[0.05, 0.2, 0.1], [0.1, 0.9, 0.5], [0.5, 0.9, 0.9], [0.6, 0.9, 0.8]])
    info = dict(duration_second=10.0, duration_frame=1, last_start=0.3, last_end=0.4)
    options = (0.4, 0.5, 0.9, 2, 1)
    rows = ranked_proposals(found, info, *options)
    assert [row['segment'] for row in rows] == [[1.0, 4.0], [0.5, 2.0]]
    assert [row['score'] for row in rows] == [0.5, 0.1]
    assert ranked_proposals(found[2:], info, *options) == []
