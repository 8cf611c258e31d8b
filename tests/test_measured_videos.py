"""Figures of any choice of videos: what the metric itself says of a set that has them as often."""

from __future__ import annotations

import numpy as np
import pytest

from mmsola.evaluation.average_recall import average_recall
from mmsola.evaluation.localization_metric import LocalizationMetric
from mmsola.evaluation.measured_videos import MeasuredVideos, MeasuredVideosError, MeasuredWith
from mmsola.evaluation.video_bootstrap import DrawnVideos, bootstrap_interval
from mmsola.structures.labelled_segments import LabelledSegments

AGNOSTIC = ['AUC', 'AR@1', 'AR@10', 'AR@50', 'class_agnostic_AP', 'class_agnostic_AP@0.50']
LABELLED = [figure.replace('class_agnostic_AP', 'mAP') for figure in AGNOSTIC]


def generated_videos(labelled, num_videos=9):
    """Videos with 0 to 5 segments and 0 to 40 proposals near them; no two scores are equal."""
    rng = np.random.default_rng(3)
    truth, found = {}, {}
    for i in range(num_videos):
        segments = np.sort(rng.uniform(0, 60, (int(rng.integers(6)) if i else 4, 2)), axis=1)
        classes = [f'class {k}' for k in rng.integers(3, size=len(segments))]
        truth[f'video {i}'] = LabelledSegments(segments, classes)
        if i == 1 or not len(segments):
            continue  # without proposals
        chosen = rng.integers(len(segments), size=int(rng.integers(5, 40)))
        near = np.sort(segments[chosen] + rng.normal(scale=2, size=(len(chosen), 2)), axis=1)
        labels = [classes[k] if labelled else '' for k in chosen]
        found[f'video {i}'] = LabelledSegments(near, labels, rng.random(len(chosen)))
    return truth, found


def repeated(videos, names, times):
    """Each video as often as it counts, under names of their own."""
    return {
        f'{name} {turn}': videos[name]
        for name, count in zip(names, times)
        for turn in range(count)
        if name in videos
    }


@pytest.fixture(params=[False, True], ids=['one class', 'classes'])
def measured(request, tmp_path):
    """The metric's own figures, and what it kept in its file."""
    truth, found = generated_videos(request.param)
    file = tmp_path / 'measured.npz'
    metric = LocalizationMetric(max_proposals=50, measured_file=str(file))
    own = metric.measure(truth, found)
    return own, MeasuredVideos.read(file), LABELLED if request.param else AGNOSTIC, truth, found


def test_all_videos_once_give_exactly_the_figures_of_the_metric(measured):
    own, kept, figures, *_ = measured
    once = kept.figures(figures, np.ones((1, len(kept.names))))[0]
    assert once.tolist() == [own[figure] for figure in figures]


def test_a_video_that_counts_twice_is_as_two_videos(measured):
    _, kept, figures, truth, found = measured
    times = np.random.default_rng(0).integers(4, size=(120, len(kept.names)))
    computed = kept.figures(figures, times)
    for row, values in zip(times[::20], computed[::20]):
        metric = LocalizationMetric(max_proposals=50)
        expected = metric.measure(
            repeated(truth, kept.names, row), repeated(found, kept.names, row)
        )
        assert values == pytest.approx([expected[figure] for figure in figures])


def test_more_proposals_than_count_are_shared_out_among_the_videos_drawn():
    """Fewer proposals of each video count where the drawn ones have more of them."""
    truth, found = generated_videos(labelled=False)
    with_ = MeasuredWith((0.5, 0.7), (0.5,), max_proposals=10, class_agnostic=True)
    kept = MeasuredVideos(truth, found, found, with_)
    times = np.random.default_rng(1).integers(3, size=(20, len(truth)))
    for row, auc in zip(times, kept.figures(['AUC'], times)[:, 0]):
        expected = average_recall(
            {name: v.segments for name, v in repeated(truth, kept.names, row).items()},
            {
                name: np.concatenate([v.segments, v.scores[:, None]], axis=1)
                for name, v in repeated(found, kept.names, row).items()
            },
            (0.5, 0.7),
            max_avg_proposals=10,
        )
        assert auc == pytest.approx(expected.auc)


