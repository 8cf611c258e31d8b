"""The page of results: everything is on it, and it explains its numbers."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from mmsola.commands import compare, results_page
from mmsola.version import __version__, label
from mmsola.visualization.results_page import read_markdown_tables, write_results_page

MARKDOWN = 'text\n| a | b |\n| --- | --- |\n| 1 | <2> |\n\n| c |\n| --- |\n| 3 |\n'


def test_tables_of_a_markdown_text():
    tables = read_markdown_tables(MARKDOWN)
    assert [table.rows for table in tables] == [[['a', 'b'], ['1', '<2>']], [['c'], ['3']]]
    assert [table.caption for table in tables] == ['text', '']


def test_the_page_holds_everything_and_escapes_it(tmp_path):
    (tmp_path / 'p.png').write_bytes(b'picture')
    out = tmp_path / 'page.html'
    tables = read_markdown_tables(MARKDOWN)
    pictures = [('class "<script>" 跳', tmp_path / 'p.png')]
    write_results_page(out, 'A & B', ['some <b>'], tables, pictures, 'notes')
    page = out.read_text(encoding='utf-8')
    for part in ('A &amp; B', 'some &lt;b&gt;', '<td>&lt;2&gt;</td>', 'notes'):
        assert part in page
    caption = 'class &#34;&lt;script&gt;&#34; 跳'
    assert f'alt="{caption}"' in page and f'<figcaption>{caption}</figcaption>' in page
    assert 'base64,cGljdHVyZQ==' in page
    assert '<script' not in page and 'http' not in page


def test_a_missing_picture_leaves_no_page(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_results_page(tmp_path / 'page.html', 't', [], [], [('x', tmp_path / 'none.png')])
    assert not list(tmp_path.iterdir())


def test_two_pictures_of_one_caption_are_both_shown(tmp_path):
    pictures = [('seed 0', tmp_path / 'a.png'), ('seed 0', tmp_path / 'b.png')]
    for _, file in pictures:
        file.write_bytes(file.name.encode())
    write_results_page(tmp_path / 'page.html', 't', [], [], pictures)
    page = (tmp_path / 'page.html').read_text()
    assert page.count('<figcaption>seed 0<') == 2
    assert 'base64,YS5wbmc=' in page and 'base64,Yi5wbmc=' in page


@pytest.mark.parametrize(
    ('text', 'explained'),
    [
        ('| loc/AUC |', ['in percent, and']),
        ('| probe/auc | tsm/self_similarity |', ['not in percent']),
        ('| seconds a run | peak memory, MB |', ['wall-clock', '2^20 bytes']),
        ('tIoU 0.84\n| a |', ['divided by the time that either covers']),
        ('| MBit | tIoUs | block/AUC |', []),
    ],
)
def test_units_and_tiou_are_explained_where_they_occur(tmp_path, text, explained):
    write_results_page(tmp_path / 'page.html', 't', [], read_markdown_tables(text), [])
    page = (tmp_path / 'page.html').read_text()
    assert page.count('<li>') == len(explained)
    assert all(part in page for part in explained)


def test_the_page_names_version_seeds_and_whatever_else_is_above_a_table(tmp_path, monkeypatch):
    args = SimpleNamespace(seeds=[3, 14], names=['BMN', 'SoLa'], figures=['loc/AUC'])
    args.num_threads = {'BMN': 2, 'SoLa': 2}
    values = {name: {'loc/AUC': [40.0, 42.0]} for name in args.names}
    lines = [
        'some log',
        '',
        'num_threads 2',
        *compare.figure_table(args, [('0.0.1', 'abcdef1')], values),
    ]
    (tmp_path / 'tables.md').write_text('\n'.join(lines))
    monkeypatch.setattr(
        sys,
        'argv',
        ['results-page', str(tmp_path / 'p.html'), '--tables', str(tmp_path / 'tables.md')],
    )
    results_page.main()
    page = (tmp_path / 'p.html').read_text()
    assert 'num_threads 2 2 seeds: 3 14; baseline BMN' in page
    assert f'mmsola {__version__}' in page and 'some log' not in page
    assert 'mmsola 0.0.1, commit abcdef1' in page, 'what made the runs'
    assert f'page written by {label()}, Python' in page, 'what made the page'
    assert ' threads,' not in page, 'those of the page say nothing about the runs'
