"""Segments, snippets and proposals in units of what a head sees, and back to seconds."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from generated_data import feature_dataset
from mmaction.datasets.transforms import GenerateLocalizationLabels
from mmaction.registry import DATASETS, TRANSFORMS
from mmengine.model import BaseModel
from torch.testing import assert_close

from mmsola.datasets.annotations import AnnotationError
from mmsola.models import SnippetNeckMixin

CHANNELS, FPS, LENGTH = 4, 25, 10
NATIVE = dict(stride_frames=8, window_frames=16)
RESIZED = dict(stride_frames=None)
PACK = dict(
    type='PackSnippetInputs',
    keys=('gt_bbox', 'proposals'),
    meta_keys=('video_name', 'annotations', 'feature_span', 'window_sec'),
)
PIPELINE = [dict(type='LoadSnippetSequence'), dict(type='GenerateSnippetLabels'), PACK]


class Echo(BaseModel):
    """A localizer that gives back what it saw, and finds what was annotated."""

    def __init__(self, feat_dim: int, temporal_dim: int) -> None:
        super().__init__()

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'tensor':
            return list(inputs)
        return [
            {'proposal_list': [{'segment': row.tolist(), 'score': 1.0} for row in boxes(sample)]}
            for sample in data_samples
        ]


class EchoWithNeck(SnippetNeckMixin, Echo):
    pass


def boxes(sample):
    return sample.gt_instances['gt_bbox']


def dataset_of(root, videos, timeline, pipeline=PIPELINE, **settings):
    """Videos ``{name: (snippets, entry of a flat annotation file)}``."""
    (root / 'features').mkdir()
    random = np.random.default_rng(0)
    for name, (length, _) in videos.items():
        feature = random.normal(size=(length, CHANNELS)).astype(np.float32)
        np.save(root / 'features' / f'{name}.npy', feature)
    (root / 'annotations.json').write_text(
        json.dumps({n: entry for n, (_, entry) in videos.items()})
    )
    return DATASETS.build(
        dict(
            type='SnippetFeatureDataset',
            data_root=str(root),
            ann_file='annotations.json',
            data_prefix=dict(feature='features'),
            timeline=timeline,
            pipeline=pipeline,
            **settings,
        )
    )


def entry(duration, *segments, **more):
    annotations = [{'segment': list(segment), 'label': 'a'} for segment in segments]
    return {
        'duration_second': duration,
        'duration_frame': round(duration * FPS),
        'annotations': annotations,
        **more,
    }


# --- GenerateSnippetLabels ------------------------------------------------------------------------


@pytest.mark.parametrize('timeline', [NATIVE, RESIZED], ids=['native', 'resized'])
def test_segments_come_back_in_seconds(tmp_path, timeline):
    segments = [(0.0, 0.4), (1.23, 4.56), (3.0, 7.77), (7.5, 8.0)]
    dataset = dataset_of(tmp_path, {'a': (23, entry(8.0, *segments))}, timeline)
    data = dataset[0]
    result = EchoWithNeck(CHANNELS, LENGTH)([data['inputs']], [data['data_samples']], 'predict')[0]
    found = [proposal['segment'] for proposal in result['proposal_list']]
    np.testing.assert_allclose(found, segments, atol=1e-5)


def test_native_snippets_lie_where_the_timeline_says(tmp_path):
    sample = dataset_of(tmp_path, {'a': (24, entry(8.0, (1, 2)))}, NATIVE)[0]['data_samples']
    assert sample.metainfo['window_sec'] == (0.0, 8.0)
    # centres at 8, 16, ..., 192 of 200 frames, each with half a stride around it
    assert sample.metainfo['feature_span'] == pytest.approx((4 / 200, 196 / 200))
    assert_close(boxes(sample), torch.tensor([[0.125, 0.25]]))


def test_a_boundary_between_snippets_is_one_between_what_the_head_sees(tmp_path):
    """Features that jump where the action begins: labels and features agree on the cell."""
    dataset = dataset_of(tmp_path, {'a': (39, entry(12.8, (4.0, 6.0)))}, NATIVE)
    data = dataset[0]
    centre_sec = 0.32 + np.arange(39) * 0.32
    action = torch.from_numpy((centre_sec > 4.0) & (centre_sec < 6.0)).float()
    model = EchoWithNeck(CHANNELS, 20)
    (found,) = model([action.expand(CHANNELS, -1)], [data['data_samples']], 'tensor')
    start, end = boxes(data['data_samples'])[0] * 20
    cells = torch.arange(20) + 0.5
    inside = (cells > start + 0.6) & (cells < end - 0.6)
    outside = (cells < start - 0.6) | (cells > end + 0.6)
    assert inside.any() and (found[0][inside] > 0.99).all()
    assert outside.any() and (found[0][outside] < 0.01).all()


def test_resized_features_of_the_heads_length_pass_as_they_are(tmp_path):
    videos = {f'v{i}': (LENGTH, entry(3.7 + i, (1, 2))) for i in range(4)}
    for data in dataset_of(tmp_path, videos, RESIZED):
        assert data['data_samples'].metainfo['feature_span'] == (0.0, 1.0)
        (found,) = EchoWithNeck(CHANNELS, LENGTH)(
            [data['inputs']], [data['data_samples']], 'tensor'
        )
        assert found is data['inputs']


def test_resized_features_have_the_labels_of_mmaction2(tmp_path):
    """Also where features end before their video: what they cover is what the head sees."""
    video = entry(8.0, (0.5, 3.0), (6.0, 7.9), feature_frame=176)
    stock = GenerateLocalizationLabels()({**video, 'video_name': 'a'})['gt_bbox']
    sample = dataset_of(tmp_path, {'a': (LENGTH, video)}, RESIZED)[0]['data_samples']
    np.testing.assert_allclose(boxes(sample), np.array(stock), atol=1e-6)
    assert sample.metainfo['window_sec'] == pytest.approx((0.0, 8.0 * 176 / 200))


@pytest.mark.parametrize('timeline', [NATIVE, RESIZED], ids=['native', 'resized'])
def test_no_segment_gives_labels_of_shape_0_2(tmp_path, timeline):
    results = dict(
        video_name='a',
        snippet_span_sec=(0.0, 4.0),
        covered_sec=(0.0, 4.0),
        annotations=[],
    )
    found = TRANSFORMS.build(dict(type='GenerateSnippetLabels'))(results)['gt_bbox']
    assert found.shape == (0, 2) and found.dtype == np.float32
    videos = {'a': (12, entry(4.0)), 'b': (12, entry(4.0, (1, 2)))}
    assert boxes(dataset_of(tmp_path, videos, timeline)[0]['data_samples']).shape == (0, 2)


def test_a_segment_after_what_resized_features_cover_is_left_out(tmp_path):
    video = entry(8.0, (1.0, 2.0), (7.5, 8.0), feature_frame=176)
    sample = dataset_of(tmp_path, {'a': (LENGTH, video)}, RESIZED)[0]['data_samples']
    assert boxes(sample).shape == (1, 2)


def test_a_whole_video_keeps_segments_that_its_features_see_little_of(tmp_path):
    """Only windows leave segments out."""
    video = entry(8.0, (6.9, 8.0), feature_frame=176)
    sample = dataset_of(tmp_path, {'a': (LENGTH, video)}, RESIZED)[0]['data_samples']
    assert_close(boxes(sample), torch.tensor([[6.9 / 7.04, 1.0]]))


def test_unknown_time_is_told_with_the_video(tmp_path):
    videos = {'a': (12, {'annotations': [{'segment': [1, 2], 'label': 'a'}], 'feature_frame': 1})}
    with pytest.raises(ValueError, match='a: where its snippets lie in time is not known'):
        dataset_of(tmp_path, videos, RESIZED)[0]


# --- LoadSnippetProposals -------------------------------------------------------------------------


@pytest.fixture
def proposal_file(tmp_path):
    """Writes rows of start, end and score by video; returns the file's name."""

    def write(**videos):
        results = {
            name: [{'segment': row[:2], 'score': row[2], 'label': 'action'} for row in rows]
            for name, rows in videos.items()
        }
        path = tmp_path / 'proposals.json'
        path.write_text(json.dumps({'version': '1.3', 'results': results}))
        return str(path)

    return write


