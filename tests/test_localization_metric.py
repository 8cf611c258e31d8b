"""AR@AN, AUC and mAP: MMAction2's numbers where those are right, the right ones elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmaction.evaluation import average_recall_at_avg_proposals
from mmaction.evaluation.functional.eval_detection import ActivityNetLocalization
from mmaction.registry import METRICS
from mmaction.structures import ActionDataSample
from mmengine.logging import MMLogger
from warm_processes import run_tool

from mmsola.evaluation.average_recall import average_recall
from mmsola.evaluation.class_scores import ClassScoreError
from mmsola.evaluation.conventions import ConventionError
from mmsola.structures.submission import read_submission
from mmsola.structures.temporal_iou import temporal_iou

GRID = np.linspace(0.5, 0.95, 10)


def random_videos(rng, num_videos, num_segments, num_proposals, num_classes=3):
    """Segments near which proposals lie, so that every threshold decides something."""
    truth, found = {}, {}
    for i in range(num_videos):
        segments = np.sort(rng.uniform(0, 60, (int(rng.integers(*num_segments)), 2)), axis=1)
        count = (
            num_proposals if isinstance(num_proposals, int) else int(rng.integers(*num_proposals))
        )
        near = segments[rng.integers(len(segments), size=count)]
        near = np.sort(near + rng.normal(scale=2, size=near.shape), axis=1)
        labels = [f'class {k}' for k in rng.integers(num_classes, size=len(segments))]
        # names that do not begin with v_, of which ANetMetric would cut off two letters
        truth[f'{i}_video'] = (segments, labels)
        found[f'{i}_video'] = np.concatenate([near, rng.random((count, 1))], axis=1)
    return truth, found


def result(name, rows, labels=None):
    labels = [None] * len(rows) if labels is None else labels
    return {
        'video_name': name,
        'proposal_list': [
            {'segment': [start, end], 'score': score, **({'label': label} if label else {})}
            for (start, end, score), label in zip(rows, labels)
        ],
    }


def sample(name, segments, labels):
    data_sample = ActionDataSample()
    annotations = [
        {'segment': list(segment), 'label': label} for segment, label in zip(segments, labels)
    ]
    data_sample.set_metainfo({'video_name': name, 'annotations': annotations})
    return data_sample


def measure(truth, results, **kwargs):
    """Through the registry and the evaluator's two calls, in batches of one."""
    metric = METRICS.build(dict(type='LocalizationMetric', **kwargs))
    for entry in results:
        data_sample = sample(entry['video_name'], *truth[entry['video_name']])
        metric.process({'data_samples': [data_sample]}, [entry])
    found = metric.evaluate(len(results))
    return {key.removeprefix('loc/'): value for key, value in found.items()}


def measured(truth, found, **kwargs):
    return measure(truth, [result(name, rows) for name, rows in found.items()], **kwargs)


# --- AR@AN ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('num_proposals', [100, (3, 40), (90, 200)])
def test_average_recall_equals_mmaction2(num_proposals):
    truth, found = random_videos(np.random.default_rng(0), 20, (1, 6), num_proposals)
    segments = {name: video[0] for name, video in truth.items()}
    total = sum(map(len, found.values()))
    recall, _, numbers, auc = average_recall_at_avg_proposals(
        segments, found, total, max_avg_proposals=100, temporal_iou_thresholds=GRID
    )
    ours = average_recall(segments, found)
    np.testing.assert_allclose(ours.average_numbers, numbers)
    # 100 * 0.29 is a hair below 29, so MMAction2 takes 28 proposals there; elsewhere all is equal
    differs = (ours.recall != recall).any(axis=0)
    assert differs.mean() < 0.15
    assert ours.auc == pytest.approx(auc, abs=0.2)
    for number in (1, 5, 10, 50, 100):
        assert ours.at(number) == pytest.approx(100 * recall[:, number - 1].mean(), abs=1e-9)


