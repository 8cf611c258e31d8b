"""Timelines and the page of results: what stands where, and that nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmsola.visualization.results_page import read_markdown_tables, write_results_page
from mmsola.visualization.timelines import draw_timelines, pick_videos

TOOL = Path(__file__).parents[1] / 'tools' / 'plot_timelines.py'
SEGMENTS = np.array([[1.0, 3.0], [6.0, 9.5]])
# not sorted by score
PROPOSALS = np.array([[0.5, 4.0, 0.2], [6.0, 9.0, 0.9], [1.0, 2.0, 0.6]])


def bars(panel):
    """Start and end of every bar, in seconds."""
    return [
        (bar.get_x(), bar.get_x() + bar.get_width()) for group in panel.containers for bar in group
    ]


def test_segments_and_proposals_lie_at_their_seconds():
    figure = draw_timelines({'a': (SEGMENTS, 10.0)}, {'BMN': {'a': PROPOSALS}})
    found = bars(figure.axes[0])
    assert found[:2] == [pytest.approx(row) for row in SEGMENTS.tolist()]
    best_first = PROPOSALS[[1, 2, 0], :2].tolist()
    assert found[2:] == [pytest.approx(row) for row in best_first]
    assert figure.axes[0].get_xlim() == (0, 10)


def test_only_the_best_proposals_are_drawn_and_judged():
    figure = draw_timelines({'a': (SEGMENTS, 10.0)}, {'BMN': {'a': PROPOSALS}}, top_k=1)
    assert len(bars(figure.axes[0])) == 3
    # the one shown meets the second segment by 3 of 3.5 seconds, and the first not at all
    label = figure.axes[0].get_yticklabels()[1].get_text()
    assert f'{(0 + 3 / 3.5) / 2:.2f}' in label


def test_a_video_without_segments_or_proposals_is_drawn():
    nothing = (np.zeros((0, 2)), 5.0)
    found = {'BMN': {'a': np.zeros((0, 3)), 'b': PROPOSALS}}
    figure = draw_timelines({'a': nothing, 'b': (SEGMENTS, 10.0)}, found)
    assert [len(bars(panel)) for panel in figure.axes] == [0, 5]


def test_results_of_other_videos_are_refused():
    with pytest.raises(ValueError, match='BMN has proposals of none of'):
        draw_timelines({'a': (SEGMENTS, 10.0)}, {'BMN': {'v_a': PROPOSALS}})
    with pytest.raises(ValueError, match='no video'):
        draw_timelines({}, {})


def test_videos_are_picked_evenly():
    names = [str(i) for i in range(10)]
    assert pick_videos(names, 4) == ['0', '3', '6', '9']
    assert pick_videos(names, 20) == names


def test_the_command_line_draws(tmp_path):
    annotations = {
        'v_1': {'duration': 10, 'annotations': [{'segment': [1, 3], 'label': 'x'}]},
    }
    (tmp_path / 'anno.json').write_text(json.dumps(annotations))
    results = {'results': {'v_1': [{'segment': [1, 2.5], 'score': 0.5}]}}
    (tmp_path / 'found.json').write_text(json.dumps(results))
    command = [sys.executable, str(TOOL), 'anno.json', 'BMN=found.json', '--out', 'out/t.png']
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / 'out' / 't.png').read_bytes()[:4] == b'\x89PNG'


# --- the page -------------------------------------------------------------------------------------

MARKDOWN = 'text\n| a | b |\n| --- | --- |\n| 1 | <2> |\n\n| c |\n| --- |\n| 3 |\n'


def test_tables_of_a_markdown_text():
    assert read_markdown_tables(MARKDOWN) == [[['a', 'b'], ['1', '<2>']], [['c'], ['3']]]


def test_the_page_holds_everything_and_escapes_it(tmp_path):
    (tmp_path / 'p.png').write_bytes(b'picture')
    out = tmp_path / 'page.html'
    tables = read_markdown_tables(MARKDOWN)
    write_results_page(out, 'A & B', ['some <b>'], tables, {'what': tmp_path / 'p.png'}, 'notes')
    page = out.read_text()
    for part in ('A &amp; B', 'some &lt;b&gt;', '<td>&lt;2&gt;</td>', 'what', 'notes'):
        assert part in page
    assert 'base64,cGljdHVyZQ==' in page
    assert '<script' not in page and 'http' not in page


def test_a_missing_picture_leaves_no_page(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_results_page(tmp_path / 'page.html', 't', [], [], {'x': tmp_path / 'none.png'})
    assert not list(tmp_path.iterdir())
