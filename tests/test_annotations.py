"""Annotation files: every layout gives the same records, and each bad input its own message."""

from __future__ import annotations

import json
import math

import pytest

from mmsola.datasets.annotations import AnnotationError, load_annotations
from mmsola.structures.video_record import Segment

FLAT = {
    'v_a': {
        'duration_second': 10.0,
        'duration_frame': 300,
        'feature_frame': 288,
        'fps': 25.0,
        'annotations': [{'segment': [1.0, 2.5], 'label': 'jump'}],
    },
    'v_b': {'duration_second': 4.0, 'fps': 25.0, 'rfps': 23.976, 'annotations': []},
}

DATABASE = {
    'version': '1.3',
    'taxonomy': [],
    'database': {
        'a': {
            'duration': 10.0,
            'subset': 'Training',
            'subject': 7,
            'annotations': [{'segment': [1.0, 2.5], 'label': 'jump', 'label_id': 3}],
        },
        'b': {'duration': 4.0, 'subset': 'Training', 'subject': 8, 'annotations': []},
        'c': {
            'duration': 5.0,
            'frame': 100,
            'subset': 'Validation',
            'annotations': [{'segment': [0, 5], 'segment(frames)': [0, 100], 'label': 'run'}],
        },
        'd': {'duration': 5.0, 'subset': 'test', 'annotations': []},
        'e': {'duration': 5.0, 'subset': 'test'},
    },
}


@pytest.fixture
def write(tmp_path):
    def to_file(content, name='anno.json'):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return to_file


def one_video(**entry):
    return {'v_x': {'duration_second': 10.0, **entry}}


def one_segment(*segment, **entry):
    return one_video(annotations=[{'segment': list(segment), 'label': 'jump'}], **entry)


def test_flat_layout(write):
    a, b = load_annotations(write(FLAT)).records
    assert (a.name, a.duration_sec, a.num_frames, a.feature_frames) == ('v_a', 10.0, 300, 288)
    assert a.segments == (Segment(1.0, 2.5, 'jump'),)
    assert b.segments == ()
    assert a.subset is None and a.group is None


def test_fps_is_the_true_one(write):
    a, b = load_annotations(write(FLAT)).records
    assert a.fps == 30.0  # frames / duration, not the rounded fps
    assert b.fps == 23.976  # rfps
    (c,) = load_annotations(write(one_video(fps=24))).records
    assert c.fps == 24


def test_database_layout_gives_the_same_segments(write):
    flat = load_annotations(write(FLAT)).records
    database = load_annotations(write(DATABASE), subset='training').records
    assert [record.segments for record in flat] == [record.segments for record in database]


@pytest.mark.parametrize(
    ('subset', 'names'),
    [
        (None, 'abcde'),
        ('training', 'ab'),
        ('VALIDATION', 'c'),
        (['Test', 'validation'], 'cde'),
    ],
)
def test_subsets(write, subset, names):
    records = load_annotations(write(DATABASE), subset=subset).records
    assert ''.join(record.name for record in records) == names


def test_subset_without_any_segment_is_not_annotated(write):
    records = {record.name: record for record in load_annotations(write(DATABASE)).records}
    assert records['d'].segments is None and records['e'].segments is None
    assert records['b'].segments == ()  # looked through, nothing there


def test_group(write):
    records = load_annotations(write(DATABASE), group_field='subject').records
    assert [record.group for record in records] == ['7', '8', None, None, None]


def test_segment_past_the_end_is_clipped_and_told(write):
    annotations = load_annotations(write(one_segment(8, 10.5)))
    assert annotations.records[0].segments == (Segment(8, 10.0, 'jump'),)
    (line,) = annotations.clipped
    assert 'v_x' in line and '10.500' in line and '10.000' in line


def test_rounding_is_no_clipping(write):
    annotations = load_annotations(write(one_segment(8, 10.0009)))
    assert annotations.records[0].segments == (Segment(8, 10.0, 'jump'),)
    assert annotations.clipped == ()


def test_without_duration_nothing_is_clipped(write):
    content = {'v_x': {'annotations': [{'segment': [8, 99], 'label': 'jump'}]}}
    (record,) = load_annotations(write(content)).records
    assert record.duration_sec is None
    assert record.segments == (Segment(8, 99, 'jump'),)


def test_segment_without_label_is_class_agnostic(write):
    segments = [{'segment': [1, 2]}, {'segment': [2, 3], 'label': ''}]
    (record,) = load_annotations(write(one_video(annotations=segments))).records
    assert [segment.label for segment in record.segments] == ['action', 'action']


@pytest.mark.parametrize(
    ('segment', 'fault'),
    [
        ((3, 3), 'zero length'),
        ((4, 3), 'reversed'),
        ((-2, 3), 'before 0'),
        ((math.nan, 3), 'not finite'),
        ((1, math.inf), 'not finite'),
        ((10, 12), 'past the end'),
    ],
)
def test_bad_segment_stops_or_is_dropped(write, segment, fault):
    path = write(one_segment(*segment))
    with pytest.raises(AnnotationError, match=rf"(?s)anno.json.*v_x.*{fault}.*'drop'"):
        load_annotations(path)
    annotations = load_annotations(path, on_bad_segment='drop')
    assert annotations.records[0].segments == ()
    (line,) = annotations.dropped
    assert 'v_x' in line and fault in line