def test_recall_by_hand():
    """Of two segments the first proposal finds one, the third the other."""
    segments = {'a': np.array([[0.0, 10.0], [20.0, 30.0]])}
    found = {'a': np.array([[0.0, 10.0, 0.9], [50.0, 60.0, 0.8], [20.0, 30.0, 0.7]])}
    recall = average_recall(segments, found, max_avg_proposals=3)
    assert [recall.at(number) for number in (1, 2, 3)] == pytest.approx([50, 50, 100])


def test_a_video_without_proposals_has_missed_its_segments():
    """MMAction2 stops at it with a KeyError."""
    segments = {'a': np.array([[0.0, 10.0]]), 'b': np.array([[0.0, 10.0]])}
    found = {'a': np.tile([0.0, 10.0, 0.5], (100, 1))}
    assert average_recall(segments, found).at(100) == pytest.approx(50)
    assert average_recall(segments, {}).auc == 0


def test_a_threshold_is_met_by_the_very_same_number():
    """0.7 in single precision is below 0.7."""
    segments, found = {'a': np.array([[0.0, 10.0]])}, {'a': np.array([[0.0, 7.0, 1.0]])}
    assert average_recall(segments, found, [0.7]).at(100) == 100


def test_a_segment_of_no_length_overlaps_itself_only():
    point, other = np.array([[3.0, 3.0]]), np.array([[3.0, 4.0], [3.0, 3.0], [5.0, 5.0]])
    assert temporal_iou(point, other).tolist() == [[0.0, 1.0, 0.0]]


# --- mAP ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('num_videos', 'num_segments', 'num_proposals'),
    [(15, (1, 7), 30), (4, (30, 90), 100)],
    ids=['as ActivityNet', 'as THUMOS14'],
)
def test_map_equals_mmaction2(tmp_path, num_videos, num_segments, num_proposals):
    rng = np.random.default_rng(1)
    truth, found = random_videos(rng, num_videos, num_segments, num_proposals)
    MMLogger.get_instance('test')
    database = {
        f'v_{name}': {  # of which MMAction2 cuts off two letters
            'duration': 60,
            'subset': 'validation',
            'annotations': [
                {'segment': list(s), 'label': label} for s, label in zip(segments, labels)
            ],
        }
        for name, (segments, labels) in truth.items()
    }
    entries = {
        name: result(name, rows, [f'class {k}' for k in rng.integers(3, size=len(rows))])
        for name, rows in found.items()
    }
    (tmp_path / 'truth.json').write_text(json.dumps(database))
    (tmp_path / 'found.json').write_text(
        json.dumps({'results': {name: entry['proposal_list'] for name, entry in entries.items()}})
    )
    stock = ActivityNetLocalization(tmp_path / 'truth.json', tmp_path / 'found.json', GRID)
    expected, average = stock.evaluate()
    figures = measure(truth, list(entries.values()), per_class=True)
    assert [figures[f'mAP@{tiou:.2f}'] for tiou in GRID] == pytest.approx(100 * expected, abs=1e-4)
    assert figures['mAP'] == pytest.approx(100 * average, abs=1e-4)
    classes = [figures[f'AP/class {k}'] for k in range(3)]
    assert np.mean(classes) == pytest.approx(figures['mAP'])


def test_ground_truth_as_its_own_detections_is_perfect():
    truth, _ = random_videos(np.random.default_rng(2), 10, (1, 9), 1)
    results = [
        result(name, [[*s, 0.5] for s in segments], labels)
        for name, (segments, labels) in truth.items()
    ]
    figures = measure(truth, results)
    assert all(figures[key] == pytest.approx(100) for key in figures if key.startswith('mAP'))
    assert figures['AR@100'] == pytest.approx(100)


def test_of_equal_scores_the_first_in_the_file_finds():
    truth = {'a_1': ([[0, 10]], ['x'])}
    good, wrong = [0, 10, 0.5], [50, 60, 0.5]
    first = measure(truth, [result('a_1', [good, wrong], ['x', 'x'])])
    last = measure(truth, [result('a_1', [wrong, good], ['x', 'x'])])
    assert (first['mAP'], last['mAP']) == pytest.approx((100, 50))


