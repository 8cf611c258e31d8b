"""Which figures go with the localizer's figure over runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from mmsola.evaluation.agreement import agreement


def runs(num, noise, seed=0):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=num)
    return list(target + noise * rng.normal(size=num)), list(target)


def test_it_is_the_rank_correlation_also_with_ties():
    values, target = [3.0, 1.0, 1.0, 2.0, 5.0, 5.0], [1.0, 0.0, 4.0, 4.0, 9.0, 7.0]
    (found,) = agreement({'a': values}, target)
    assert found.spearman == pytest.approx(spearmanr(values, target).statistic)
    assert found.num_runs == 6


def test_only_the_order_counts():
    values, target = runs(12, 0.5)
    (found,) = agreement({'a': values}, target)
    (bent,) = agreement({'a': list(np.exp(values))}, target)
    (falling,) = agreement({'a': [-v for v in values]}, target)
    assert bent == found
    assert (falling.spearman, falling.low) == pytest.approx((-found.spearman, -found.high))


def test_the_interval_covers_the_correlation_of_many_runs_as_often_as_it_should():
    values, target = runs(20000, 1.0)
    truth = spearmanr(values, target).statistic
    covered = 0
    for seed in range(100):
        values, target = runs(30, 1.0, seed + 1)
        (found,) = agreement({'a': values}, target, num_resamples=400)
        assert found.low < found.spearman < found.high
        covered += found.low < truth < found.high
    assert 85 <= covered <= 99


def test_verdicts_and_the_order_of_the_figures():
    good, target = runs(20, 0.2)
    figures = {
        'constant': [1.0] * 20,
        'opposite': [-v for v in good],
        'unrelated': list(np.random.default_rng(5).normal(size=20)),
        'good': good,
    }
    verdicts = {found.figure: found.verdict for found in agreement(figures, target)}
    assert list(verdicts.items()) == [
        ('good', 'above 0'),
        ('unrelated', 'contains 0'),
        ('opposite', 'below 0'),
        ('constant', 'the same in all runs'),
    ]


def test_few_runs_have_no_interval():
    (found,) = agreement({'a': [1, 2, 3, 4]}, [1, 2, 3, 4])
    assert found.spearman == pytest.approx(1) and math.isnan(found.low) and math.isnan(found.high)
    assert found.verdict == '4 pretrainings prove nothing'


def test_runs_of_one_pretraining_are_drawn_together():
    """Each pretraining four times says no more than once; without groups it would seem to."""
    values, target = runs(8, 1.0)
    (once,) = agreement({'a': values}, target)
    groups = [name for name in 'abcdefgh' for _ in range(4)]
    often = {'a': [v for v in values for _ in range(4)]}, [t for t in target for _ in range(4)]
    (grouped,) = agreement(*often, groups)
    (each,) = agreement(*often)
    assert (grouped.num_runs, grouped.num_groups) == (32, 8)
    assert [grouped.spearman, grouped.low, grouped.high] == pytest.approx(
        [once.spearman, once.low, once.high]
    )
    assert each.high - each.low < 0.7 * (grouped.high - grouped.low)
    (few,) = agreement(*often, ['a'] * 16 + ['b'] * 16)
    assert few.verdict == '2 pretrainings prove nothing'
    with pytest.raises(ValueError, match='groups has 3 runs and the target 32'):
        agreement(*often, ['a'] * 3)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ([1.0, 2.0], 'a has 2 runs and the target 3'),
        ([1.0, 2.0, float('nan')], 'a must be a list of numbers'),
        ([], 'a must be a list of numbers'),
    ],
)
def test_figures_that_do_not_fit_the_target_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        agreement({'a': values}, [1.0, 2.0, 3.0])
