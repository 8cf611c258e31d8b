"""LinearProbe: what it reads off features, and that it never looks where it must not."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from mmaction.registry import METRICS
from mmaction.structures import ActionDataSample
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger

import mmsola  # noqa: F401
from mmsola.evaluation import host_copy
from mmsola.models.layers.moving_average import moving_average

CHANNELS, SNIPPETS = 12, 40
DIRECTION = np.eye(CHANNELS)[0]


@pytest.fixture
def messages():
    """What is logged meanwhile; MMEngine's logger does not hand on to Python's."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


def video(name, role, strength=3.0, direction=DIRECTION, group=None, num_snippets=SNIPPETS,
          segments=None, seed=None):  # fmt: skip
    """A video whose action is ``strength`` along ``direction`` after SoLa and noise before it.

    Snippet k lies at second k. Without ``segments`` it has two of one class.
    """
    rng = np.random.default_rng(sum(name.encode()) * 1000 + len(name) if seed is None else seed)
    if segments is None:
        segments = [
            ((num_snippets * 0.1, num_snippets * 0.35), 'jump'),
            ((num_snippets * 0.6, num_snippets * 0.8), 'jump'),
        ]
    centres = np.arange(num_snippets, dtype=float)
    action = np.zeros(num_snippets)
    for (start, end), _ in segments:
        action[(centres >= start) & (centres < end)] = 1
    raw, noise = rng.normal(size=(2, num_snippets, CHANNELS))
    return dict(
        raw=raw,
        sola=noise + strength * np.outer(action, direction),
        video_name=name,
        role=role,
        group=group,
        snippet_centres_sec=centres,
        annotations=[{'segment': list(times), 'label': label} for times, label in segments],
    )


def several(role, num, **kwargs):
    return [video(f'{role}_{i:02d}', role, **kwargs) for i in range(num)]


def feed(evaluator, videos):
    for item in videos:
        meta = {k: v for k, v in item.items() if k not in ('raw', 'sola') and v is not None}
        sample = ActionDataSample(metainfo={'role': None, **meta})
        sample.set_field(torch.from_numpy(item['sola'].T).float(), 'sola_feature')
        inputs = [torch.from_numpy(item['raw'].T).float()]
        evaluator.process(data_samples=[sample], data_batch={'inputs': inputs})


def probe(videos, **kwargs):
    """The metrics as a Runner gets them."""
    evaluator = Evaluator([dict(type='LinearProbe', **kwargs)])
    feed(evaluator, videos)
    return evaluator.evaluate(size=len(videos))


# --- what it measures -----------------------------------------------------------------------------


def test_what_a_line_separates_scores_one_and_noise_scores_a_half():
    videos = several('fit', 15, strength=20.0) + several('score', 15, strength=20.0)
    metrics = probe(videos)
    assert metrics['probe/auc'] > 0.999 and metrics['probe/balanced_accuracy'] > 0.98
    assert metrics['probe/auc_untouched'] == pytest.approx(0.5, abs=0.08)
    assert metrics['probe/balanced_accuracy_untouched'] == pytest.approx(0.5, abs=0.08)


def test_gain_is_the_exact_difference_to_the_untouched_features():
    metrics = probe(several('fit', 6) + several('score', 4), folds=2)
    gains = {key for key in metrics if key.endswith('_gain')}
    assert {'probe/auc_gain', 'probe/cv_auc_gain'} <= gains
    for key in gains:
        figure = key.removesuffix('_gain')
        assert metrics[key] == metrics[figure] - metrics[f'{figure}_untouched'] != 0


def test_untouched_features_are_measured_as_those_of_sola_are():
    videos = several('fit', 6) + several('score', 4)
    swapped = [{**item, 'raw': item['sola'], 'sola': item['raw']} for item in videos]
    there, back = probe(videos), probe(swapped)
    assert there['probe/auc'] == back['probe/auc_untouched']
    assert there['probe/auc_untouched'] == back['probe/auc']
    assert there['probe/auc_gain'] == -back['probe/auc_gain']


