"""Annotations from a table: every way to write it, and each bad row its own message."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import av
import numpy as np
import pytest
from warm_processes import run_tool

from mmsola.datasets.annotations import AnnotationError, load_annotations
from mmsola.datasets.tables.csv_annotations import annotate_from_csv
from mmsola.datasets.tables.csv_summary import summary_lines
from mmsola.datasets.tables.seeded_split import draw_validation
from mmsola.datasets.tables.segment_csv import parse_time, read_segment_csv
from mmsola.structures.video_record import Segment

TOOL = Path(__file__).parents[1] / 'tools' / 'make_annotations.py'


def make_video(path, num_frames=40):
    """A video of 10 frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', rate=10)
        stream.width, stream.height = 32, 32
        stream.pix_fmt = 'yuv420p'
        for i in range(num_frames):
            picture = np.full((32, 32, 3), 4 * i % 250, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        container.mux(stream.encode())


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('files') / 'videos'
    for name in ('a.mp4', 'b.mp4', 'deep/c.mkv', 'd.mp4'):
        make_video(folder / name)
    return folder


@pytest.fixture
def write(tmp_path):
    def to_file(text, encoding='utf-8'):
        path = tmp_path / 'segments.csv'
        path.write_bytes(text.encode(encoding))
        return path

    return to_file


def segments_of(path):
    return [row.segment for row in read_segment_csv(path).rows]


# --- the table ------------------------------------------------------------------------------------

ROWS = 'video,start,end,label\na,1.5,2,jump\n"b, c",0,3,\n'
EXPECTED = [Segment(1.5, 2.0, 'jump'), Segment(0.0, 3.0, 'action')]


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
@pytest.mark.parametrize('newline', ['\n', '\r\n', '\n\n'])
@pytest.mark.parametrize('delimiter', [',', ';', '\t'])
def test_all_dialects_say_the_same(write, encoding, newline, delimiter):
    text = ROWS.replace('b, c', 'b| c').replace(',', delimiter).replace('|', ',')
    path = write(text.replace('\n', newline), encoding)
    assert segments_of(path) == EXPECTED
    assert [row.video for row in read_segment_csv(path).rows] == ['a', 'b, c']


def test_columns_come_in_any_order_and_case(write):
    path = write('Label, END,notes,Video,start\njump,2,x,a,1.5\n')
    assert segments_of(path) == EXPECTED[:1]
    assert read_segment_csv(path).unused == ('notes',)


def test_without_labels_all_is_action(write):
    assert segments_of(write('video,start,end\na,0,3\n')) == EXPECTED[1:]


def test_a_row_without_times_says_that_there_is_no_action(write):
    assert segments_of(write('video,start,end,label\na,,,\n')) == [None]


@pytest.mark.parametrize(
    ('text', 'seconds'),
    [('83.5', 83.5), ('0', 0), ('1:23.5', 83.5), ('01:23', 83), ('0:01:23.5', 83.5),
     ('2:00:01', 7201), ('90:00', 5400), ('1e2', 100)],
)  # fmt: skip
def test_times(text, seconds):
    assert parse_time(text) == pytest.approx(seconds)


@pytest.mark.parametrize('text', ['', 'x', '1:75', '1:60:00', '-1', 'nan', 'inf', '1:2:3:4', '1,5'])
def test_unreadable_times(text):
    with pytest.raises(ValueError, match='expected seconds from 0 on, mm:ss or hh:mm:ss'):
        parse_time(text)


def test_a_comma_is_a_point_where_it_parts_no_fields(write):
    assert segments_of(write('video;start;end;label\na;1,5;0:02,0;jump\n')) == EXPECTED[:1]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', r'segments.csv: holds no row'),
        ('video,start,end\n', r'segments.csv: holds no row'),
        ('a,1,2,jump\n', r"segments.csv:1: there is no column 'video'.* the columns are 'a', '1'"),
        ('video,begin,end\na,1,2\n', "there is no column 'start'"),
        ('video,start,end,start\na,1,2,1\n', "'start' is there twice"),
        ('video,start,end,lable\na,1,2,x\n', r"'lable' is unknown \(is it 'label'\?\)"),
        ('video,start,end\na,1,2\n"b,1,2\n', 'segments.csv:3: is not csv'),
    ],
)
def test_unreadable_tables(write, text, message):
    with pytest.raises(AnnotationError, match=message):
        read_segment_csv(write(text))