def load(file, gt_bbox=None, window_sec=(0.0, 10.0), name='a', **kwargs):
    results = {'video_name': name, 'window_sec': window_sec}
    if gt_bbox is not None:
        results['gt_bbox'] = np.array(gt_bbox, np.float32).reshape(-1, 2)
    transform = TRANSFORMS.build(dict(type='LoadSnippetProposals', proposal_file=file, **kwargs))
    return transform(results)


def test_proposals_are_in_units_of_the_window_best_first(proposal_file):
    file = proposal_file(a=[[1, 3, 0.2], [2, 8, 0.9], [0, 10, 0.5]])
    found = load(file)['proposals']
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.2, 0.8, 0.9], [0, 1, 0.5], [0.1, 0.3, 0.2]])
    np.testing.assert_allclose(load(file, top_k=1)['proposals'], [[0.2, 0.8, 0.9]])
    np.testing.assert_allclose(
        load(file, window_sec=(2.0, 7.0))['proposals'],
        [[0, 1, 0.9], [0, 1, 0.5], [0, 0.2, 0.2]],
    )


def test_equal_scores_stay_in_the_order_of_the_file(proposal_file):
    file = proposal_file(a=[[i, i + 1, 0.5] for i in range(9)])
    np.testing.assert_allclose(load(file)['proposals'][:, 0], np.arange(9) / 10)