@pytest.mark.parametrize(('option', 'width'), [({}, 5), (dict(smoothing_snippets=3), 3)], ids=str)
@pytest.mark.parametrize('most', [200, 13])
def test_smoothed_features_are_the_mean_of_the_neighbours_that_there_are(option, width, most):
    """Of neighbours as they follow each other in the video, also where it is thinned."""
    videos = several('fit', 6) + several('score', 4)
    swapped = [{**item, 'raw': item['sola']} for item in videos]
    half, by_hand = width // 2, []
    for item in videos:
        x = item['sola']
        mean = [x[max(k - half, 0) : k + half + 1].mean(0) for k in range(len(x))]
        by_hand.append({**item, 'sola': np.stack(mean)})
    smoothed = probe(swapped, max_snippets_per_video=most, **option)['probe/auc_smoothed']
    expected = probe(by_hand, max_snippets_per_video=most)['probe/auc']
    assert smoothed == pytest.approx(expected, abs=1e-4)
    assert smoothed != probe(swapped, max_snippets_per_video=most)['probe/auc_untouched']


def test_moving_average_divides_by_the_neighbours_that_there_are():
    x = torch.tensor([[3.0, 6.0, 0.0, 9.0]])
    assert moving_average(x, 3).tolist() == [[4.5, 3.0, 5.0, 4.5]]
    assert moving_average(x[:, :1], 5).tolist() == [[3.0]]
    assert torch.equal(moving_average(x, 1), x)


@pytest.mark.parametrize('width', [0, 4, -3])
def test_an_even_or_empty_moving_average_is_refused(width):
    with pytest.raises(ValueError, match=f'smoothing_snippets must be odd, got {width}'):
        METRICS.build(dict(type='LinearProbe', smoothing_snippets=width))


def test_same_videos_give_the_same_figures_again():
    videos = several('fit', 6) + several('score', 4)
    evaluator = Evaluator([dict(type='LinearProbe', targets=['foreground', 'classes'], folds=3)])
    rounds = []
    for _ in range(2):  # as in two validations of one training
        feed(evaluator, videos)
        rounds.append(evaluator.evaluate(size=len(videos)))
    assert rounds[0] == rounds[1] == probe(videos, targets=['foreground', 'classes'], folds=3)


def test_a_better_module_raises_the_gain_of_a_later_validation():
    evaluator = Evaluator([dict(type='LinearProbe')])
    gains, untouched = [], set()
    for strength in (0.0, 1.0, 3.0):
        videos = several('fit', 8, strength=strength) + several('score', 6, strength=strength)
        feed(evaluator, videos)
        metrics = evaluator.evaluate(size=len(videos))
        gains.append(metrics['probe/auc_gain'])
        untouched.add(metrics['probe/auc_untouched'])
    assert gains == sorted(gains) and gains[-1] > gains[0] + 0.2
    assert len(untouched) == 1


def test_length_of_features_is_not_read():
    videos = several('fit', 6) + several('score', 4)
    rng = np.random.default_rng(0)
    scaled = [
        {**item, 'sola': item['sola'] * rng.uniform(0.1, 10, (len(item['sola']), 1))}
        for item in videos
    ]
    assert probe(scaled)['probe/auc'] == pytest.approx(probe(videos)['probe/auc'], abs=1e-4)


def test_rare_action_is_weighed_as_much_as_all_background():
    """A classifier that may call nearly everything background would score a half."""
    rare = dict(segments=[((3.0, 5.0), 'jump')], strength=1.5)
    metrics = probe(several('fit', 15, **rare) + several('score', 15, **rare))
    assert metrics['probe/balanced_accuracy'] > 0.65
    assert metrics['probe/balanced_accuracy_untouched'] == pytest.approx(0.5, abs=0.15)