def test_a_segment_is_found_once():
    truth = {'a': (np.array([[0.0, 10.0]]), ['x'])}
    twice = [result('a', [[0, 10, 0.9], [0, 10, 0.8]], ['x', 'x'])]
    first_wrong = [result('a', [[40, 50, 0.9], [0, 10, 0.8]], ['x', 'x'])]
    assert measure(truth, twice)['mAP'] == pytest.approx(100)
    assert measure(truth, first_wrong)['mAP'] == pytest.approx(50)


def test_the_grid_of_map_is_a_setting():
    truth, found = random_videos(np.random.default_rng(3), 4, (1, 3), 20)
    figures = measured(truth, found, map_tiou_thresholds=[0.3, 0.7])
    at = ['class_agnostic_AP@0.30', 'class_agnostic_AP@0.70']
    assert [key for key in figures if '@0' in key] == at
    assert figures['class_agnostic_AP'] == pytest.approx(np.mean([figures[key] for key in at]))


def test_without_labels_all_segments_are_one_class():
    truth, found = random_videos(np.random.default_rng(4), 6, (1, 4), 20)
    one = {name: (segments, ['x'] * len(labels)) for name, (segments, labels) in truth.items()}
    labelled = [result(name, rows, ['x'] * len(rows)) for name, rows in found.items()]
    expected = measure(one, labelled)
    expected = {key.replace('mAP', 'class_agnostic_AP'): value for key, value in expected.items()}
    assert measured(truth, found) == expected
    assert measure(truth, labelled, class_agnostic=True) == expected


def test_labels_that_no_annotation_has_are_no_figure():
    truth, found = random_videos(np.random.default_rng(4), 6, (1, 4), 20)
    labelled = [result(name, rows, ['x'] * len(rows)) for name, rows in found.items()]
    with pytest.raises(ValueError, match="found 'x', expected 'class 0'"):
        measure(truth, labelled)


def test_some_labels_that_no_annotation_has_are_counted(log_lines):
    truth = {'a': (np.array([[0.0, 10.0]]), ['run'])}
    figures = measure(truth, [result('a', [[0, 10, 0.9], [0, 9, 0.8]], ['run', 'x'])])
    assert figures['mAP'] == 100
    assert any(
        '1 of 2 classes of detections are not in the ground truth: x' in line for line in log_lines
    )


@pytest.mark.parametrize('max_proposals', [50, 150, 200])
def test_recall_is_measured_at_the_number_that_its_name_says(max_proposals):
    """Also where the grid of the AUC has no such number."""
    found = np.array([[20 * i, 20 * i + 10, 1 - i / 1000] for i in range(200)], float)
    truth = {'a': (found[:40, :2], ['x'] * 40)}
    figures = measured(truth, {'a': found}, max_proposals=max_proposals)
    expected = {1: 2.5, 5: 12.5, 10: 25.0, 50: 100.0, 100: 100.0}
    for number, value in expected.items():
        if number <= max_proposals:
            assert figures[f'AR@{number}'] == pytest.approx(value)
        else:
            assert f'AR@{number}' not in figures


def test_a_number_above_the_greatest_is_refused():
    with pytest.raises(ValueError, match='max_proposals=50'):
        METRICS.build(dict(type='LocalizationMetric', max_proposals=50, average_numbers=(1, 100)))
    segments = {'a': np.array([[0.0, 10.0]])}
    with pytest.raises(ValueError, match='up to 50'):
        average_recall(segments, {}, max_avg_proposals=50).at(51)


# --- class scores ---------------------------------------------------------------------------------

SCORED = {'v_one': (np.array([[0.0, 10.0]]), ['run']), 'v_two': (np.array([[5.0, 9.0]]), ['jump'])}
FOUND = {'v_one': [[0, 10, 0.9]], 'v_two': [[5, 9, 0.8]]}
LAYOUTS = {
    'CUHK': {'class': ['jump', 'run'], 'results': {'one': [0.2, 0.6], 'two': [0.7, 0.3]}},
    'named': {'results': {'v_one': {'jump': 0.2, 'run': 0.6}, 'v_two': {'jump': 0.7, 'run': 0.3}}},
    'list': {
        'results': {
            'one': [{'label': 'jump', 'score': 0.2}, {'label': 'run', 'score': 0.6}],
            'two': [{'label': 'jump', 'score': 0.7}, {'label': 'run', 'score': 0.3}],
        }
    },
    'TCANet': {'class': ['jump', 'run'], 'results': {'one': [[-3.0, 1.5]], 'two': [[9.0, -2.0]]}},
}