def test_unreadable_files(tmp_path, write):
    with pytest.raises(AnnotationError, match='is not in UTF-8'):
        read_segment_csv(write('video,start,end\nü,1,2\n', 'latin-1'))
    with pytest.raises(AnnotationError, match='no such file'):
        read_segment_csv(tmp_path / 'none.csv')


# --- with videos ----------------------------------------------------------------------------------


def test_the_file_is_read_back_as_it_was_meant(write, videos, tmp_path):
    table = write(
        'video,start,end,label,subset,subject\n'
        'a.mp4,0:01,0:02.5,jump,training,P1\n'
        'a,3,9,跑,,\n'
        'deep\\c.MKV,0,1,,Validation,P2\n'
        'b,,,,validation,P2\n'
    )
    annotations = annotate_from_csv(table, videos)
    annotations.write(tmp_path / 'out' / 'annotations.json')
    loaded = load_annotations(tmp_path / 'out' / 'annotations.json', group_field='subject')
    records = {record.name: record for record in loaded.records}
    assert list(records) == ['a', 'b', 'deep/c']
    assert records['a'].segments == (Segment(1.0, 2.5, 'jump'), Segment(3.0, 4.0, '跑'))
    assert records['b'].segments == ()
    assert records['deep/c'].segments == (Segment(0.0, 1.0, 'action'),)
    assert [record.group for record in loaded.records] == ['P1', 'P2', 'P2']
    assert [record.subset for record in loaded.records] == ['training', 'validation', 'validation']
    assert all(record.num_frames == 40 for record in loaded.records)
    assert all(record.fps == pytest.approx(10) for record in loaded.records)
    assert all(record.duration_sec == pytest.approx(4.0) for record in loaded.records)
    assert annotations.unnamed == ('d',) and annotations.clipped == len(loaded.clipped) == 1


def test_accents_are_the_same_however_they_are_written(write, tmp_path):
    make_video(tmp_path / 'videos' / (unicodedata.normalize('NFD', 'Übung') + '.mp4'))
    table = write('video,start,end\n' + unicodedata.normalize('NFC', 'Übung') + ',1,2\n')
    assert len(annotate_from_csv(table, tmp_path / 'videos').database) == 1


