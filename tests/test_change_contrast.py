"""ChangeContrast: it sees changes, and neither smoothness nor scale."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from mmaction.registry import METRICS
from mmaction.structures import ActionDataSample
from mmengine.evaluator import Evaluator

import mmsola  # noqa: F401
from mmsola.evaluation.change_contrast import change_contrast, explained_by_segments
from mmsola.evaluation.seeds import summarise
from mmsola.models.layers.moving_average import moving_average

CHANNELS = 16


def noise(seed, num_snippets=90):
    return np.random.default_rng(seed).normal(size=(num_snippets, CHANNELS))


def random_walk(seed):
    return noise(seed).cumsum(0)


def segments(seed, strength=1.5, num_snippets=90):
    """Segments of 4 to 10 snippets, each along a direction of its own, in noise."""
    rng = np.random.default_rng(1000 + seed)
    edges = np.cumsum(rng.integers(4, 11, size=num_snippets // 4))
    of_segment = rng.normal(size=(len(edges) + 1, CHANNELS))
    segment = np.searchsorted(edges, np.arange(num_snippets), side='right')
    return strength * of_segment[segment] + noise(seed, num_snippets)


def smooth(x, width):
    return moving_average(torch.from_numpy(x).T[None], width)[0].T.numpy()


def contrast(x, seed=0, segment_snippets=5, num_surrogates=8, piece_snippets=64):
    return change_contrast(
        x, segment_snippets, num_surrogates, piece_snippets, np.random.default_rng(seed)
    )


def mean_contrast(make, width=1, num=16):
    return np.mean([contrast(smooth(make(seed), width)) for seed in range(num)])


# --- what it measures -----------------------------------------------------------------------------


def test_constant_pieces_have_one_and_noise_between_them_lowers_it():
    pieces = np.repeat(noise(0, 9), 6, axis=0)
    assert contrast(pieces, segment_snippets=6) == pytest.approx(1.0)
    values = [contrast(pieces + s * noise(1, 54), segment_snippets=6) for s in (0.2, 0.5, 1, 4)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.8 and abs(values[-1]) < 0.05


@pytest.mark.parametrize('width', [1, 3, 5, 9, 21])
@pytest.mark.parametrize('make', [noise, random_walk])
def test_series_without_changes_have_none_however_smooth_they_are(make, width):
    assert mean_contrast(make, width) < 0.02
    assert mean_contrast(make, min(width, 5)) > -0.02


def test_it_tells_features_that_know_changes_from_smoothed_noise():
    """Although noise, smoothed, has more of its variance between segments."""
    known, smoothed = segments(0, strength=0.7), smooth(noise(0), 9)
    shares = []
    for x in (known, smoothed):
        centred = x - x.mean(0)
        shares.append(explained_by_segments((centred @ centred.T)[None], 18)[0])
    assert shares[0] < shares[1]
    each = [(contrast(segments(seed, 0.7)), contrast(smooth(noise(seed), 9))) for seed in range(8)]
    assert min(found for found, _ in each) > max(found for _, found in each)


def test_much_smoothing_of_changes_lowers_it():
    values = [mean_contrast(segments, width) for width in (1, 5, 9, 21)]
    assert values[0] > values[2] > values[3] and values[1] > values[2]


@pytest.mark.parametrize(
    'change',
    [
        lambda x: x + 50,
        lambda x: 0.01 * x,
        lambda x: x @ np.linalg.qr(noise(7, CHANNELS))[0],
        lambda x: np.pad(x, [(0, 0), (0, 5)], constant_values=3),
    ],
    ids=['offset', 'factor', 'rotation', 'constant channels'],
)
def test_offset_and_scale_do_not_matter(change):
    """They change mean self-similarity at will."""
    x = segments(0)
    assert contrast(change(x)) == pytest.approx(contrast(x), abs=1e-6)


def test_the_division_is_the_best_of_all():
    x = noise(3, 8)
    x -= x.mean(0)
    for num_segments in (1, 2, 3, 5, 8):
        best = 0.0
        for inner in itertools.combinations(range(1, 8), num_segments - 1):
            parts = np.split(x, inner)
            between = sum(len(part) * np.sum(part.mean(0) ** 2) for part in parts)
            best = max(best, between / np.sum(x**2))
        (share,) = explained_by_segments((x @ x.T)[None], num_segments)
        assert share == pytest.approx(best)


def test_long_videos_are_measured_in_pieces():
    """Each has an offset of its own, so a jump from one to the next is none."""
    x = segments(0, num_snippets=128)
    jump = np.repeat([0.0, 30.0], 64)[:, None]
    assert contrast(x + jump) == pytest.approx(contrast(x), abs=1e-6)
    assert contrast(x + jump, piece_snippets=128) != pytest.approx(contrast(x), abs=0.05)


def test_a_video_that_never_changes_has_none():
    assert contrast(np.ones((90, 4))) == 0.0
    assert contrast(np.tile(noise(0, 1), (90, 1))) == 0.0  # its mean is rounded


# --- as a metric ----------------------------------------------------------------------------------


def video(name, raw, sola, role=None, step_sec=None):
    sample = ActionDataSample(metainfo=dict(video_name=name, role=role))
    if step_sec is not None:
        sample.set_metainfo(dict(snippet_centres_sec=np.arange(len(raw)) * step_sec))
    sample.set_field(torch.from_numpy(sola).T.float(), 'sola_feature')
    return torch.from_numpy(raw).T.float(), sample


def several(num=4, roles=(None,), **kwargs):
    return [
        video(f'v{i}', noise(i), segments(i), role=roles[i % len(roles)], **kwargs)
        for i in range(num)
    ]


def evaluate(videos, evaluator=None, **kwargs):
    evaluator = evaluator or Evaluator([dict(type='ChangeContrast', **kwargs)])
    for raw, sample in videos:
        evaluator.process(data_samples=[sample], data_batch={'inputs': [raw]})
    return evaluator.evaluate(size=len(videos))


def test_references_are_measured_as_sola_is():
    metrics = evaluate(several())
    swapped = evaluate([video(f'v{i}', segments(i), noise(i)) for i in range(4)])
    assert metrics['change/contrast'] > 0.1 > abs(metrics['change/contrast_untouched'])
    assert metrics['change/contrast'] == pytest.approx(swapped['change/contrast_untouched'])
    assert metrics['change/contrast_untouched'] == pytest.approx(swapped['change/contrast'])
    smoothed = evaluate([video(f'v{i}', noise(i), smooth(segments(i), 3)) for i in range(4)])
    of_raw = evaluate(
        [video(f'v{i}', segments(i), noise(i)) for i in range(4)], smoothing_snippets=3
    )
    assert of_raw['change/contrast_smoothed'] == pytest.approx(
        smoothed['change/contrast'], abs=1e-4
    )
    gain = metrics['change/contrast'] - metrics['change/contrast_untouched']
    assert metrics['change/contrast_gain'] == gain


def test_its_figures_are_among_those_of_several_seeds():
    gains = summarise([evaluate(several()), evaluate(several(3))])
    assert [(gain.metric, gain.reference) for gain in gains] == [
        ('change/contrast', 'untouched'),
        ('change/contrast', 'smoothed'),
    ]


def test_scored_videos_do_not_count_where_roles_are_given():
    videos = several(6, roles=('fit', 'score'))
    assert evaluate(videos) == evaluate(videos[::2])
    assert evaluate(videos) != evaluate(several(6))


def test_the_order_of_the_videos_does_not_matter_and_a_second_validation_is_the_same():
    videos = several()
    evaluator = Evaluator([dict(type='ChangeContrast')])
    first = evaluate(videos, evaluator)
    assert evaluate(videos, evaluator) == first
    assert evaluate(videos[::-1]) == pytest.approx(first)


def test_length_in_seconds_is_length_in_snippets_on_a_timeline():
    in_seconds = evaluate(several(step_sec=0.5), segment_sec=4)
    assert in_seconds == evaluate(several(), segment_snippets=8) != evaluate(several())
    with pytest.raises(ValueError, match=r'v0 has no timeline for segment_sec=4'):
        evaluate(several(), segment_sec=4)


def test_short_videos_are_skipped():
    short = video('short', noise(1, 5), noise(2, 5))
    assert evaluate([*several(), short]) == evaluate(several())
    with pytest.raises(ValueError, match='of 1 videos none to fit has 6 snippets'):
        evaluate([short])


@pytest.mark.parametrize(
    'option',
    [
        dict(smoothing_snippets=4),
        dict(segment_snippets=1),
        dict(segment_sec=0.0),
        dict(num_surrogates=0),
        dict(piece_snippets=5),
    ],
    ids=str,
)
def test_impossible_settings_are_refused(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        METRICS.build(dict(type='ChangeContrast', **option))