def score_file(tmp_path, content):
    path = tmp_path / 'scores.json'
    path.write_text(json.dumps(content))
    return str(path)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_proposals_take_the_best_class_of_their_video(layout, tmp_path):
    scores = dict(file=score_file(tmp_path, LAYOUTS[layout]))
    figures = measured(SCORED, FOUND, class_scores=scores, out_file=str(tmp_path / 'out.json'))
    assert figures['mAP'] == pytest.approx(100)
    found = read_submission(tmp_path / 'out.json')
    assert (found['v_one'].labels, found['v_two'].labels) == (['run'], ['jump'])


def test_logits_become_probabilities(tmp_path):
    scores = dict(file=score_file(tmp_path, LAYOUTS['TCANet']), top_k=2, multiply=True)
    measured(SCORED, FOUND, class_scores=scores, out_file=str(tmp_path / 'out.json'))
    one = read_submission(tmp_path / 'out.json')['v_one']
    best = 1 / (1 + np.exp(-4.5))
    assert one.scores == pytest.approx([0.9 * best, 0.9 * (1 - best)])


def test_scores_are_multiplied_and_more_classes_taken_on_demand(tmp_path):
    scores = dict(file=score_file(tmp_path, LAYOUTS['CUHK']), top_k=2, multiply=True)
    measured(SCORED, FOUND, class_scores=scores, out_file=str(tmp_path / 'out.json'))
    one = read_submission(tmp_path / 'out.json')['v_one']
    assert one.labels == ['run', 'jump']
    assert one.scores == pytest.approx([0.9 * 0.6, 0.9 * 0.2])


def test_the_root_of_the_product_is_actionformers_fusion(tmp_path):
    with np.load(Path(__file__).parent / 'data' / 'actionformer_reference.npz') as file:
        given, fused = (
            {k.removeprefix(f'fusion.{p}.'): file[k] for k in file.files if f'fusion.{p}.' in k}
            for p in ('in', 'out')
        )
    names = [f'class {k}' for k in range(4)]
    scores = {str(i): dict(zip(names, row)) for i, row in enumerate(given['class_scores'].tolist())}
    truth = {str(i): ([[0.0, 1.0]] * 4, names) for i in range(2)}
    columns = [given[key].tolist() for key in ('t-start', 't-end', 'score')]
    rows = list(zip(*columns))
    results = [
        result(str(i), [row for row, video in zip(rows, given['video']) if video == i])
        for i in range(2)
    ]
    path = score_file(tmp_path, {'results': scores})
    settings = dict(file=str(path), top_k=2, multiply='root')
    out = tmp_path / 'out.json'
    measure(truth, results, class_scores=settings, max_proposals=3, out_file=str(out))
    found = read_submission(out)
    for i in range(2):
        rows = fused['video'] == i
        assert found[str(i)].scores == pytest.approx(fused['score'][rows])
        assert found[str(i)].segments[:, 0] == pytest.approx(fused['t-start'][rows])
        assert found[str(i)].labels == [names[int(k)] for k in fused['label'][rows]]


def test_an_annotated_class_without_scores_is_named(tmp_path):
    content = {'results': {'one': {'jump': 0.2}, 'two': {'jump': 0.1}}}
    scores = dict(file=score_file(tmp_path, content))
    with pytest.raises(ClassScoreError, match=r"no scores of the annotated classes \['run'\]"):
        measured(SCORED, FOUND, class_scores=scores)


def test_that_is_told_at_the_start_where_the_annotations_are_known(tmp_path):
    content = {'results': {'one': {'jump': 0.2}}}
    annotations = {'v_one': {'duration': 10, 'annotations': [{'segment': [0, 10], 'label': 'run'}]}}
    (tmp_path / 'anno.json').write_text(json.dumps(annotations))
    with pytest.raises(ClassScoreError, match='run'):
        METRICS.build(
            dict(
                type='LocalizationMetric',
                ann_file=str(tmp_path / 'anno.json'),
                class_scores=dict(file=score_file(tmp_path, content)),
            )
        )