def test_a_snippet_is_action_from_the_start_to_before_the_end_of_any_segment():
    """The feature spells out the expected membership: with no other is every snippet right."""
    segments = [((3.0, 6.0), 'jump'), ((5.0, 8.5), 'run'), ((20.0, 20.5), 'run')]
    inside = np.isin(np.arange(SNIPPETS), [3, 4, 5, 6, 7, 8, 20])
    videos = several('fit', 2, segments=segments) + several('score', 2, segments=segments)
    # one of the segments' edges is the only snippet of its kind: any other reading costs some AUC
    for item in videos:
        item['sola'] = np.where(inside[:, None], DIRECTION, -DIRECTION)
    assert probe(videos)['probe/auc'] == probe(videos)['probe/balanced_accuracy'] == 1


def test_a_video_without_any_action_counts_as_background():
    videos = several('fit', 4) + several('score', 4) + [video('empty', 'score', segments=[])]
    for item in videos:
        if item['video_name'] == 'empty':
            item['sola'] += 20 * DIRECTION  # looks like action everywhere, and is not
    assert probe(videos)['probe/auc'] < probe(videos[:-1])['probe/auc'] - 0.1


def test_longer_videos_are_thinned_evenly_from_the_first_to_the_last_snippet():
    segments = [((10.0, 31.0), 'jump')]
    long = several('fit', 5, num_snippets=58, segments=segments)
    long += several('score', 5, num_snippets=58, segments=segments)
    every_third = [
        {**v, **{k: v[k][::3] for k in ('raw', 'sola', 'snippet_centres_sec')}} for v in long
    ]
    assert len(every_third[0]['sola']) == 20 and every_third[0]['snippet_centres_sec'][-1] == 57
    thinned, by_hand = probe(long, max_snippets_per_video=20), probe(every_third)
    for metric in ('auc', 'balanced_accuracy', 'auc_untouched', 'balanced_accuracy_untouched'):
        assert thinned[f'probe/{metric}'] == by_hand[f'probe/{metric}']
    assert thinned != probe(long)
    assert probe(long, max_snippets_per_video=58) == probe(long), 'short enough ones stay whole'


# --- classes --------------------------------------------------------------------------------------


def average_precision(truth, score):
    """Precision at the rank of each true one, averaged."""
    truth = truth[np.argsort(-score)]
    return float((np.cumsum(truth) / np.arange(1, len(truth) + 1))[truth].mean())


def ridge(x, y, alpha):
    centred = x - x.mean(0)
    weights = np.linalg.solve(
        centred.T @ centred + alpha * np.eye(x.shape[1]), centred.T @ (y - y.mean())
    )
    return lambda other: other @ weights


def classes_by_hand(videos, labels, alpha=10.0):
    sides = {}
    for role in ('fit', 'score'):
        side = [item for item in videos if item['role'] == role]
        x = np.concatenate([item['sola'] for item in side])
        y = {
            label: np.concatenate([
                np.any([
                    (item['snippet_centres_sec'] >= a['segment'][0])
                    & (item['snippet_centres_sec'] < a['segment'][1])
                    for a in item['annotations'] if a['label'] == label
                ] or [np.zeros(len(item['sola']), bool)], axis=0)
                for item in side
            ])
            for label in labels
        }  # fmt: skip
        sides[role] = x / np.linalg.norm(x, axis=1, keepdims=True), y
    (x_fit, y_fit), (x_score, y_score) = sides['fit'], sides['score']
    return np.mean([
        average_precision(y_score[k], ridge(x_fit, y_fit[k].astype(float), alpha)(x_score))
        for k in labels
    ])  # fmt: skip


SEGMENTS = [((2.0, 20.0), 'run'), ((10.0, 25.0), 'jump'), ((30.0, 34.0), 'jump'),
            ((36.0, 38.0), 'throw')]  # fmt: skip


def class_videos():
    videos = several('fit', 6, segments=SEGMENTS) + several('score', 4, segments=SEGMENTS)
    videos.append(video('fit_swim', 'fit', segments=[((0.0, 39.5), 'swim')]))
    videos.append(video('score_fly', 'score', segments=[((0.0, 30.0), 'fly')]))
    return videos


