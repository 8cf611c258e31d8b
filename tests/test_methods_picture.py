"""Pictures of several methods: what is drawn where, and that nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.visualization.class_colours import NEUTRAL, class_colours
from mmsola.visualization.methods_picture import (
    MAX_LANES,
    MAX_LETTERS,
    TIOU_SENTENCE,
    draw_methods,
    pick_videos,
)
from mmsola.visualization.video_picture import MOST_OPAQUE, draw_video

TOOL = Path(__file__).parents[1] / 'tools' / 'plot_timelines.py'
SEGMENTS = np.array([[1.0, 3.0], [6.0, 9.5]])
TRUTH = LabelledSegments(SEGMENTS, ['action', 'action'])
# not sorted by score
PROPOSALS = LabelledSegments(
    np.array([[0.5, 4.0], [6.0, 9.0], [1.0, 2.0]]), ['', '', ''], np.array([0.2, 0.9, 0.6])
)
NAMED = LabelledSegments(SEGMENTS, ['run', 'jump'])
FOUND = LabelledSegments(PROPOSALS.segments, ['dive', 'jump', 'run'], PROPOSALS.scores)
NOTHING = LabelledSegments(np.zeros((0, 2)), [], np.zeros(0))


def patches(panel):
    return [bar for group in panel.containers for bar in group]


def bars(panel):
    """Start and end of every bar, in seconds."""
    return [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in patches(panel)]


def colours(panel):
    return [bar.get_facecolor()[:3] for bar in patches(panel)]


def names(panel):
    """Beside the rows, from the top down."""
    return [text.get_text() for text in panel.texts]


def test_segments_and_proposals_lie_at_their_seconds():
    figure = draw_methods({'a': (TRUTH, 10.0)}, {'BMN': {'a': PROPOSALS}})
    found = bars(figure.axes[0])
    assert found[:2] == [pytest.approx(row) for row in SEGMENTS.tolist()]
    best_first = PROPOSALS.segments[[1, 2, 0]].tolist()
    assert found[2:] == [pytest.approx(row) for row in best_first]
    assert figure.axes[0].get_xlim() == (0, 10)


def test_only_the_best_proposals_are_drawn_and_judged():
    figure = draw_methods({'a': (TRUTH, 10.0)}, {'BMN': {'a': PROPOSALS}}, top_k=1)
    assert len(bars(figure.axes[0])) == 3
    # the one shown meets the second segment by 3 of 3.5 seconds, and the first not at all
    label = figure.axes[0].get_yticklabels()[1].get_text()
    assert f'{(0 + 3 / 3.5) / 2:.2f}' in label


def test_a_proposal_of_another_class_meets_nothing():
    def met(truth, found):
        panel = draw_methods({'a': (truth, 10.0)}, {'BMN': {'a': found}}).axes[0]
        return panel.get_yticklabels()[1].get_text().split()[-1]

    swapped = LabelledSegments(SEGMENTS, ['jump', 'run'], np.ones(2))
    assert met(NAMED, swapped) == '0.00'
    assert met(TRUTH, swapped) == met(NAMED, LabelledSegments(SEGMENTS, ['', ''], np.ones(2)))
    assert met(NAMED, LabelledSegments(SEGMENTS, ['run', 'jump'], np.ones(2))) == '1.00'


def test_a_class_has_one_colour_in_all_panels_and_in_every_other_picture():
    classes = ['sit', 'run', 'jump', 'dive']
    of_class = class_colours(classes)
    expected = [of_class[label] for label in ('run', 'jump', 'jump', 'run', 'dive')]
    for order in (classes, classes[::-1]):
        videos = {'b': (NOTHING, 5.0), 'a': (NAMED, 10.0)}
        panel = draw_methods(videos, {'BMN': {'a': FOUND}}, classes=order).axes[1]
        assert colours(panel) == expected
        of_one = draw_video('a', 10.0, FOUND, NAMED, classes=order).axes
        assert colours(of_one[0]) + colours(of_one[1]) == expected
    # only one of the classes is there to be seen
    alone = LabelledSegments(SEGMENTS[:1], ['run'])
    panel = draw_methods({'a': (alone, 10.0)}, {}, classes=classes).axes[0]
    assert colours(panel) == [of_class['run']]


def test_the_classes_that_appear_are_written_beside_their_rows_and_no_other_does():
    videos = {'a': (NAMED, 10.0), 'b': (NOTHING, 5.0)}
    proposals = {'ActionFormer': {'a': FOUND}, 'BMN': {'a': PROPOSALS, 'b': PROPOSALS}}
    panels = draw_methods(videos, proposals, classes=['run', 'jump', 'dive', 'sit']).axes
    assert [names(panel) for panel in panels] == [['run', 'jump', 'jump', 'run', 'dive'], []]
    rows = [bar.get_y() + bar.get_height() / 2 for bar in patches(panels[0])]
    assert [text.get_position()[1] for text in panels[0].texts] == pytest.approx(rows[:5])


def test_proposals_without_class_are_neutral():
    panel = draw_methods({'a': (NAMED, 10.0)}, {'BMN': {'a': PROPOSALS}}).axes[0]
    assert set(colours(panel)[2:]) == {NEUTRAL} and NEUTRAL not in colours(panel)[:2]
    assert names(panel) == ['run', 'jump']


def test_overlapping_segments_lie_in_rows_of_their_own_and_a_cap_is_written():
    rng = np.random.default_rng(0)
    segments = np.sort(rng.uniform(0, 30, (40, 2)), axis=1)
    crowd = LabelledSegments(segments, [f'class {i % 30}' for i in range(40)])
    panel = draw_methods({'a': (crowd, 30.0)}, {'BMN': {'a': FOUND}}).axes[0]
    assert not overdrawn(panel)
    lanes = names(panel)[:-3]
    assert len(lanes) == MAX_LANES and lanes[-1].endswith(' more segments')
    own = len(patches(panel)) - 3 - bars_in_row(panel, MAX_LANES - 1)
    assert int(lanes[-1].split()[0]) == 40 - own


def bars_in_row(panel, row):
    return sum(round(bar.get_y() + bar.get_height() / 2) == row for bar in patches(panel))


def overdrawn(panel):
    boxes = [bar.get_bbox() for bar in patches(panel)]
    return any(
        a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1
        for i, a in enumerate(boxes)
        for b in boxes[:i]
    )


def test_long_and_strange_names_do_not_break_the_layout():
    long = 'Spread-Spread nut butter onto the tortilla, leaving 1/2-inch uncovered at the edges'
    strange = LabelledSegments(SEGMENTS, [long, '<b>$x_1$</b> 跳'])
    figure = draw_methods({'$y 视频': (strange, 10.0)}, {'$z': {'$y 视频': PROPOSALS}})
    figure.draw_without_rendering()
    panel = figure.axes[0]
    assert names(panel)[0].startswith('Spread-Spread nut') and names(panel)[0].endswith('…')
    assert max(map(len, names(panel))) <= MAX_LETTERS
    assert names(panel)[1].startswith('<b>$x_1$</b> ')
    assert panel.bbox.width > figure.bbox.width / 2
    ends = [text.get_window_extent().x1 for text in panel.texts]
    assert max(ends) <= figure.bbox.x1


def test_a_sentence_explains_the_tiou_where_one_is_written():
    def sentence(truth):
        figure = draw_methods({'a': (truth, 10.0)}, {'BMN': {'a': PROPOSALS}})
        figure.draw_without_rendering()
        texts = [text for text in figure.texts if 'tIoU' in text.get_text()]
        assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in texts)
        return [text.get_text() for text in texts]

    assert sentence(TRUTH) == [TIOU_SENTENCE] and 'tIoU with the annotated segment' in TIOU_SENTENCE
    assert sentence(NOTHING) == []


def test_a_video_without_segments_or_proposals_is_drawn():
    found = {'BMN': {'a': NOTHING, 'b': PROPOSALS}}
    figure = draw_methods({'a': (NOTHING, 5.0), 'b': (TRUTH, 10.0)}, found)
    assert [len(bars(panel)) for panel in figure.axes] == [0, 5]


def test_results_of_other_videos_are_refused():
    with pytest.raises(ValueError, match='BMN has proposals of none of'):
        draw_methods({'a': (TRUTH, 10.0)}, {'BMN': {'v_a': PROPOSALS}})
    with pytest.raises(ValueError, match='no video'):
        draw_methods({}, {})


def test_videos_are_picked_evenly():
    names = [str(i) for i in range(10)]
    assert pick_videos(names, 4) == ['0', '3', '6', '9']
    assert pick_videos(names, 20) == names


def test_the_command_line_colours_by_all_classes_of_the_annotations(tmp_path):
    annotations = {
        'v_1': {'duration': 10, 'annotations': [{'segment': [1, 3], 'label': 'x'}]},
        'v_2': {'duration': 10, 'annotations': [{'segment': [1, 9], 'label': 'y'}]},
    }
    (tmp_path / 'anno.json').write_text(json.dumps(annotations))
    results = {'results': {'v_2': [{'segment': [1, 2.5], 'score': 0.5}]}}
    (tmp_path / 'found.json').write_text(json.dumps(results))
    command = [sys.executable, str(TOOL), 'anno.json', 'BMN=found.json', '--out', 'out/t.png']
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    pixels = imread(tmp_path / 'out' / 't.png')[..., :3]
    seen = {
        label: (abs(pixels - blended(colour)).max(axis=-1) < 0.01).any()
        for label, colour in class_colours(['x', 'y']).items()
    }
    assert seen == {'x': False, 'y': True, 'action': True}


def blended(colour):
    """On white."""
    return 1 - MOST_OPAQUE * (1 - np.array(colour))