def test_a_video_without_class_scores_is_counted_and_named(tmp_path, log_lines):
    content = {'results': {'one': {'jump': 0.2, 'run': 0.6}}}
    scores = dict(file=score_file(tmp_path, content))
    figures = measured(SCORED, FOUND, class_scores=scores)
    assert figures['mAP'] == pytest.approx(50)
    assert any('1 of 2 videos have no class scores' in x and 'v_two' in x for x in log_lines)


def test_scores_of_other_videos_altogether_are_refused(tmp_path):
    content = {'results': {'other': {'jump': 0.2, 'run': 0.6}}}
    with pytest.raises(ClassScoreError, match="has none of 2 videos such as 'v_one'"):
        measured(SCORED, FOUND, class_scores=dict(file=score_file(tmp_path, content)))


@pytest.mark.parametrize(
    'content',
    [
        [],
        {'results': []},
        {'results': {}},
        {'results': {'a': [0.1]}},
        {'class': ['x', 'y'], 'results': {'a': [[0.1]]}},
        {'class': ['x', 'y'], 'results': {'a': [[1, 'y']]}},
        {'results': {'a': {'x': 'y'}}},
    ],
)
def test_a_file_that_is_no_class_scores_is_refused_at_once(content, tmp_path):
    with pytest.raises(ClassScoreError, match='class scores'):
        METRICS.build(
            dict(type='LocalizationMetric', class_scores=dict(file=score_file(tmp_path, content)))
        )


def test_a_missing_file_of_class_scores_is_told_at_once(tmp_path):
    with pytest.raises(ClassScoreError, match='no such file'):
        METRICS.build(
            dict(type='LocalizationMetric', class_scores=dict(file=str(tmp_path / 'none.json')))
        )


# --- what counts ----------------------------------------------------------------------------------

DOUBTFUL = [
    ([0.0, 10.0], 'x'),
    ([0.0005, 10.0005], 'x'),  # twice
    ([0.0, 10.0], 'y'),
    ([3.0, 3.0], 'x'),
    ([20.0, 20.0005], 'x'),
    ([40.0, 50.0], 'Ambiguous'),
]
COUNTED = {
    'activitynet': [0, 1, 2, 3, 4, 5],
    'opentad': [0, 2, 4, 5],
    'actionformer': [0, 2, 5],
}


def some(rows):
    segments, labels = zip(*(DOUBTFUL[i] for i in rows))
    return np.array(segments), list(labels)


@pytest.mark.parametrize('ignored', [[], ['Ambiguous']], ids=['', 'ignored'])
@pytest.mark.parametrize('convention', COUNTED)
def test_a_convention_counts_what_its_toolbox_counts(convention, ignored, log_lines):
    rows = [i for i in COUNTED[convention] if DOUBTFUL[i][1] not in ignored]
    truth = {'a': some(range(6)), 'v_b': some([0, 2])}
    found = {
        'a': [[0, 10, 0.9], [3, 3, 0.8], [40, 50, 0.7], [0, 9.9, 0.6]],
        'v_b': [[0, 8, 0.5], [0, 10, 0.4]],
    }
    labels = {'a': ['x', 'x', 'Ambiguous', 'y'], 'v_b': ['y', 'x']}
    results = [result(name, found[name], labels[name]) for name in found]
    figures = measure(truth, results, convention=convention, ignored_classes=ignored)
    clean = [results[1], result('a', found['a'], labels['a'])]
    if ignored:
        keep = [0, 1, 3]
        clean[1] = result('a', [found['a'][i] for i in keep], [labels['a'][i] for i in keep])
    assert figures == measure({'a': some(rows), 'v_b': some([0, 2])}, clean)
    assert any(f'convention {convention}, segments that do not count:' in s for s in log_lines)