def test_map_is_the_mean_average_precision_of_ridge_regressions():
    """Over the classes that occur on both sides: not swim, which nobody scores, nor fly."""
    videos = class_videos()
    metrics = probe(videos, targets=['classes'])
    by_hand = classes_by_hand(videos, ['run', 'jump', 'throw'])
    assert metrics['probe/mAP'] == pytest.approx(by_hand, abs=1e-5)
    assert all(key.startswith('probe/mAP') for key in metrics), 'and no other figure'


@pytest.mark.parametrize(('num', 'labels'), [(1, ['jump']), (2, ['jump', 'run'])])
def test_map_of_so_many_classes_takes_the_most_frequent_ones(num, labels):
    videos = [v for v in class_videos() if v['video_name'] not in ('fit_swim', 'score_fly')]
    metrics = probe(videos, targets=['classes'], num_classes=num, ridge_alpha=2.0)
    by_hand = classes_by_hand(videos, labels, alpha=2.0)
    assert metrics['probe/mAP'] == pytest.approx(by_hand, abs=1e-5)


def test_both_targets_give_both_figures():
    videos = class_videos()
    both = probe(videos, targets=['foreground', 'classes'])
    assert both == {**probe(videos), **probe(videos, targets=['classes'])}


def test_no_common_class_is_an_error():
    videos = several('fit', 2, segments=[((0, 9), 'run')])
    videos += several('score', 2, segments=[((0, 9), 'fly')])
    with pytest.raises(ValueError, match='no class occurs both'):
        probe(videos, targets=['classes'])


# --- who is fitted, who is scored -----------------------------------------------------------------


def test_a_fitted_video_whose_group_is_scored_is_left_out_and_counted(messages):
    fit = [video(f'fit_{i}', 'fit', group=f'person_{i}') for i in range(6)]
    score = [video(f'score_{i}', 'score', group=f'other_{i}') for i in range(3)]
    leak = [
        video(f'leak_{i}', 'fit', group='other_1', strength=-30.0) for i in range(2)
    ]  # would turn the classifier round
    metrics = probe(fit + leak + score, folds=2)
    assert '2 of 8 videos to fit are left out, their group is scored' in ' '.join(messages)
    assert metrics == probe(fit + score, folds=2)
    harmless = [{**item, 'group': 'nobody'} for item in leak]
    assert metrics != probe(fit + harmless + score, folds=2)


def test_fitting_only_groups_that_are_scored_is_an_error():
    with pytest.raises(ValueError, match='every one of 3 videos to fit shares its group'):
        probe(several('fit', 3, group='same') + several('score', 2, group='same'))


def test_a_video_on_both_sides_is_an_error():
    videos = several('fit', 3) + several('score', 3) + [video('fit_01', 'score')]
    with pytest.raises(ValueError, match='1 videos are both fitted and scored, for example fit_01'):
        probe(videos)


def own_directions(num_groups, role, grouped):
    """Videos of a group share the direction of their action; groups have nothing in common."""
    videos = []
    for i in range(num_groups):
        signs = np.random.default_rng(100 + i).normal(size=CHANNELS)
        direction = signs / np.linalg.norm(signs)
        for j in range(4):
            group = f'person_{i}' if grouped else None
            videos.append(video(f'{i}_{j}', role, 12.0, direction, group))
    return videos


def test_without_roles_a_third_of_the_groups_is_held_out():
    """Directions of two people: whoever has seen the scored one knows, and nobody has."""
    known = probe(own_directions(3, None, grouped=False))['probe/auc']
    unknown = probe(own_directions(3, None, grouped=True))['probe/auc']
    assert known > 0.85 and unknown < known - 0.1


def test_without_roles_the_seed_chooses_the_held_out_videos():
    videos = several('any', 9)
    for item in videos:
        item['role'] = None
    figures = [probe(videos, seed=seed)['probe/auc'] for seed in (0, 0, 1)]
    assert figures[0] == figures[1] != figures[2]