def test_all_bad_segments_are_counted_at_once(write):
    segments = [{'segment': [3, 3], 'label': 'jump'}] * 12
    with pytest.raises(AnnotationError, match='and 7 more'):
        load_annotations(write(one_video(annotations=segments)))


def test_bad_segments_of_other_subsets_do_not_matter(write):
    content = json.loads(json.dumps(DATABASE))
    content['database']['a']['annotations'][0]['segment'] = [3, 3]
    assert len(load_annotations(write(content), subset='validation').records) == 1


NO_JSON = [
    ('', 'empty.*copy it again'),
    ('{"a": {"duration_second": 3},\n "b": {"dura', 'not valid json.*line 2.*copy it again'),
    ('[1, 2]', 'json list.*expected'),
    ('{}', 'no videos'),
    ('{"database": {}}', 'no videos'),
    ('{"database": [1]}', '"database" is a list'),
    ('{"version": "1", "results": {"a": []}}', 'unknown format.*submission.*results'),
    ('{"a": {"x": 1}}', "unknown format.*keys 'a'"),
    ('{"v_a": {"annotations": []}, "v_b": 5}', "'v_b'.*int.*correct this entry"),
    (
        '{"v_a": {"duration_second": 3}, "v_a": {"duration_second": 4}}',
        "video 'v_a' occurs 2 times.*remove or rename",
    ),
    (
        '{"database": {"a": {"duration": 3, "subset": "x"}, "a": {"duration": 3}}}',
        "video 'a' occurs 2 times",
    ),
]


@pytest.mark.parametrize(('text', 'message'), NO_JSON)
def test_bad_file(write, text, message):
    with pytest.raises(AnnotationError, match=f'(?s)anno.json.*{message}') as caught:
        load_annotations(write(text))
    assert 'expected: ' in str(caught.value) and 'fix: ' in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(AnnotationError, match=r'(?s)none\.json: does not exist.*correct the path'):
        load_annotations(tmp_path / 'none.json')
    with pytest.raises(AnnotationError, match='is a folder'):
        load_annotations(tmp_path)


def test_binary_file(tmp_path):
    (tmp_path / 'anno.json').write_bytes(b'\x90\x04\xff\xfe')
    with pytest.raises(AnnotationError, match='(?s)cannot be read as text.*UTF-8'):
        load_annotations(tmp_path / 'anno.json')


BAD_ENTRIES = [
    (one_video(duration_second=0), 'duration_second is 0.*above 0'),
    (one_video(duration_second=-1), 'duration_second is -1'),
    (one_video(duration_second='long'), "duration_second is 'long'"),
    (one_video(duration_second='1_2'), "duration_second is '1_2'"),
    (one_video(duration_second=math.nan), 'duration_second is nan'),
    (one_video(duration_frame=-5), 'duration_frame is -5'),
    (one_video(fps=0), 'fps is 0'),
    (one_video(subset=3), 'subset is 3'),
    (one_video(annotations={'segment': [1, 2]}), 'annotations is a dict.*a list of'),
    (one_segment(1, 2, 3), 'segment 0 is not a pair.*two numbers'),
    (one_video(annotations=[{'label': 'jump'}]), 'segment 0 is not a pair'),
    (one_video(annotations=[[1, 2, 3]]), 'annotations 0 is .*which of the three is the class'),
    (one_video(annotations=[[1]]), 'segment 0 is not a pair'),
    (one_video(timestamps=[[1, 2]], labels=['a', 'b']), 'has 1 timestamps and 2 labels'),
    (one_video(actions={'1': [2, 3]}), 'actions is a dict'),
    (one_segment('1', 'two'), 'segment 0 is not numeric'),
    (one_segment('nan', '2'), 'segment 0 is not numeric'),
    (one_segment(True, 2), 'segment 0 is not numeric'),
    (one_segment(1, None), 'segment 0 is not numeric'),
    (one_video(annotations=[{'segment': [1, 2], 'label': ['x']}]), r"label.*\['x'\]"),
]


@pytest.mark.parametrize(('content', 'message'), BAD_ENTRIES)
def test_bad_entry(write, content, message):
    with pytest.raises(AnnotationError, match=f"(?s)anno.json: video 'v_x'.*{message}.*fix: "):
        load_annotations(write(content), on_bad_segment='drop')


