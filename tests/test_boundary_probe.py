"""BoundaryProbe: what it reads off neighbours, and that it never looks where it must not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmaction.registry import METRICS
from mmaction.structures import ActionDataSample
from mmengine.evaluator import Evaluator

import mmsola  # noqa: F401
from mmsola.evaluation.boundary_probe import (
    boundaries_inside,
    differences,
    near_boundary,
    standardised_components,
)
from mmsola.evaluation.seeds import summarise
from mmsola.models.layers.moving_average import moving_average

CHANNELS, SNIPPETS = 6, 60


def video(name, role, strength=8.0, segments=((7.5, 20.5), (33.5, 47.5)), label='jump'):
    """Snippet k lies at second k; an action is a change of the first channel, after SoLa alone."""
    rng = np.random.default_rng(sum(name.encode()) * 1000 + len(name))
    centres = np.arange(SNIPPETS, dtype=float)
    raw, sola = rng.normal(size=(2, SNIPPETS, CHANNELS))
    for start, end in segments:
        sola[(centres >= start) & (centres < end), 0] += strength
    return dict(
        raw=raw,
        sola=sola,
        video_name=name,
        role=role,
        snippet_centres_sec=centres,
        annotations=[{'segment': list(times), 'label': label} for times in segments],
    )


def several(num_fit=8, num_score=6, **kwargs):
    return [
        video(f'{role}_{i}', role, **kwargs)
        for role, num in (('fit', num_fit), ('score', num_score))
        for i in range(num)
    ]


def probe(videos, **kwargs):
    evaluator = Evaluator([dict(type='BoundaryProbe', **kwargs)])
    for item in videos:
        meta = {k: v for k, v in item.items() if k not in ('raw', 'sola')}
        sample = ActionDataSample(metainfo=meta)
        sample.set_field(torch.from_numpy(item['sola'].T).float(), 'sola_feature')
        inputs = [torch.from_numpy(item['raw'].T).float()]
        evaluator.process(data_samples=[sample], data_batch={'inputs': inputs})
    return evaluator.evaluate(size=len(videos))


# --- what it measures -----------------------------------------------------------------------------


def test_changes_at_boundaries_are_found_and_noise_scores_a_half():
    metrics = probe(several(20, 20), folds=2)
    for key in ('boundary/auc', 'boundary/cv_auc'):
        assert metrics[key] > 0.95
        assert metrics[f'{key}_untouched'] == pytest.approx(0.5, abs=0.06)
    assert metrics['boundary/ap'] > 0.8 > 0.4 > metrics['boundary/ap_untouched']


def test_classes_do_not_matter():
    assert probe(several(label='jump')) == probe(several(label='sit'))


def test_offset_and_scale_of_channels_do_not_matter():
    videos = several(strength=3.0)
    factor, offset = np.arange(1, CHANNELS + 1) ** 3, np.arange(CHANNELS) * 10
    scaled = [{**item, 'sola': item['sola'] * factor + offset} for item in videos]
    for key in ('boundary/auc', 'boundary/ap'):
        assert probe(scaled)[key] == pytest.approx(probe(videos)[key], abs=1e-3)


def test_near_is_within_the_radius_and_at_least_one_of_two_neighbours():
    centres = np.arange(10.0)
    annotations = [{'segment': [-1, 4.3]}, {'segment': [6.5, 9.0]}, {'segment': [0, 4.3]}]
    boundaries = boundaries_inside(centres, annotations)
    assert boundaries.tolist() == [4.3, 6.5]  # 9.0 is the last snippet's centre
    for radius_sec, expected in ((0.1, [4, 6, 7]), (None, [4, 5, 6, 7]), (2, [*range(3, 9)])):
        assert np.flatnonzero(near_boundary(centres, boundaries, radius_sec)).tolist() == expected
    assert not near_boundary(centres, boundaries[:0], 5.0).any()
    half = near_boundary(centres / 2, boundaries / 2, 1.0)
    assert half.tolist() == near_boundary(centres, boundaries, 2.0).tolist()


def test_differences_are_those_of_the_snippets_that_there_are():
    x = np.random.default_rng(0).normal(size=(9, 3))
    rows = differences(x, (1, 4)).reshape(9, 2, 4)
    for column, reach in enumerate((1, 4)):
        for k in range(1, 8):
            before, after = x[max(k - reach, 0) : k], x[k + 1 : k + 1 + reach]
            expected = np.abs(after.mean(0) - before.mean(0))
            expected /= np.sqrt((1 / len(before) + 1 / len(after)) * reach / 2)
            np.testing.assert_allclose(rows[k, column, :3], expected, atol=1e-12)
            assert rows[k, column, 3] == pytest.approx(np.linalg.norm(expected))
    assert not rows[[0, 8]].any()
    assert differences(x[:1], (1, 4)).tolist() == [[0.0] * 8]


def test_components_are_of_unit_channels_and_constants_count_for_nothing():
    x = np.random.default_rng(0).normal(size=(200, 3)).astype('f4') * [1, 100, 0] + [0, 7, 0.3]
    mean, components = standardised_components(x.astype('f4'), 8)
    projected = (x - mean) @ components
    assert components.shape == (3, 3) and not components[2].any()
    variance = projected.var(0)
    assert variance[0] >= variance[1] and variance.sum() == pytest.approx(2, abs=1e-3)
    first = standardised_components(x.astype('f4'), 1)[1]
    np.testing.assert_allclose(first, components[:, :1])


def test_the_edges_of_noise_look_like_the_rest_of_it():
    rows = np.stack(
        [differences(x, (1, 8)) for x in np.random.default_rng(0).normal(size=(4000, 20, 2))]
    )
    size = np.sqrt((rows**2).mean(0))[1:-1]
    np.testing.assert_allclose(size, size.mean(0, keepdims=True).repeat(18, 0), rtol=0.05)


def test_differences_of_thinned_videos_are_of_all_snippets():
    """A change of three snippets' length lies between the rows of a thinned video."""
    videos = several(24, 24, segments=((14.5, 17.5), (33.5, 36.5)))
    assert probe(videos, max_snippets_per_video=20, reach_snippets=(1, 2))['boundary/auc'] > 0.9


