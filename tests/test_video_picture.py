"""The picture of one video: what is drawn where, for every kind of result."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.visualization.actionness import actionness
from mmsola.visualization.class_colours import NEUTRAL, class_colours
from mmsola.visualization.lanes import lanes_of
from mmsola.visualization.lettering import drawable, shortened
from mmsola.visualization.time_marks import time_marks
from mmsola.visualization.video_picture import draw_video

# not sorted by score
FOUND = LabelledSegments(
    np.array([[0.5, 4.0], [6.0, 9.0], [1.0, 2.0]]),
    ['dive', 'jump', 'dive'],
    np.array([0.2, 0.9, 0.6]),
)
TRUTH = LabelledSegments(np.array([[6.0, 9.5], [1.0, 3.0], [4.0, 5.0]]), ['jump', 'dive', 'jump'])
NOTHING = LabelledSegments(np.zeros((0, 2)), [], np.zeros(0))


def bars(panel):
    """Start and end of every bar, in seconds, from the top down."""
    found = [bar for group in panel.containers for bar in group]
    return [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in sorted(found, key=_row)]


def _row(bar):
    return round(bar.get_y() + bar.get_height() / 2)


def names(panel):
    return [label.get_text() for label in panel.get_yticklabels()]


def panels(figure):
    """By the first word of their heading."""
    return {panel.get_title(loc='left').split(' ')[0].rstrip(':'): panel for panel in figure.axes}


def picture(width, height, shade=100):
    return np.full((height, width, 3), shade, np.uint8)


# --- actionness -----------------------------------------------------------------------------------


def test_actionness_is_the_best_score_that_covers_the_moment():
    rng = np.random.default_rng(0)
    segments = np.sort(rng.uniform(0, 10, (30, 2)).round(1), axis=1)
    scores = rng.uniform(-0.5, 1, 30)
    at_sec = np.concatenate([rng.uniform(-1, 11, 100), segments.ravel()])
    expected = [
        max((p for (s, e), p in zip(segments, scores) if s <= t <= e), default=0.0) for t in at_sec
    ]
    np.testing.assert_array_equal(actionness(segments, scores, at_sec), expected)


def test_actionness_without_segments_is_zero():
    np.testing.assert_array_equal(actionness(np.zeros((0, 2)), np.zeros(0), np.arange(3)), 0)
    assert actionness(FOUND.segments, FOUND.scores, np.zeros(0)).shape == (0,)


# --- the picture ----------------------------------------------------------------------------------


def test_found_segments_lie_at_their_seconds_from_the_best_score_down():
    panel = panels(draw_video('v', 10.0, FOUND, TRUTH))['found']
    assert bars(panel) == [pytest.approx(row) for row in FOUND.segments[[1, 2, 0]].tolist()]
    assert names(panel) == ['jump', 'dive', 'dive']
    assert [text.get_text() for text in panel.texts] == ['0.90', '0.60', '0.20']
    opacity = [bar.patches[0].get_facecolor()[3] for bar in panel.containers]
    assert opacity == sorted(opacity, reverse=True) and len(set(opacity)) == 3


def test_annotated_segments_have_a_lane_a_class_and_its_colour():
    drawn = panels(draw_video('v', 10.0, FOUND, TRUTH))
    annotated, found = drawn['annotated'], drawn['found']
    assert names(annotated) == ['dive', 'jump']
    assert bars(annotated) == [pytest.approx(row) for row in ([1, 3], [4, 5], [6, 9.5])]
    colour = {label: bars[0].get_facecolor()[:3] for bars, label in zip(found.containers, 'jdd')}
    of_truth = [bar[0].get_facecolor()[:3] for bar in annotated.containers]
    assert of_truth == [colour['d'], colour['j'], colour['j']]
    assert colour['d'] != colour['j']


def test_all_rows_have_one_time_axis():
    figure = draw_video('v', 10.0, FOUND, TRUTH, [(2.5, picture(64, 48))])
    assert {panel.get_xlim() for panel in figure.axes} == {(0.0, 10.0)}
    assert len({(panel.bbox.x0, panel.bbox.x1) for panel in figure.axes}) == 1
    tops = [panel.bbox.y1 for panel in figure.axes]
    assert tops == sorted(tops, reverse=True)


def test_only_the_best_are_drawn_but_all_make_the_actionness():
    drawn = panels(draw_video('v', 10.0, FOUND, top_k=1))
    assert bars(drawn['found']) == [pytest.approx((6.0, 9.0))]
    assert 'best 1 of 3' in drawn['found'].get_title(loc='left')
    values, edges, _ = drawn['actionness'].patches[0].get_data()
    middles = (edges[:-1] + edges[1:]) / 2
    np.testing.assert_array_equal(values, actionness(FOUND.segments, FOUND.scores, middles))
    assert edges[0] == 0 and edges[-1] == 10


@pytest.mark.parametrize('size', [(128, 96), (170, 96), (54, 96)])
@pytest.mark.parametrize('count', [1, 6, 20])
def test_thumbnails_lie_at_their_times_undistorted_and_apart(size, count):
    times_sec = (np.arange(count) + 0.5) * 10 / count
    figure = draw_video('v', 10.0, FOUND, None, [(t, picture(*size)) for t in times_sec])
    panel = figure.axes[0]
    extents = np.array([image.get_extent() for image in panel.images])
    np.testing.assert_allclose(extents[:, :2].mean(axis=1), times_sec)
    width = (extents[:, 1] - extents[:, 0]) / 10 * panel.bbox.width
    np.testing.assert_allclose(width / panel.bbox.height, size[0] / size[1], rtol=1e-6)
    assert (extents[1:, 0] > extents[:-1, 1]).all()


def test_thumbnails_of_the_very_ends_are_moved_inside():
    ends = [(0.0, picture(64, 48)), (10.0, picture(64, 48))]
    extents = [
        image.get_extent() for image in draw_video('v', 10.0, FOUND, None, ends).axes[0].images
    ]
    assert extents[0][0] == pytest.approx(0) and extents[1][1] == pytest.approx(10)


def odd(kind):
    rng = np.random.default_rng(0)
    segments = np.sort(rng.uniform(0, 1, (40, 2)), axis=1)
    many = [f'class {i % 30}' for i in range(40)]
    scripts = ['打篮球', 'é\n$x_1', 'قفز']
    return {
        'nothing found': (9.0, NOTHING, TRUTH),
        'nothing at all': (9.0, NOTHING, NOTHING),
        'one class': (9.0, LabelledSegments(9 * segments, ['action'] * 40, segments[:, 0]), None),
        'no label': (9.0, LabelledSegments(9 * segments, [''] * 40, segments[:, 0]), None),
        '30 classes': (9.0, LabelledSegments(9 * segments, many, segments[:, 0]), TRUTH),
        '30 annotated': (9.0, FOUND, LabelledSegments(9 * segments, many)),
        'other scripts': (9.0, LabelledSegments(9 * segments[:3], scripts, np.ones(3)), None),
        'half a second': (0.5, LabelledSegments(0.5 * segments, many, segments[:, 0]), None),
        'three hours': (10800.0, LabelledSegments(10800 * segments, many, segments[:, 0]), None),
        'scores of nothing': (9.0, LabelledSegments(segments, many, np.zeros(40)), None),
        'scores below 0': (9.0, LabelledSegments(segments, many, -segments[:, 0]), None),
        'beyond the end': (9.0, LabelledSegments(segments + 8.5, many, segments[:, 0]), None),
    }[kind]  # fmt: skip


@pytest.mark.parametrize(
    'kind',
    ['nothing found', 'nothing at all', 'one class', 'no label', '30 classes', '30 annotated',
     'other scripts', 'half a second', 'three hours', 'scores of nothing', 'scores below 0',
     'beyond the end'],
)  # fmt: skip
def test_odd_videos_are_drawn_without_a_warning(tmp_path, kind):
    duration_sec, found, truth = odd(kind)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figure = draw_video(f'视频 {kind} $', duration_sec, found, truth)
        figure.savefig(tmp_path / 'picture.png', dpi=50)
    assert {panel.get_xlim() for panel in figure.axes} == {(0.0, duration_sec)}
    inside = panels(figure)
    assert len(bars(inside['found'])) == min(len(found.labels), 10)
    assert ('annotated' in inside) == (truth is not None)
    # every name stands inside of the figure
    for panel in figure.axes:
        for label in panel.get_yticklabels():
            assert label.get_window_extent().x0 >= 0
    assert figure.get_size_inches()[1] < 12


def test_the_height_grows_with_what_is_shown():
    def height(**more):
        return draw_video('v', 9.0, odd('30 classes')[1], **more).get_size_inches()[1]

    assert height(top_k=5) < height(top_k=10) < height(top_k=10, truth=TRUTH)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match='v: duration_sec is 0'):
        draw_video('v', 0, FOUND)
    with pytest.raises(ValueError, match='no scores'):
        draw_video('v', 10.0, TRUTH)


# --- classes --------------------------------------------------------------------------------------


@pytest.mark.parametrize('count', [0, 1, 10, 11, 30, 157, 400])
def test_every_class_has_a_colour_of_its_own_in_whatever_order(count):
    labels = [str(i) for i in range(count)]
    colours = class_colours([*labels, *labels])
    assert set(colours) == {*labels, 'action'}
    assert len({to_rgb(colour) for colour in colours.values()}) == count + 1
    assert class_colours(labels[::-1]) == class_colours(['', *labels, 'action']) == colours
    assert colours['action'] == NEUTRAL


def test_ten_classes_can_be_told_apart_without_red_or_green():
    """By their difference in CIELAB as someone sees them who lacks one kind of cones."""
    ten = np.array([class_colours(map(str, range(10)))[str(i)] for i in range(10)])
    # of Machado, Oliveira and Fernandes (2009), at full severity
    without_red = [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    without_green = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    for seen in (np.eye(3), np.array(without_red), np.array(without_green)):
        linear = ((ten + 0.055) / 1.055) ** 2.4 @ seen.T
        srgb = 1.055 * linear.clip(0, 1) ** (1 / 2.4) - 0.055
        lab = cv2.cvtColor(srgb.clip(0, 1).astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]
        distance = np.linalg.norm(lab[:, None] - lab, axis=-1)[np.triu_indices(10, 1)]
        assert distance.min() > 12


def test_colours_do_not_depend_on_how_many_segments_are_drawn():
    def colour_of_best(top_k):
        panel = panels(draw_video('v', 10.0, FOUND, top_k=top_k))['found']
        return panel.containers[0][0].get_facecolor()

    assert colour_of_best(1) == colour_of_best(3)


def test_a_class_that_does_not_appear_takes_no_room():
    def left_edge(**more):
        return draw_video('v', 10.0, FOUND, TRUTH, **more).axes[0].bbox.x0

    assert left_edge(classes=['a class of a long name', 'jump']) == left_edge()


# --- lanes ----------------------------------------------------------------------------------------


def crowd(count=60, num_classes=12):
    rng = np.random.default_rng(0)
    segments = np.sort(rng.uniform(0, 30, (count, 2)), axis=1)
    return LabelledSegments(segments, [f'c{i % num_classes}' for i in range(count)])


def test_lanes_hold_every_segment_once_and_none_over_another():
    lanes = lanes_of(crowd(), max_lanes=100)
    held = sorted((lane.label, *span) for lane in lanes for span in lane.spans)
    assert held == sorted((label, *row) for label, row in zip(crowd().labels, crowd().segments))
    assert not any(lane.num_merged for lane in lanes)
    for lane in lanes:
        assert all(end <= start for (_, end), (start, _) in zip(lane.spans, lane.spans[1:]))
    # lanes of one class are neighbours
    labels = [lane.label for lane in lanes]
    assert labels == [label for one in dict.fromkeys(labels) for label in labels if label == one]


def test_segments_that_touch_share_a_lane():
    touching = LabelledSegments(np.array([[0.0, 1.0005], [1.0, 2.0]]), ['a', 'a'])
    assert len(lanes_of(touching, 5)) == 1


def test_lanes_beyond_the_cap_are_merged_into_the_time_they_cover():
    last = lanes_of(crowd(), 100)[-1].label
    lanes = lanes_of(crowd(), max_lanes=8, first=[last])
    assert len(lanes) == 8 and last in [lane.label for lane in lanes]
    *own, rest = lanes
    assert rest.num_merged == 60 - sum(len(lane.spans) for lane in own)
    drawn = {span for lane in own for span in lane.spans}
    at_sec = np.linspace(0, 30, 997)
    left_out = [span for span in map(tuple, crowd().segments.tolist()) if span not in drawn]
    for t in at_sec:
        inside = [start <= t <= end for start, end in rest.spans]
        assert any(inside) == any(start <= t <= end for start, end in left_out)
        assert sum(inside) <= 1


def test_the_picture_says_how_many_segments_have_no_lane():
    panel = panels(draw_video('v', 30.0, NOTHING, crowd(), max_lanes=8))['annotated']
    num_merged = lanes_of(crowd(), 8)[-1].num_merged
    assert len(names(panel)) == 8 and names(panel)[-1] == f'{num_merged} more segments'
    assert panel.containers[-1][0].get_facecolor()[:3] == NEUTRAL


# --- names ----------------------------------------------------------------------------------------


def test_letters_that_no_font_has_become_boxes():
    assert drawable('saut à la perche') == 'saut à la perche'
    assert drawable('\U000e0fff\nx') == '□ x'
    assert drawable('a long name', max_letters=6) == 'a lon…'


def test_long_names_are_cut_where_they_stay_apart():
    names = ['Clean the knife with water', 'Clean the knife with a towel', 'Cut a thin slice off']
    cut = shortened([*names, 'Sit'], 16)
    assert list(cut) == [*names, 'Sit']
    assert cut['Cut a thin slice off'] == 'Cut a thin slic…' and cut['Sit'] == 'Sit'
    assert len(set(cut.values())) == 4 and max(map(len, cut.values())) <= 16
    assert cut['Clean the knife with a towel'].endswith('a towel')


@pytest.mark.parametrize(
    ('duration_sec', 'texts', 'unit'),
    [
        (0.5, ['0', '0.05', '0.1'], 'seconds'),
        (64, ['0', '10', '20'], 'seconds'),
        (180, ['0', '20', '40'], 'seconds'),
        (200, ['0:00', '0:30', '1:00'], 'minutes:seconds'),
        (10800, ['0:00:00', '0:30:00', '1:00:00'], 'hours:minutes:seconds'),
    ],
)
def test_time_marks(duration_sec, texts, unit):
    marks_sec, shown, shown_in = time_marks(duration_sec)
    assert shown[:3] == texts and shown_in == unit
    assert len(marks_sec) == len(shown) <= 11
    assert marks_sec[0] == 0 and marks_sec[-1] <= duration_sec
