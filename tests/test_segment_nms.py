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
from plain_segment_nms import plain_segment_nms
from torch.testing import assert_close

from mmsola.models.points.decoding import Candidates, decode_points, join
from mmsola.models.points.segment_nms import SegmentNMS

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


@lru_cache(None)
def tridet():
    with np.load(DATA / 'tridet_reference.npz') as file:
        return {key: torch.from_numpy(file[key]) for key in file.files if '.eval' in key}


@pytest.mark.parametrize('setting', ['soft_multiclass', 'soft_agnostic_vote'])
@pytest.mark.parametrize('run', ['main.eval48', 'main.eval31', 'main.eval70', 'anet_like.eval31'])
def test_all_levels_together_give_opentads_segments(run, setting):
    """Which are rounded, and where one class has neither threshold nor number."""
    numbers = tridet()
    probabilities = numbers[f'{run}.scores_masked'][0].float()
    offsets = numbers[f'{run}.decoded_offsets'][0].transpose(0, 1).float()
    is_agnostic = probabilities.shape[1] == 1
    rule = (None, None, -1.0) if is_agnostic else (0.001, 2000, 0.0)
    candidates = decode_points(probabilities, offsets, numbers[f'{run}.points'], *rule)
    settings = dict(SETTINGS[setting])
    if setting == 'soft_agnostic_vote':  # those of ActivityNet
        settings.update(voting_tiou=0.95, sigma=0.7, max_segments=100, voting_by='score')
    found = SegmentNMS(**settings)(candidates)
    prefix = f'{run}.{setting}'
    meta = numbers[f'{run}.meta.fps_stride_offsetframes_duration'].tolist()
    fps, stride, offset_frames, duration = meta
    seconds = to_seconds(found.segments.double(), stride, offset_frames, fps, duration)
    expected = numbers[f'{prefix}.segments_seconds_rounded2']
    assert_close(seconds, expected, rtol=0, atol=0.00501)
    assert_close(
        found.scores.double(), numbers[f'{prefix}.scores_rounded4'], rtol=0, atol=0.0000501
    )
    assert found.labels.tolist() == numbers[f'{prefix}.labels'].tolist()


# --- the plain form -------------------------------------------------------------------------------


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('settings', SETTINGS.values(), ids=SETTINGS)
def test_it_is_the_plain_form(settings, seed):
    candidates = random_candidates(seed)
    for more in (dict(), dict(max_segments=7)):
        found = SegmentNMS(**{**settings, **more})(candidates)
        assert_close(found, plain_segment_nms(candidates, **{**settings, **more}))


def test_the_order_of_the_candidates_does_not_matter():
    candidates = random_candidates(0)
    order = torch.randperm(len(candidates.scores), generator=torch.Generator().manual_seed(0))
    shuffled = Candidates(*(column[order] for column in candidates))
    assert_close(SegmentNMS()(shuffled), SegmentNMS()(candidates))


def test_voting_moves_segments_and_leaves_scores_and_labels():
    candidates = random_candidates(1)
    plain, voted = (
        SegmentNMS(per_class=False, voting_tiou=tiou)(candidates) for tiou in (None, 0.5)
    )
    assert_close(voted[1:], plain[1:])
    assert not torch.equal(voted.segments, plain.segments)


@pytest.mark.parametrize('num', [0, 1])
@pytest.mark.parametrize('settings', SETTINGS.values(), ids=SETTINGS)
def test_nothing_and_a_single_candidate_stay(settings, num):
    segments, scores, labels = (column[:num] for column in random_candidates(2))
    candidates = Candidates(segments, scores + 0.1, labels)
    assert_close(SegmentNMS(**settings)(candidates), candidates)


@pytest.mark.parametrize(
    'wrong',
    [
        dict(method='linear'),
        dict(sigma=0.0),
        dict(tiou=1.5),
        dict(min_score=-1.0),
        dict(max_segments=0),
        dict(voting_by='tiou', per_class=False),
        dict(voting_tiou=0.5),  # per class nothing votes
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(ValueError, match='SegmentNMS: .* is .*; expected'):
        SegmentNMS(**wrong)