# --- references, roles, folds ---------------------------------------------------------------------


def test_references_are_measured_as_sola_is():
    videos = several()
    swapped = [{**item, 'raw': item['sola'], 'sola': item['raw']} for item in videos]
    there, back = probe(videos), probe(swapped)
    for key in ('boundary/auc', 'boundary/ap'):
        assert there[key] == back[f'{key}_untouched'] != there[f'{key}_untouched']
        assert there[f'{key}_gain'] == there[key] - there[f'{key}_untouched']
    by_hand = []
    for item in videos:
        smoothed = moving_average(torch.from_numpy(item['sola'].T), 3).T.numpy()
        by_hand.append({**item, 'sola': smoothed})
    assert probe(swapped, smoothing_snippets=3)['boundary/auc_smoothed'] == pytest.approx(
        probe(by_hand)['boundary/auc'], abs=1e-3
    )


def test_its_figures_are_among_those_of_several_seeds():
    metrics = probe(several(), folds=2)
    names = {(gain.metric, gain.reference) for gain in summarise([metrics, metrics])}
    assert {(f'boundary/{f}', r) for f in ('auc', 'ap', 'cv_auc', 'cv_ap')
            for r in ('untouched', 'smoothed')} == names  # fmt: skip


def test_cross_validation_never_sees_scored_videos():
    videos = several(strength=2.0)
    others = [
        {**item, 'sola': item['sola'][::-1].copy()} if item['role'] == 'score' else item
        for item in videos
    ]
    one, two = probe(videos, folds=2), probe(others, folds=2)
    assert one['boundary/cv_auc'] == two['boundary/cv_auc']
    assert one['boundary/auc'] != two['boundary/auc']


def test_videos_without_boundaries_are_skipped():
    """Also where their only segment fills the video."""
    full = ((-5.0, SNIPPETS + 5.0),)
    bare = [video('fit_bare', 'fit', segments=()), video('score_full', 'score', segments=full)]
    assert probe([*several(), *bare]) == probe(several())
    with pytest.raises(ValueError, match='none of 2 videos has a start or end'):
        probe(bare)
    with pytest.raises(ValueError, match="BoundaryProbe: needs videos with role='fit'"):
        probe([*several(num_score=0), bare[1]])


def test_a_radius_that_covers_everything_is_an_error():
    with pytest.raises(ValueError, match=r'all of \d+ snippets to fit .* Lower radius_sec'):
        probe(several(), radius_sec=30.0)


@pytest.mark.parametrize(
    'option',
    [dict(radius_sec=0.0), dict(reach_snippets=(0, 2)), dict(smoothing_snippets=2)],
    ids=str,
)
def test_impossible_settings_are_refused(option):
    with pytest.raises(ValueError, match=f'BoundaryProbe: {next(iter(option))} must be'):
        METRICS.build(dict(type='BoundaryProbe', **option))
