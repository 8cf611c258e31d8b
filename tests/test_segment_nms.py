"""Decoding and suppression against the published numbers, and against a plain form.

The golden files hold what the authors' code made of the predictions of small random networks:
before and after suppression, in grid units and in seconds.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import TASK_UTILS
from plain_segment_nms import plain_segment_nms
from torch.testing import assert_close

from mmsola.models.points.decoding import decode_points
from mmsola.structures.candidates import Candidates, join
from mmsola.structures.segment_nms import SegmentNMS

DATA = Path(__file__).parent / 'data'
DECODING = dict(score_threshold=0.001, top_k=2000, min_length=0.05)

#: What the keys of the golden files stand for.
SETTINGS = {
    'soft_multiclass': dict(),
    'soft_agnostic_vote': dict(per_class=False, voting_tiou=0.7),
    'soft_agnostic_novote': dict(per_class=False),
    'soft_agnostic_vote_cap10': dict(per_class=False, voting_tiou=0.9, sigma=0.75, max_segments=10),
    'hard_multiclass': dict(method='hard', tiou=0.5),
    'hard_agnostic_vote': dict(method='hard', tiou=0.5, per_class=False, voting_tiou=0.7),
    'none': dict(method=None),
}


@lru_cache(None)
def golden(method):
    with np.load(DATA / f'{method}_reference.npz') as file:
        return {key: file[key] for key in file.files if '.eval' in key}


def cases(what):
    """``method, run`` of each evaluation that has the key ``what``."""
    return [
        (method, key[: -len(what) - 1])
        for method in ('actionformer', 'temporalmaxer')
        for key in golden(method)
        if key.endswith(f'.{what}')
    ]


def tensor(method, key):
    return torch.from_numpy(golden(method)[key])


def stored(method, prefix):
    keys = ('segments_grid', 'scores', 'labels')
    return Candidates(*(tensor(method, f'{prefix}.{key}') for key in keys))


def to_seconds(segments, step_frames, offset_frames, fps, duration_sec):
    return ((segments * step_frames + offset_frames) / fps).clamp(0, duration_sec)


def random_candidates(seed, num=60, num_classes=4):
    generator = np.random.default_rng(seed)
    centre = generator.uniform(0, 60, num)
    length = np.exp(generator.uniform(0, 3, num))
    segments = np.stack([centre - length / 2, centre + length / 2], axis=1)
    scores = np.exp(generator.uniform(np.log(0.0005), 0, num))
    labels = generator.integers(0, num_classes, num)
    return Candidates(
        torch.from_numpy(segments).float(), torch.from_numpy(scores).float(), torch.tensor(labels)
    )


@pytest.mark.parametrize(('method', 'run'), cases('cls_logits.l0'))
def test_levels_decode_to_the_published_candidates(method, run):
    top_k = 20 if run.startswith('abs_pe') else 2000
    levels = []
    for level in range(3):
        logits, offsets, mask, points = (
            tensor(method, f'{run}.{kind}.l{level}')
            for kind in ('cls_logits', 'offsets', 'mask', 'points')
        )
        probabilities = logits[0].sigmoid() * mask[0, :, None]
        levels.append(
            decode_points(probabilities, offsets[0], points, **{**DECODING, 'top_k': top_k})
        )
    found = join(levels)
    expected = stored(method, f'{run}.decode')
    assert_close(found.segments.float(), expected.segments, rtol=1e-6, atol=1e-5)
    assert_close(found.scores.float(), expected.scores, rtol=0, atol=1e-6)
    assert found.labels.tolist() == expected.labels.tolist()


def suppressed():
    return [
        (method, run, setting)
        for setting in SETTINGS
        for method, run in cases(f'{setting}.segments_seconds')
    ]


@pytest.mark.parametrize(('method', 'run', 'setting'), suppressed())
def test_suppression_gives_the_published_segments(method, run, setting):
    settings = SETTINGS[setting]
    if run.startswith('abs_pe') and setting == 'soft_agnostic_vote':
        settings = dict(per_class=False, voting_tiou=0.9, sigma=0.75)  # those of ActivityNet
    found = SegmentNMS(**settings)(stored(method, f'{run}.decode'))
    prefix = f'{run}.{setting}'
    assert found.labels.tolist() == tensor(method, f'{prefix}.labels').tolist()
    assert_close(found.scores, tensor(method, f'{prefix}.scores'), rtol=1e-6, atol=1e-5)
    if f'{prefix}.segments_grid' in golden(method):
        assert_close(
            found.segments, tensor(method, f'{prefix}.segments_grid'), rtol=1e-6, atol=1e-5
        )
    fps, stride, num_frames, duration = golden(method)[f'{run}.meta.fps_stride_numframes_duration']
    seconds = to_seconds(found.segments, stride, 0.5 * num_frames, fps, duration)
    assert_close(seconds, tensor(method, f'{prefix}.segments_seconds'), rtol=1e-6, atol=1e-5)


# --- TriDet ---------------------------------------------------------------------------------------


TRIDET_SETTINGS = {
    'soft_multiclass': dict(),
    'soft_agnostic_vote': dict(
        per_class=False, voting_tiou=0.95, voting_by='score', sigma=0.7, max_segments=100
    ),
}


@pytest.mark.parametrize('setting', TRIDET_SETTINGS)
@pytest.mark.parametrize('run', ['main.eval48', 'main.eval31', 'main.eval70', 'anet_like.eval31'])
def test_tridet_gives_the_published_segments(run, setting):
    probabilities = tensor('tridet', f'{run}.scores_masked')[0]
    offsets = tensor('tridet', f'{run}.decoded_offsets')[0].transpose(0, 1)  # S x K x 2
    one_class = probabilities.shape[1] == 1
    rule = (None, None) if one_class else (0.001, 2000)
    found = decode_points(probabilities, offsets, tensor('tridet', f'{run}.points'), *rule, -1.0)
    found = SegmentNMS(**TRIDET_SETTINGS[setting])(found)
    prefix = f'{run}.{setting}'
    assert found.labels.tolist() == tensor('tridet', f'{prefix}.labels').tolist()
    # stored rounded to 4 and to 2 decimals
    scores = tensor('tridet', f'{prefix}.scores_rounded4')
    assert_close(found.scores.double(), scores, rtol=0, atol=0.5e-4 + 1e-6)
    fps, stride, offset, duration = golden('tridet')[f'{run}.meta.fps_stride_offsetframes_duration']
    seconds = to_seconds(found.segments.double(), stride, offset, fps, duration)
    rounded = tensor('tridet', f'{prefix}.segments_seconds_rounded2')
    assert_close(seconds, rounded, rtol=0, atol=0.5e-2 + 1e-5)


RULES = {
    'soft': dict(),
    'soft, few': dict(max_segments=7),
    'soft, wide': dict(sigma=0.1, min_score=0.02),
    'soft, all kept': dict(min_score=0.0, max_segments=1000),
    'soft, classes together': dict(per_class=False, voting_tiou=0.5),
    'soft, by score': dict(per_class=False, voting_tiou=0.5, voting_by='score'),
    'hard': dict(method='hard'),
    'hard, few': dict(method='hard', tiou=0.5, max_segments=7),
    'hard, all kept': dict(method='hard', tiou=1.0, min_score=0.0, max_segments=1000),
    'hard, classes together': dict(method='hard', tiou=0.4, per_class=False, voting_tiou=0.7),
    'none': dict(method=None),
}


@pytest.mark.parametrize('rule', RULES.values(), ids=list(RULES))
def test_fast_form_is_the_plain_one(rule):
    for seed in range(20):
        # at 150 of one class, cleaning drops some while picking goes on
        candidates = random_candidates(seed, num=150 if seed % 2 else 60, num_classes=1 + seed % 5)
        found, expected = SegmentNMS(**rule)(candidates), plain_segment_nms(candidates, **rule)
        assert found.labels.tolist() == expected.labels.tolist()
        assert_close(found.scores, expected.scores, rtol=0, atol=1e-6)
        assert_close(found.segments, expected.segments, rtol=0, atol=2e-5)


@pytest.mark.parametrize('rule', RULES.values(), ids=list(RULES))
def test_no_candidates_give_no_segments(rule):
    nothing = Candidates(*(x[:0] for x in random_candidates(0)))
    found = SegmentNMS(**rule)(nothing)
    assert [x.shape for x in found] == [(0, 2), (0,), (0,)]
    assert found.labels.dtype == torch.int64


@pytest.mark.parametrize('rule', RULES.values(), ids=list(RULES))
def test_one_candidate_stays_as_it_is(rule):
    one = Candidates(torch.tensor([[2.5, 8.25]]), torch.tensor([0.5]), torch.tensor([3]))
    for found, given in zip(SegmentNMS(**rule)(one), one):
        assert_close(found, given)


def test_first_pick_of_a_class_is_not_tested_unless_suppression_is_hard():
    segments = torch.tensor([[0.0, 5.0], [10.0, 15.0], [20.0, 25.0], [30.0, 35.0]])
    weak = Candidates(segments, torch.tensor([0.5, 4e-4, 3e-4, 2e-4]), torch.tensor([0, 1, 1, 0]))
    assert_close(SegmentNMS()(weak).scores, torch.tensor([0.5, 4e-4]))
    assert_close(SegmentNMS(method='hard')(weak).scores, torch.tensor([0.5]))
    none_strong = Candidates(*(x[1:] for x in weak))
    assert [x.shape for x in SegmentNMS(method='hard')(none_strong)] == [(0, 2), (0,), (0,)]


def test_without_a_least_score_all_segments_apart_remain():
    segments = torch.tensor([[0.0, 5.0], [10.0, 15.0], [20.0, 25.0]])
    weak = Candidates(segments, torch.tensor([0.5, 0.0, 0.0]), torch.tensor([0, 0, 1]))
    for method in ('soft', 'hard'):
        assert len(SegmentNMS(method=method, min_score=0.0)(weak).scores) == 3


def test_order_of_candidates_and_of_classes_does_not_matter():
    segments, scores, labels = random_candidates(5, num=120)
    expected = SegmentNMS()(Candidates(segments, scores, labels))
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    new_name = torch.tensor([70000, 3, 259, 0])
    found = SegmentNMS()(
        Candidates(segments[shuffled], scores[shuffled], new_name[labels][shuffled])
    )
    assert_close(found.segments, expected.segments)
    assert_close(found.scores, expected.scores)
    assert found.labels.tolist() == new_name[expected.labels].tolist()


@pytest.mark.parametrize('method', ['soft', 'hard'])
@pytest.mark.parametrize('voting_by', ['score_tiou', 'score'])
def test_voting_moves_segments_and_nothing_else(method, voting_by):
    candidates = random_candidates(7, num=150)
    rule = dict(method=method, per_class=False)
    before = SegmentNMS(**rule)(candidates)
    after = SegmentNMS(**rule, voting_tiou=0.5, voting_by=voting_by)(candidates)
    assert after.labels.tolist() == before.labels.tolist()
    assert_close(after.scores, before.scores)
    assert (after.segments != before.segments).any()


def test_segments_of_no_length_suppress_and_move_nothing():
    points = Candidates(
        torch.tensor([[4.0, 4.0], [8.0, 9.0], [4.0, 4.0]]),
        torch.tensor([0.9, 0.5, 0.4]),
        torch.tensor([0, 1, 1]),
    )
    found = SegmentNMS(per_class=False, voting_tiou=0.7)(points)
    assert_close(found.segments, points.segments)
    assert_close(found.scores, points.scores)


@pytest.mark.parametrize('method', ['soft', 'hard'])
def test_suppression_leaves_its_input_as_it_was(method):
    candidates = random_candidates(3)
    before = [x.clone() for x in candidates]
    SegmentNMS(method=method)(candidates)
    for given, copy in zip(candidates, before):
        assert torch.equal(given, copy)


def test_double_and_half_precision_come_back_as_single():
    segments, scores, labels = random_candidates(2)
    for dtype in (torch.float64, torch.float16):
        found = SegmentNMS()(Candidates(segments.to(dtype), scores.to(dtype), labels))
        assert found.segments.dtype == found.scores.dtype == torch.float32


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (dict(method='linear'), "method is 'linear'; expected 'soft', 'hard' or None"),
        (dict(sigma=0), 'sigma is 0'),
        (dict(tiou=1.5), 'tiou is 1.5'),
        (dict(min_score=-0.1), 'min_score is -0.1'),
        (dict(max_segments=0), 'max_segments is 0'),
        (dict(max_segments=2.5), 'max_segments is 2.5'),
        (dict(per_class=False, voting_tiou=0), 'voting_tiou is 0'),
        (dict(voting_by='iou'), "voting_by is 'iou'"),
        (dict(voting_tiou=0.7), 'set per_class=False'),
        (dict(method=None, per_class=False, voting_tiou=0.7), 'nothing votes'),
    ],
)
def test_wrong_arguments_are_told_at_construction(arguments, said):
    with pytest.raises(ValueError, match=said):
        TASK_UTILS.build(dict(type='SegmentNMS', **arguments))


POINTS = torch.tensor([[0.0, 0.0, 4.0, 1.0], [4.0, 4.0, 8.0, 2.0]])
PROBABILITIES = torch.tensor([[0.9, 0.1], [0.3, 0.6]])


def test_offsets_of_a_point_are_in_its_stride_and_serve_all_classes():
    offsets = torch.tensor([[1.0, 2.0], [0.5, 3.0]])
    found = decode_points(PROBABILITIES, offsets, POINTS, None, None, 0.0)
    assert_close(found.scores, torch.tensor([0.9, 0.6, 0.3, 0.1]))
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert found.segments.tolist() == [[-1.0, 2.0], [3.0, 10.0], [3.0, 10.0], [-1.0, 2.0]]


def test_classes_may_have_offsets_of_their_own():
    offsets = torch.arange(8.0).reshape(2, 2, 2)
    found = decode_points(PROBABILITIES, offsets, POINTS, None, None, 0.0)
    assert found.segments.tolist() == [[0.0, 1.0], [-8.0, 18.0], [-4.0, 14.0], [-2.0, 3.0]]


def test_threshold_and_length_are_to_be_exceeded_and_top_k_counts_before_length():
    offsets = torch.tensor([[0.5, 0.5], [0.5, 1.0]])  # 1 and 3 long
    at = float(PROBABILITIES[1, 0])
    found = decode_points(PROBABILITIES, offsets, POINTS, at, None, 0.0)
    assert_close(found.scores, torch.tensor([0.9, 0.6]))
    found = decode_points(PROBABILITIES, offsets, POINTS, 0.0, 2, 1.0)
    assert_close(found.scores, torch.tensor([0.6]))


def test_nothing_likely_decodes_to_nothing():
    found = decode_points(torch.zeros(2, 2), torch.ones(2, 2, 2), POINTS, 0.001, 10, 0.0)
    assert [x.shape for x in join([found, found])] == [(0, 2), (0,), (0,)]