@pytest.mark.parametrize('roles', [['fit'], ['score'], ['fit', None]])
def test_roles_without_one_side_are_an_error(roles):
    videos = [video(f'v{i}', role) for role in roles for i in range(3)]
    with pytest.raises(ValueError, match="needs videos with role='fit' and with role='score'"):
        probe(videos)


@pytest.mark.parametrize('side', ['fit', 'score'])
@pytest.mark.parametrize(
    ('segments', 'what'), [([], 'background'), ([((-1.0, 99.0), 'jump')], 'action')]
)
def test_a_side_of_one_kind_only_is_an_error_that_points_at_the_timeline(side, segments, what):
    sides = {'fit': {}, 'score': {}, side: dict(segments=segments)}
    videos = several('fit', 3, **sides['fit']) + several('score', 3, **sides['score'])
    with pytest.raises(ValueError, match=rf'all 120 snippets to {side} are {what}.*timeline'):
        probe(videos)


def test_a_video_without_annotation_is_named():
    item = video('v_lost', 'score')
    del item['snippet_centres_sec'], item['annotations']
    with pytest.raises(ValueError, match='v_lost has no annotation, or no timeline'):
        probe([item])


@pytest.mark.parametrize('targets', [[], ['action'], ['foreground', 'verbs']])
def test_unknown_targets_are_refused(targets):
    with pytest.raises(ValueError, match="targets are 'foreground' and 'classes'"):
        METRICS.build(dict(type='LinearProbe', targets=targets))


# --- cross-validation -----------------------------------------------------------------------------


def test_cross_validation_does_not_see_the_scored_videos():
    fit, score = several('fit', 9, strength=1.0), several('score', 4, strength=1.0)
    turned = [{**v, 'sola': -v['sola'][::-1].copy(), 'raw': v['raw'] * 0 + 1} for v in score]
    options = dict(folds=3, targets=['foreground', 'classes'])
    first, second = probe(fit + score, **options), probe(fit + turned, **options)
    crossed = {key for key in first if key.startswith('probe/cv_')}
    assert {'probe/cv_auc', 'probe/cv_mAP', 'probe/cv_auc_untouched'} <= crossed
    assert {k: first[k] for k in crossed} == {k: second[k] for k in crossed}
    assert first['probe/auc'] != second['probe/auc']


def test_cross_validation_holds_whole_groups_out():
    score = several('score', 3)
    known = probe(own_directions(3, 'fit', grouped=False) + score, folds=3)['probe/cv_auc']
    unknown = probe(own_directions(3, 'fit', grouped=True) + score, folds=3)['probe/cv_auc']
    assert known > 0.85 and unknown < known - 0.1


def test_more_folds_than_groups_are_an_error():
    fit = [video(f'fit_{i}', 'fit', group=f'person_{i % 2}') for i in range(6)]
    with pytest.raises(ValueError, match='folds=3 needs as many groups of videos to fit, found 2'):
        probe(fit + several('score', 2), folds=3)


def test_without_folds_nothing_is_cross_validated():
    metrics = probe(several('fit', 4) + several('score', 2))
    assert not any('cv_' in key for key in metrics)


def test_what_lies_elsewhere_comes_to_the_host_in_one_copy(monkeypatch):
    """As it is, whatever its shape and precision; what is here already is not copied."""
    tensors = [torch.rand(3, 4).T, torch.rand(5), torch.rand(2, 3, 4).half(), torch.rand(0, 2)]
    here = host_copy.on_host(tensors)
    assert np.shares_memory(here[1], tensors[1].numpy())
    monkeypatch.setattr(host_copy, '_is_away', lambda x: x is not tensors[1])
    copies, cat = [], torch.cat
    monkeypatch.setattr(torch, 'cat', lambda parts: copies.append(len(parts)) or cat(parts))
    away = host_copy.on_host(tensors)
    assert copies == [3]
    for x, y, expected in zip(away, here, tensors):
        assert x.dtype == y.dtype == np.float32
        assert np.array_equal(x, expected.float().numpy()) and np.array_equal(x, y)
    assert host_copy.on_host(tensors, torch.float64)[0].dtype == np.float64