RUN, JUMP = Segment(1.0, 2.5, 'run'), Segment(3.0, 4.0, 'jump')
LAYOUTS = {
    'class index first': {'actions': [[7, 1.0, 2.5], [0, 3.0, 4.0]]},
    'name first': {'annotations': [['run', 1.0, 2.5], ['jump', '3', 4.0]]},
    'name last': {'segments': [[1.0, 2.5, 'run'], [3.0, 4.0, 'jump']]},
    'lists beside': {'timestamps': [[1.0, 2.5], [3.0, 4.0]], 'labels': ['run', 'jump']},
    'lists of pairs': {'segments': [[1.0, 2.5], [3.0, 4.0]], 'label': ['run', 'jump']},
    'start and end': {
        'annotations': [
            {'start': 1.0, 'end': '2.5', 'class': 'run'},
            {'t_start': 3, 't_end': 4, 'category': 'jump'},
        ]
    },
    'one annotation': {
        'annotation': [
            {'segment': ['1.0', '2.5'], 'labels': ['run']},
            {'timestamp': [3, 4], 'label_name': 'jump'},
        ]
    },
    'label_id alone': {
        'annotations': [
            {'segment': [1.0, 2.5], 'label_id': 7},
            {'segment': [3.0, 4.0], 'label_id': 0},
        ]
    },
}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_the_layouts_of_public_files(write, layout):
    entry = {'subset': 'training', 'duration': 10, **LAYOUTS[layout]}
    (record,) = load_annotations(write({'a': entry}), subset='training').records
    by_number = layout in ('class index first', 'label_id alone')
    names = ('7', '0') if by_number else ('run', 'jump')
    assert record.segments == tuple(
        Segment(s.start_sec, s.end_sec, name) for s, name in zip((RUN, JUMP), names)
    )


def test_a_segment_of_several_classes_is_one_of_each(write):
    segments = [{'segment': [1.0, 2.5], 'labels': ['run', 'jump']}]
    (record,) = load_annotations(write(one_video(annotations=segments))).records
    assert [segment.label for segment in record.segments] == ['run', 'jump']


def test_numbers_may_be_text(write):
    content = {'v_x': {'duration': '10.0', 'fps': '25', 'annotations': [{'segment': ['8', '1e1']}]}}
    (record,) = load_annotations(write(content)).records
    assert (record.duration_sec, record.fps) == (10.0, 25.0)
    assert record.segments == (Segment(8.0, 10.0, 'action'),)


@pytest.mark.parametrize('unknown', [[[1, 2, 3]], [{'from': 1, 'to': 2}], {'1': {'from': 1}}])
def test_a_field_that_is_not_understood_is_named(write, unknown):
    content = {name: {'duration': 9.0, 'events': unknown} for name in 'ab'}
    with pytest.raises(AnnotationError, match=r"(?s)none of its 2 videos.*'events' \(2 videos\)"):
        load_annotations(write(content))


def test_a_file_without_any_segment_is_said(write, log_lines):
    load_annotations(write({'a': {'duration': 9.0, 'annotations': [], 'tags': ['x']}}))
    assert any('none of its 1 videos has a segment' in line for line in log_lines)


OTHER_KINDS = {
    'table.csv': ('video,start,end\na,1,2\n', 'a table.*mmsola annotations'),
    'table.tsv': ('video\tstart\tend\n', 'a table.*mmsola annotations'),
    'table.json': ('video;start;end\na;1;2\n', 'a table.*mmsola annotations'),
    'list.txt': ('video_1 1 2\n', 'a text.*mmsola annotations'),
    'lines.jsonl': ('{"video": "a"}\n{"video": "b"}\n', 'lines of json.*one object'),
    'lines.json': ('{"video": "a"}\n{"video": "b"}\n', 'lines of json.*one object'),
    'anno.pkl': ('\x80\x04', 'a pickle.*json.dump'),
    'anno.json': ('\x80\x04', 'a pickle.*json.dump'),
}


@pytest.mark.parametrize('name', OTHER_KINDS)
def test_a_file_of_another_kind_says_what_to_call(tmp_path, name):
    text, message = OTHER_KINDS[name]
    (tmp_path / name).write_bytes(text.encode('latin-1'))
    with pytest.raises(AnnotationError, match=f'(?s){name}: is {message}'):
        load_annotations(tmp_path / name)


def test_faults_are_told_apart(write):
    times = [[3, 3], [4, 3], [5, 2], [20, 30], [1, 2]]
    segments = [{'segment': pair} for pair in times]
    annotations = load_annotations(write(one_video(annotations=segments)), on_bad_segment='drop')
    assert annotations.faults == {'of no length': 1, 'reversed': 2, 'past the end': 1}


def test_unknown_subset_names_those_that_occur(write):
    with pytest.raises(AnnotationError, match=r"(?s)'val'.*'Training' \(2 videos\).*'test' \(2"):
        load_annotations(write(DATABASE), subset='val')


def test_flat_file_has_no_subset(write):
    with pytest.raises(AnnotationError, match='(?s)no subset.*leave out subset'):
        load_annotations(write(FLAT), subset='training')


def test_unknown_group_field_names_the_fields(write):
    with pytest.raises(AnnotationError, match="(?s)'person'.*'annotations'.*'subject'"):
        load_annotations(write(DATABASE), group_field='person')


def test_unknown_choice():
    with pytest.raises(ValueError, match='on_bad_segment'):
        load_annotations('x.json', on_bad_segment='ignore')