def test_without_a_segment_there_is_no_figure(measured):
    _, kept, figures, truth, _ = measured
    empty = [not len(truth[name].labels) for name in kept.names]
    assert any(empty)
    assert np.isnan(kept.figures(figures, np.array([empty]))).all()


def test_proposals_with_class_scores_keep_their_own_recall(tmp_path):
    """Detections hold each proposal once for each class; recall counts it once."""
    truth, found = generated_videos(labelled=False)
    scores = tmp_path / 'scores.json'
    # one video has no scores, so it has proposals and no detection
    rows = {name: {'class 0': 0.5, 'class 1': 0.4, 'class 2': 0.1} for name in [*truth][1:]}
    scores.write_text(str({'results': rows}).replace("'", '"'))
    metric = LocalizationMetric(
        class_scores=dict(file=str(scores), top_k=2), measured_file=str(tmp_path / 'kept.npz')
    )
    own = metric.measure(truth, found)
    kept = MeasuredVideos.read(tmp_path / 'kept.npz')
    once = kept.figures(LABELLED, np.ones((1, len(kept.names))))[0]
    assert once.tolist() == [own[figure] for figure in LABELLED]


@pytest.mark.parametrize('figure', ['AR@51', 'AR@0', 'recall', 'mAP', 'class_agnostic_AP@0.51'])
def test_a_figure_that_was_not_measured_is_refused(figure, tmp_path):
    truth, found = generated_videos(labelled=False)
    file = tmp_path / 'measured.npz'
    LocalizationMetric(max_proposals=50, measured_file=str(file)).measure(truth, found)
    with pytest.raises(MeasuredVideosError, match=r'expected: AUC, AR@<AN up to 50>'):
        MeasuredVideos.read(file).figures([figure], np.ones((1, len(truth))))


def test_a_damaged_file_is_one_sentence(tmp_path):
    file = tmp_path / 'measured.npz'
    with pytest.raises(MeasuredVideosError, match='does not exist'):
        MeasuredVideos.read(file)
    truth, found = generated_videos(labelled=True)
    LocalizationMetric(measured_file=str(file)).measure(truth, found)
    whole = file.read_bytes()
    for content in (b'', whole[:200], whole[: len(whole) // 2], b'no archive'):
        file.write_bytes(content)
        with pytest.raises(MeasuredVideosError, match=r'measured\.npz: cannot be read'):
            MeasuredVideos.read(file)
    np.savez(file, settings=np.array([{}], dtype=object))
    with pytest.raises(MeasuredVideosError, match='cannot be read'):
        MeasuredVideos.read(file)


def test_draws_belong_to_videos_whatever_their_order():
    drawn = DrawnVideos(['a', 'b', 'c'], num_resamples=50)
    times = drawn.times(['a', 'b', 'c'])
    assert (times.sum(axis=1) == 3).all() and len(np.unique(times, axis=0)) > 5
    assert (drawn.times(['c', 'a', 'b']) == times[:, [2, 0, 1]]).all()
    with pytest.raises(ValueError, match="differing are \\['c', 'd'\\]"):
        drawn.times(['a', 'b', 'd'])


def test_the_bootstrap_of_means_is_that_of_their_standard_error():
    """A figure that is a mean over videos: the interval is 1.96 standard errors wide."""
    rng = np.random.default_rng(0)
    gain = rng.normal(1.0, 2.0, size=(2, 400))  # of each seed and video
    times = DrawnVideos([f'{i:03d}' for i in range(400)]).times([f'{i:03d}' for i in range(400)])
    figure = gain @ times.T / 400
    low, high = bootstrap_interval(np.zeros_like(figure), figure)
    of_videos = gain.mean(axis=0)
    error = of_videos.std(ddof=1) / np.sqrt(400)
    assert (low, high) == pytest.approx(
        (of_videos.mean() - 1.96 * error, of_videos.mean() + 1.96 * error), abs=0.15 * error
    )