def test_blocked_videos_count_for_nothing(tmp_path):
    """Not as missed, and not as false; ActivityNet's list has no prefix."""
    truth = {'a': some([0]), 'v_b': some([0]), 'c': some([0])}
    results = [result('a', [[0, 10, 0.5]], ['x']), result('v_b', [[0, 1, 0.9]], ['x'])]
    (tmp_path / 'blocked.json').write_text('["b", "c"]')
    blocked = str(tmp_path / 'blocked.json')
    assert measure(truth, results, blocked_videos=blocked)['mAP'] == 100
    assert measure(truth, results, blocked_videos=['b'])['AR@1'] == 100
    assert measure(truth, results)['mAP'] < 100


@pytest.mark.parametrize('content', ['{"a": 1}', '[1]', 'a'])
def test_a_list_of_blocked_videos_that_is_none_is_refused(content, tmp_path):
    (tmp_path / 'blocked.json').write_text(content)
    with pytest.raises(ConventionError, match=r'blocked\.json'):
        METRICS.build(
            dict(type='LocalizationMetric', blocked_videos=str(tmp_path / 'blocked.json'))
        )


def test_an_unknown_convention_is_refused():
    with pytest.raises(ConventionError, match="'thumos'"):
        METRICS.build(dict(type='LocalizationMetric', convention='thumos'))


def test_results_of_other_videos_are_no_figure(tmp_path):
    """As where the data set is of another subset than the evaluator."""
    (tmp_path / 'anno.json').write_text(
        json.dumps({'b': {'duration': 9, 'annotations': [{'segment': [0, 5]}]}})
    )
    with pytest.raises(ValueError, match="found 'a', expected 'b'"):
        measured({'a': some([0])}, {'a': [[0, 1, 0.5]]}, ann_file=str(tmp_path / 'anno.json'))


# --- windows, files, bad input --------------------------------------------------------------------


def test_windows_of_one_video_are_merged():
    """What two windows both saw counts once, and a segment of either is there."""
    truth = {'a': (np.array([[10.0, 20.0], [40.0, 50.0]]), ['x', 'x'])}
    windows = [
        result('a', [[10, 20, 0.9], [0, 5, 0.1]]),
        result('a', [[10, 20, 0.8], [40, 50, 0.7]]),
    ]
    figures = measure(truth, windows)
    assert figures['AR@100'] == pytest.approx(100)
    # the twin of the first fell behind the true second one
    assert figures['class_agnostic_AP'] == pytest.approx(100)


def test_only_the_best_proposals_count():
    truth = {'a': (np.array([[0.0, 10.0]]), ['x'])}
    rows = [[30, 40, 0.9], [50, 60, 0.8], [0, 10, 0.7]]
    assert measured(truth, {'a': rows}, max_proposals=2)['class_agnostic_AP'] == 0
    assert measured(truth, {'a': rows}, max_proposals=3)['class_agnostic_AP'] > 0


def test_the_submission_is_activitynets(tmp_path):
    out = tmp_path / 'folder' / 'out.json'
    measured(SCORED, FOUND, out_file=str(out), strip_prefix='v_')
    content = json.loads(out.read_text())
    assert set(content) == {'version', 'results', 'external_data'}
    assert content['results']['one'] == [{'label': 'action', 'score': 0.9, 'segment': [0.0, 10.0]}]
    assert [p.name for p in out.parent.iterdir()] == ['out.json']


def test_a_video_without_proposals_is_counted_and_named(log_lines):
    truth = {'a': (np.array([[0.0, 10.0]]), ['x']), 'b': (np.array([[0.0, 10.0]]), ['x'])}
    figures = measured(truth, {'a': [[0, 10, 0.5]], 'b': []})
    assert figures['AR@100'] == pytest.approx(50)
    assert any('1 of 2 videos have no proposal' in line and ': b' in line for line in log_lines)


def test_a_video_without_segments_only_lowers_precision():
    truth = {'a': (np.array([[0.0, 10.0]]), ['x']), 'b': (np.zeros((0, 2)), [])}
    figures = measured(truth, {'a': [[0, 10, 0.5]], 'b': [[0, 10, 0.9]]})
    assert figures['AR@100'] == pytest.approx(100)
    assert figures['class_agnostic_AP'] == pytest.approx(50)


