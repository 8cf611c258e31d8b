"""Temporal self-similarity, and its mean without the matrix."""

from __future__ import annotations

import math

import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.evaluator import Evaluator

import mmsola  # noqa: F401
from mmsola.evaluation.self_similarity import mean_similarity, temporal_self_similarity


def feature(num_snippets=12, channels=5, seed=0):
    return torch.randn(num_snippets, channels, generator=torch.Generator().manual_seed(seed))


def off_diagonal_mean(feature):
    matrix = temporal_self_similarity(feature).double()
    return matrix[~torch.eye(len(matrix), dtype=torch.bool)].mean().item()


def test_tsm_holds_the_cosines_of_all_pairs():
    x = feature()
    matrix = temporal_self_similarity(x)
    assert matrix.shape == (12, 12)
    for i, j in [(0, 0), (2, 7), (11, 3)]:
        cosine = torch.nn.functional.cosine_similarity(x[i], x[j], dim=0)
        assert matrix[i, j].item() == pytest.approx(cosine.item(), abs=1e-6)
    assert torch.equal(matrix, matrix.T) and matrix.abs().max() <= 1 + 1e-6


@pytest.mark.parametrize('num_snippets', [2, 3, 50])
def test_mean_similarity_is_the_mean_off_the_diagonal_of_the_tsm(num_snippets):
    x = feature(num_snippets)
    assert mean_similarity(x) == pytest.approx(off_diagonal_mean(x), abs=1e-6)


def test_mean_similarity_is_exact_for_snippets_of_zeros_and_half_precision():
    x = feature(6)
    x[[1, 4]] = 0
    assert mean_similarity(x) == pytest.approx(off_diagonal_mean(x), abs=1e-6)
    assert mean_similarity(x.half()) == pytest.approx(off_diagonal_mean(x.half()), abs=1e-6)


@pytest.mark.parametrize(
    ('x', 'expected'),
    [
        (torch.ones(7, 3) * torch.arange(1, 8)[:, None], 1.0),
        (torch.eye(6), 0.0),
        (torch.tensor([[1.0, 2.0], [-3.0, -6.0]]), -1.0),
    ],
    ids=['one direction', 'orthogonal', 'opposite'],
)
def test_mean_similarity_of_plain_cases(x, expected):
    assert mean_similarity(x) == pytest.approx(expected, abs=1e-6)


def test_a_single_snippet_has_no_similarity():
    assert math.isnan(mean_similarity(feature(1)))


def metrics_of(videos):
    evaluator = Evaluator([dict(type='SelfSimilarity')])
    for role, raw, after in videos:
        sample = ActionDataSample(metainfo=dict(role=role))
        sample.set_field(after.T, 'sola_feature')
        evaluator.process(data_samples=[sample], data_batch={'inputs': [raw.T]})
    return evaluator.evaluate(size=len(videos))


def videos(*roles):
    return [(r, feature(8, seed=i) + 1, feature(8, seed=i)) for i, r in enumerate(roles)]


def test_metric_averages_over_videos_before_and_after_sola():
    items = videos(None, None, None)
    metrics = metrics_of(items)
    for key, column in (('tsm/self_similarity', 2), ('tsm/self_similarity_untouched', 1)):
        expected = sum(off_diagonal_mean(item[column]) for item in items) / 3
        assert metrics[key] == pytest.approx(expected, abs=1e-6)
    assert metrics['tsm/self_similarity'] < metrics['tsm/self_similarity_untouched']


def test_only_scored_videos_count_where_roles_are_given():
    items = videos('fit', 'score', 'score', 'fit')
    assert metrics_of(items) == metrics_of(items[1:3]) != metrics_of([items[0], items[3]])


def test_videos_of_one_snippet_do_not_count():
    items = videos(None, None)
    assert metrics_of([*items, (None, feature(1), feature(1))]) == metrics_of(items)