def test_proposals_outside_of_the_window_or_of_no_length_are_left_out(proposal_file):
    file = proposal_file(a=[[0, 2, 0.9], [3, 3, 0.8], [4, 4 + 1e-9, 0.7], [5, 6, 0.1], [8, 9, 0.9]])
    found = load(file, window_sec=(2.0, 7.0))['proposals']
    np.testing.assert_allclose(found, [[0.6, 0.8, 0.1]])


def test_seconds_of_a_submission_survive(proposal_file):
    """What the metric wrote comes back as what the next localizer's proposals are in seconds."""
    rows = np.sort(np.random.default_rng(0).uniform(0, 60, (50, 2)), axis=1)
    file = proposal_file(a=[[*row, 1 - i / 100] for i, row in enumerate(rows.tolist())])
    found = load(file, window_sec=(0.0, 60.0))['proposals']
    np.testing.assert_allclose(found[:, :2] * 60, rows, atol=1e-4)


def test_each_proposal_has_the_segment_it_overlaps_most(proposal_file):
    random = np.random.default_rng(0)
    proposals = np.sort(random.uniform(0, 10, (30, 2)), axis=1)
    segments = np.sort(random.uniform(0, 10, (5, 2)), axis=1)
    file = proposal_file(a=[[*row, 1 - i / 100] for i, row in enumerate(proposals.tolist())])
    found = load(file, gt_bbox=segments / 10)['gt_bbox']

    def tiou(a, b):
        overlap = max(min(a[1], b[1]) - max(a[0], b[0]), 0)
        return overlap / (a[1] - a[0] + b[1] - b[0] - overlap)

    best = [max(segments, key=lambda s: tiou(p, s)) for p in proposals]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found * 10, best, atol=1e-5)


def test_a_video_without_segments_matches_nothing(proposal_file):
    file = proposal_file(a=[[1, 3, 0.2], [2, 8, 0.9]])
    np.testing.assert_array_equal(load(file, gt_bbox=[])['gt_bbox'], np.zeros((2, 2)))


def test_without_match_or_labels_segments_stay(proposal_file):
    file = proposal_file(a=[[1, 3, 0.2], [2, 8, 0.9]])
    np.testing.assert_allclose(
        load(file, gt_bbox=[[0.1, 0.2]], match=False)['gt_bbox'], [[0.1, 0.2]]
    )
    assert 'gt_bbox' not in load(file)


def test_a_submission_without_v_is_found_and_calls_do_not_change_it(proposal_file):
    transform = TRANSFORMS.build(
        dict(type='LoadSnippetProposals', proposal_file=proposal_file(a=[[1, 3, 0.2]]))
    )
    for name in ('v_a', 'a', 'a'):
        results = {'video_name': name, 'window_sec': (1.0, 9.0)}
        np.testing.assert_allclose(transform(results)['proposals'], [[0, 0.25, 0.2]])


def test_a_missing_or_foreign_file_is_told_before_the_first_video(tmp_path, proposal_file):
    with pytest.raises(ValueError, match='no such file of proposals; write one by testing'):
        load(str(tmp_path / 'nowhere.json'))
    for content in ('[1, 2]', '{"results": {"a": [{"segment": [1, 2]}]}}', '{"version"'):
        (tmp_path / 'bad.json').write_text(content)
        with pytest.raises(ValueError, match='bad.json: not a file of proposals'):
            TRANSFORMS.build(
                dict(type='LoadSnippetProposals', proposal_file=str(tmp_path / 'bad.json'))
            )