def test_results_of_no_video_are_an_error():
    with pytest.raises(ValueError, match='results of no video'):
        measure({}, [])


@pytest.mark.parametrize('row', [[5, 3, 0.5], [0, float('nan'), 0.5], [0, 3, float('inf')]])
def test_proposals_that_are_none_name_their_video(row):
    truth = {'a': (np.array([[0.0, 10.0]]), ['x'])}
    with pytest.raises(ValueError, match='a: 1 of 1 proposals are no segments'):
        measured(truth, {'a': [row]})


def test_missing_annotations_say_which_setting_to_mend():
    metric = METRICS.build(dict(type='LocalizationMetric'))
    with pytest.raises(ValueError, match='meta_keys'):
        metric.process({'data_samples': [ActionDataSample()]}, [result('a', [[0, 1, 0.5]])])


def test_ground_truth_of_a_file_equals_that_of_the_samples(tmp_path):
    truth, found = random_videos(np.random.default_rng(5), 5, (1, 4), 20)
    database = {
        name: {
            'duration': 60,
            'annotations': [
                {'segment': list(s), 'label': label} for s, label in zip(segments, labels)
            ],
        }
        for name, (segments, labels) in truth.items()
    }
    (tmp_path / 'anno.json').write_text(json.dumps(database))
    from_file = measured(truth, found, ann_file=str(tmp_path / 'anno.json'))
    assert from_file == pytest.approx(measured(truth, found))


TOOL = Path(__file__).parents[1] / 'tools' / 'eval_localization.py'


def printed_by_the_tool(folder, *options):
    done = run_tool(folder, TOOL, 'out.json', 'anno.json', *options)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return {line[0]: float(line[1]) for line in lines if len(line) == 2 and line[0][0] in 'Acm'}


WRITTEN = {
    'proposals': (None, {}, []),
    'prefix': (None, {'strip_prefix': '0_'}, ['--strip-prefix', '0_']),
    'labels': (['class 0', 'class 1'], {}, []),
    'some labels': (['class 0', ''], {}, []),
    'class agnostic': (['class 0', 'class 1'], {'class_agnostic': True}, ['--class-agnostic']),
    'many': (None, {'max_proposals': 150}, ['--max-proposals', '150']),
    'few': (None, {'max_proposals': 7}, ['--max-proposals', '7']),
    'numbers': (None, {'average_numbers': (3, 33)}, ['--average-numbers', '3', '33']),
    'thresholds': (
        None,
        {'tiou_thresholds': [0.3, 0.4], 'map_tiou_thresholds': [0.6, 0.7]},
        ['--tious', '0.3', '0.4', '0.1', '--map-tious', '0.6', '0.7', '0.1'],
    ),
    'convention': (
        ['class 0', 'class 1'],
        {'convention': 'opentad', 'ignored_classes': ['class 1'], 'blocked_videos': ['0_video']},
        [
            *('--convention', 'opentad', '--ignored-classes', 'class 1'),
            *('--blocked-videos', 'blocked.json'),
        ],
    ),
    'per class': (['class 0', 'class 1'], {'per_class': True}, ['--per-class']),
    'class scores': (None, {'class_scores': {'top_k': 1}}, []),
    'two classes a proposal': (None, {'class_scores': {'top_k': 2, 'multiply': True}}, []),
}


@pytest.mark.parametrize('kind', WRITTEN)
def test_what_is_written_measures_the_same_when_it_is_read(kind, tmp_path):
    labels, settings, options = WRITTEN[kind]
    rng = np.random.default_rng(5)
    truth, found = random_videos(rng, 6, (1, 5), (5, 120))
    settings = dict(settings)
    if 'class_scores' in settings:
        scores = {n: {f'class {k}': float(rng.random()) for k in range(3)} for n in truth}
        path = score_file(tmp_path, {'results': scores})
        settings['class_scores'] = dict(file=str(path), **settings['class_scores'])
    results = [
        result(name, rows, labels and [labels[i % 2] for i in range(len(rows))])
        for name, rows in found.items()
    ]
    figures = measure(truth, results, out_file=str(tmp_path / 'out.json'), **settings)
    entries = {
        name: {
            'duration': 100,
            'annotations': [{'segment': list(s), 'label': c} for s, c in zip(*truth[name])],
        }
        for name in truth
    }
    (tmp_path / 'anno.json').write_text(json.dumps(entries))
    (tmp_path / 'blocked.json').write_text('["0_video"]')
    printed = printed_by_the_tool(tmp_path, *options)
    expected = {key: value for key, value in figures.items() if not key.startswith('AP/class')}
    assert printed == {key: pytest.approx(value, abs=0.006) for key, value in expected.items()}
    assert figures.get('mAP', figures.get('class_agnostic_AP')) > 0