def test_unnamed_videos_are_taken_if_asked_for(write, videos):
    table = write('video,start,end\na,1,2\nb,1,2\n')
    assert annotate_from_csv(table, videos).unnamed == ('d', 'deep/c')
    annotations = annotate_from_csv(table, videos, with_unnamed=True)
    assert annotations.unnamed == ()
    assert list(annotations.database) == ['a', 'b', 'd', 'deep/c']
    assert annotations.database['d']['annotations'] == []
    with pytest.raises(AnnotationError, match='has a column subset'):
        annotate_from_csv(write('video,start,end,subset\na,1,2,x\n'), videos, with_unnamed=True)


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        ('a,x,2,jump', r"segments.csv:2: start is 'x'; expected seconds"),
        ('a,1,,jump', r"segments.csv:2: end is ''; expected seconds"),
        ('a,1,2,jump\na,-1,2,jump', r"segments.csv:3: start is '-1'; expected seconds from 0"),
        ('a,2,2,jump', 'segments.csv:2: starts at 2 and ends at 2; expected an end after'),
        ('a,0:03,2,jump', 'segments.csv:2: starts at 0:03 and ends at 2; expected an end after'),
        ('a,4,5,jump', "segments.csv:2: starts at 4 s, but video 'a' is 4 s long"),
        (',1,2,jump', 'segments.csv:2: names no video'),
        ('a,,,jump', "segments.csv:2: has the label 'jump' but neither start nor end"),
        ('a,1,2,jump,5', r'segments.csv:2: has 5 fields, the header 4'),
        ('a,1,2,\na,,,', r"segments.csv:3: video 'a' has no action here, but segments"),
        ('a,,,\nb,,,', 'there is no segment; expected some to learn from'),
        ('c,1,2,\nc,2,3,', r"segments.csv:2: video 'c' \(2 rows\) is not in .*as 'deep/c'"),
        ('aa,1,2,', r"segments.csv:2: video 'aa' \(1 row\) is not in .*such as 'a'"),
        ('zzz,1,2,', r"segments.csv:2: video 'zzz' .* such as 'a', 'b', 'd'"),
    ],
)
def test_bad_rows(write, videos, rows, message):
    with pytest.raises(AnnotationError, match=message) as caught:
        annotate_from_csv(write(f'video,start,end,label\n{rows}\n'), videos)
    assert '1 problem\n' in str(caught.value)


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        ('a,1,2,training,\na.mp4,2,3,validation,',
         "segments.csv:3: video 'a.*' has the subset 'validation', and in line 2 'training'"),
        ('a,1,2,training,P1\na,2,3,training,P2',
         "segments.csv:3: video 'a' has the subject 'P2', and in line 2 'P1'"),
        ('a,1,2,,P1', "segments.csv:2: video 'a' has no subset; expected one"),
    ],
)  # fmt: skip
def test_rows_that_contradict_each_other(write, videos, rows, message):
    with pytest.raises(AnnotationError, match=message):
        annotate_from_csv(write(f'video,start,end,subset,subject\n{rows}\n'), videos)


def test_all_problems_come_together(write, videos):
    rows = ['a,x,2', 'none,1,2', 'a,9,10', *['a,2,1'] * 9]
    with pytest.raises(AnnotationError, match='12 problems') as caught:
        annotate_from_csv(write('video,start,end\n' + '\n'.join(rows)), videos)
    lines = str(caught.value).split('\n')
    assert ['segments.csv:2: ' in lines[1], 'segments.csv:3: ' in lines[2]] == [True, True]
    assert 'segments.csv:4: starts at 9 s' in lines[3]
    assert lines[11] == '... and 2 more' and lines[12].startswith('  fix: ') and len(lines) == 13


@pytest.mark.parametrize('content', ['empty', 'no video', 'cut off'])
def test_videos_that_cannot_be_decoded(write, videos, tmp_path, content):
    folder = tmp_path / 'videos'
    make_video(folder / 'good.mp4')
    make_video(folder / 'bad.mkv', 200)
    whole = (folder / 'bad.mkv').read_bytes()
    (folder / 'bad.mkv').write_bytes(
        {'empty': b'', 'no video': b'x' * 999}.get(content, whole[:300])
    )
    table = write('video,start,end\ngood,1,2\nbad,1,2\n')
    with pytest.raises(AnnotationError, match=r'segments.csv:3: .*bad\.mkv: '):
        annotate_from_csv(table, folder)
    annotations = annotate_from_csv(table, folder, on_bad='skip')
    assert list(annotations.database) == ['good']
    assert len(annotations.skipped) == 1 and 'bad.mkv: ' in annotations.skipped[0]
    with pytest.raises(AnnotationError, match='no segment without the 1 video skipped'):
        annotate_from_csv(write('video,start,end\nbad,1,2\n'), folder, on_bad='skip')


# --- training and validation ----------------------------------------------------------------------

NAMES = [f'video_{i}' for i in range(400)]