def test_a_video_without_proposals_is_named_with_those_there_are(proposal_file):
    file = proposal_file(b=[[1, 3, 0.2]], c=[[1, 3, 0.2]])
    with pytest.raises(ValueError, match='no proposals of d; it has those of'):
        load(file, name='d')


def test_where_nothing_was_found_there_are_no_proposals(proposal_file):
    """One video of many without any is no error; a file without any is."""
    found = load(proposal_file(b=[[1, 3, 0.2]], a=[], c=[[2, 2, 0.1]]), name='a')
    assert found['proposals'].shape == (0, 3)
    with pytest.raises(ValueError, match='holds no proposal in any of 2 videos'):
        load(proposal_file(a=[], b=[]))


def test_a_data_set_asks_for_its_videos_before_the_first_step(proposal_file, tmp_path):
    (tmp_path / 'features').mkdir()
    for name in ('a', 'b'):
        np.save(tmp_path / 'features' / f'{name}.npy', np.ones((30, 4), np.float32))
    entry = {'duration': 30.0, 'fps': 1, 'annotations': [{'segment': [2.0, 9.0], 'label': 'x'}]}
    (tmp_path / 'annotations.json').write_text(json.dumps({'a': entry, 'b': entry}))
    with pytest.raises(ValueError, match='no proposals of b; it has those of 1 videos'):
        feature_dataset(
            tmp_path,
            pipeline=[
                dict(type='LoadSnippetSequence'),
                dict(type='GenerateSnippetLabels'),
                dict(type='LoadSnippetProposals', proposal_file=proposal_file(a=[[1, 3, 0.2]])),
                dict(type='PackSnippetInputs'),
            ],
        )


def test_workers_need_not_read_the_file_again(proposal_file, tmp_path):
    transform = TRANSFORMS.build(
        dict(type='LoadSnippetProposals', proposal_file=proposal_file(a=[[1, 3, 0.2]]))
    )
    (tmp_path / 'proposals.json').unlink()
    again = pickle.loads(pickle.dumps(transform))
    assert len(again({'video_name': 'a', 'window_sec': (0.0, 9.0)})['proposals']) == 1


def test_proposals_reach_the_data_sample(proposal_file, tmp_path):
    proposals = dict(
        type='LoadSnippetProposals', proposal_file=proposal_file(a=[[1, 3, 0.2], [2, 8, 0.9]])
    )
    dataset = dataset_of(
        tmp_path, {'a': (12, entry(8.0, (1, 3)))}, RESIZED, [*PIPELINE[:2], proposals, PACK]
    )
    sample = dataset[0]['data_samples']
    assert sample.proposals['proposals'].shape == (2, 3)
    assert_close(boxes(sample), torch.tensor([[0.125, 0.375], [0.125, 0.375]]))


# --- videos that nobody annotated -----------------------------------------------------------------


@pytest.mark.parametrize('entry_of_b', [{'annotations': None}, {}])
def test_a_video_without_annotations_is_left_out_of_training_and_counted(
    tmp_path, entry_of_b, log_lines
):
    """BMN stopped at it in the middle of an epoch."""
    b = {'duration_second': 10.0, **entry_of_b}
    videos = {'a': (20, entry(10.0, (1.0, 2.0))), 'b': (20, b)}
    dataset = dataset_of(tmp_path, videos, RESIZED)
    assert [dataset.get_data_info(i)['video_name'] for i in range(len(dataset))] == ['a']
    assert any('1 of 2 videos are not annotated and left out' in line for line in log_lines)
    assert all('gt_bbox' in item['data_samples'].gt_instances for item in dataset)


def test_all_videos_are_there_to_predict_for(tmp_path):
    videos = {'a': (20, entry(10.0, (1.0, 2.0))), 'b': (20, {'duration_second': 10.0})}
    assert len(dataset_of(tmp_path, videos, RESIZED, test_mode=True)) == 2


def test_training_on_no_annotated_video_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match='none of 1 videos is annotated.*(?s:.*)test_mode'):
        dataset_of(tmp_path, {'b': (20, {'duration_second': 10.0})}, RESIZED)