@pytest.mark.parametrize('name', ['v_one', 'one.mp4'])
@pytest.mark.parametrize('options', [[], ['--subset', 'validation']])
def test_a_video_list_is_all_that_counts(options, name, tmp_path):
    measured(SCORED, FOUND, out_file=str(tmp_path / 'out.json'))
    entries = {
        name: {'duration': 20, 'annotations': [{'segment': list(s), 'label': 'x'} for s in rows]}
        for name, (rows, _) in SCORED.items()
    }
    (tmp_path / 'anno.json').write_text(json.dumps(entries))
    (tmp_path / 'list.csv').write_text(f'video,subset\n{name},validation\n')
    arguments = ['out.json', 'anno.json', '--video-list', 'list.csv', *options]
    done = run_tool(tmp_path, TOOL, *arguments)
    assert '1 videos' in done.stdout, done.stderr
    (tmp_path / 'list.csv').write_text('name\nv_one\n')
    done = run_tool(tmp_path, TOOL, *arguments)
    assert done.returncode == 1 and done.stderr.startswith("list.csv:1: no column 'video'")


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """Results and annotations of two videos, and files that do not fit them."""
    folder = tmp_path_factory.mktemp('results')
    entries = {
        name: {'duration': 20, 'annotations': [{'segment': list(s), 'label': c}]}
        for name, ((s,), (c,)) in SCORED.items()
    }
    (folder / 'anno.json').write_text(json.dumps(entries))
    found = [{'segment': [0, 10], 'score': 0.9, 'label': 'swim'}]
    (folder / 'out.json').write_text(json.dumps({'results': {'one': found}}))
    (folder / 'others.json').write_text(json.dumps({'results': {'three': found}}))
    (folder / 'latin.csv').write_bytes('video\nv_caf\xe9\n'.encode('latin-1'))
    return folder


@pytest.mark.parametrize(
    ('file', 'options', 'message'),
    [
        ('out.json', ['--video-list', 'missing.csv'], 'missing.csv: no such file'),
        ('out.json', ['--video-list', 'latin.csv'], 'latin.csv: is not csv in UTF-8'),
        ('out.json', ['--average-numbers', '101'], 'LocalizationMetric: average_numbers are'),
        ('out.json', ['--tious', '2', '3', '1'], 'LocalizationMetric: tiou_thresholds are'),
        ('out.json', [], 'LocalizationMetric: no detection has a class'),
        ('others.json', [], 'LocalizationMetric: of 1 videos with results none'),
    ],
)
def test_what_cannot_be_measured_ends_the_tool_in_one_message(results, file, options, message):
    done = run_tool(results, TOOL, file, 'anno.json', *options)
    assert done.returncode == 1 and message in done.stderr
    assert 'Traceback' not in done.stderr


def test_the_command_line_prints_what_the_metric_says(tmp_path):
    measured(SCORED, FOUND, out_file=str(tmp_path / 'out.json'), strip_prefix='v_')
    database = {
        name: {
            'duration': 20,
            'subset': 'validation',
            'annotations': [{'segment': list(s), 'label': 'action'} for s in segments],
        }
        for name, (segments, _) in SCORED.items()
    }
    (tmp_path / 'anno.json').write_text(json.dumps({'database': database}))
    command = [sys.executable, str(TOOL), 'out.json', 'anno.json', '--subset', 'validation']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert '2 videos' in done.stdout and 'class_agnostic_AP       100.00' in done.stdout