def test_about_the_share_is_drawn_and_always_the_same():
    chosen = draw_validation(NAMES, 0.25)
    assert 70 < len(chosen) < 130
    assert draw_validation(reversed(NAMES), 0.25) == chosen
    assert draw_validation(NAMES, 0.25, seed=1) != chosen
    assert chosen < draw_validation(NAMES, 0.5)


def test_videos_keep_their_subset_when_others_come():
    before, after = draw_validation(NAMES[:200], 0.25), draw_validation(NAMES, 0.25)
    assert before == after & set(NAMES[:200])


@pytest.mark.parametrize('share', [1e-9, 0.5, 1 - 1e-9])
def test_neither_subset_is_empty(share):
    for count in range(2, 6):
        for seed in range(20):
            assert 0 < len(draw_validation(NAMES[:count], share, seed)) < count
    assert draw_validation(NAMES[:1], share) == draw_validation([], share) == set()


@pytest.mark.parametrize('share', [0, 1, -1])
def test_a_share_of_all_or_nothing_is_refused(share):
    with pytest.raises(ValueError, match='above 0 and below 1'):
        draw_validation(NAMES, share)


@pytest.mark.parametrize('seed', range(6))
def test_subjects_stay_together_and_both_subsets_have_action(write, videos, seed):
    table = write('video,start,end,subject\na,1,2,P1\nb,1,2,p1\ndeep/c,1,2,P2\nd,,,P3\n')
    entries = annotate_from_csv(table, videos, seed=seed).database
    assert entries['a']['subset'] == entries['b']['subset'] != entries['deep/c']['subset']
    assert {entry['subset'] for entry in entries.values()} == {'training', 'validation'}


# --- the command line -----------------------------------------------------------------------------


def test_the_summary_tells_what_is_there_and_what_is_not(write, videos):
    table = write(
        'video,start,end,label,subset,who\na,1,2,x,training,I\na,2,9,x,,I\na,2,3,y,,I\n'
        'b,,,,validation,I\n'
    )
    assert summary_lines(annotate_from_csv(table, videos)) == [
        '2 videos of 8 s, 3 segments of 2 classes',
        '  classes: x 2, y 1',
        '  training: 1 video of 4 s, 3 segments',
        '  validation: 1 video of 4 s, 0 segments, 1 without action',
        '1 segment past the end: clipped when read',
        'columns not used: who',
        "2 videos not in the table: 'd', 'deep/c'",
    ]


def run(*args):
    return run_tool(Path.cwd(), TOOL, *args)


def test_the_command_line_writes_all_or_nothing(write, videos, tmp_path):
    out = tmp_path / 'annotations.json'
    bad = run(write('video,start,end\na,2,1\n'), videos, out)
    assert bad.returncode == 1 and 'segments.csv:2: starts at 2' in bad.stderr
    assert 'Traceback' not in bad.stderr and not out.exists()
    good = run(write('video,start,end\na,1,2\nb,1,2\n'), videos, out, '--with-unnamed')
    assert good.returncode == 0, good.stderr
    assert good.stdout.startswith('4 videos of 16 s, 2 segments of 1 class')
    assert set(json.loads(out.read_text())['database']) == {'a', 'b', 'd', 'deep/c'}


@pytest.mark.parametrize('column', ['type', 'class', 'Action'])
def test_a_column_that_looks_like_the_label_is_asked_about(tmp_path, column):
    """Left unused, all segments would be one class."""
    (tmp_path / 'table.csv').write_text(f'video,start,end,{column}\na,1,2,jump\n')
    with pytest.raises(AnnotationError, match=f"no column 'label' .is it '{column.lower()}'"):
        read_segment_csv(tmp_path / 'table.csv')
    (tmp_path / 'table.csv').write_text(f'video,start,end,{column},label\na,1,2,x,jump\n')
    (row,) = read_segment_csv(tmp_path / 'table.csv').rows
    assert row.segment.label == 'jump'
