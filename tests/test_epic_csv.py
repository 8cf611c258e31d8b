"""EPIC-Kitchens' csv files: what they say, and each bad row its own message."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from mmsola.datasets.annotations import AnnotationError, load_annotations
from mmsola.datasets.class_names import read_class_names
from mmsola.datasets.tables.epic_csv import annotate_epic_kitchens

COLUMNS = (
    'narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,'
    'start_frame,stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n'
)
ROW = (
    'P01_01_0,P01,{video},00:00:01.089,{start},{stop},8,202,"turn on, slowly",switch-on,{verb},'
    "door,{noun},['door'],[3]\n"
)


def row(video='P01_01', start='00:00:00.14', stop='00:01:03.37', verb='2', noun='1'):
    return ROW.format(video=video, start=start, stop=stop, verb=verb, noun=noun)


@pytest.fixture
def folder(tmp_path):
    files = {
        'train': COLUMNS + row() + row(start='01:00:00.5', stop='01:00:02', verb='0'),
        'validation': COLUMNS + row('P02_03', verb='1'),
        'video_info': 'video_id,duration,fps,resolution\nP01_01,3700.5,59.94,1920x1080\n'
        'P02_03,70,50.0,1920x1080\nP09_01,80,50.0,1920x1080\n',
        'verb_classes': "id,key,instances,category\n0,take,\"['take', 'get']\",retrieve\n"
        "1,put,['put'],leave\n2,turn-on,['switch-on'],access\n3,cut,['cut'],split\n",
        'noun_classes': "id,key,instances,category\n0,tap,['tap'],appliances\n"
        "1,spoon,['spoon'],cutlery\n",
    }
    for name, text in files.items():
        (tmp_path / f'EPIC_100_{name}.csv').write_text(text)
    return tmp_path


def change(folder, name, text):
    (folder / f'EPIC_100_{name}.csv').write_text(text)


def test_a_label_is_the_name_of_its_class_not_the_word_of_the_narrator(folder):
    found = annotate_epic_kitchens(folder, 'verb')
    assert found.classes == ('take', 'put', 'turn-on', 'cut')
    assert found.database['P01_01'] == {
        'duration': 3700.5,
        'subset': 'training',
        'subject': 'P01',
        'annotations': [
            {'segment': [0.14, 63.37], 'label': 'turn-on'},
            {'segment': [3600.5, 3602.0], 'label': 'take'},
        ],
    }
    assert found.database.keys() == {'P01_01', 'P02_03'}  # nobody says what happens in P09_01
    assert found.unused == 2  # put is in the validation alone, cut nowhere
    assert annotate_epic_kitchens(folder, 'noun').classes == ('tap', 'spoon')


def test_what_the_tool_writes_is_read(folder, monkeypatch, capsys):
    tool = Path(__file__).parents[1] / 'tools' / 'make_epic_annotations.py'
    monkeypatch.setattr(sys, 'argv', ['', str(folder), 'verb'])
    runpy.run_path(str(tool), run_name='__main__')
    assert '4 classes, of which 2 have no segment in training' in capsys.readouterr().out
    (record,) = load_annotations(
        folder / 'epic_kitchens_100_verb.json', 'validation', 'subject'
    ).records
    assert (record.name, record.group, record.segments[0].label) == ('P02_03', 'P01', 'put')
    names = read_class_names(folder / 'epic_kitchens_100_verb_classes.txt')
    assert names == ['take', 'put', 'turn-on', 'cut']


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('train', COLUMNS + row() + row(verb='4'), "train.csv:3: the class '4'"),
        ('train', COLUMNS + row(verb='-1'), "train.csv:2: the class '-1'"),
        ('train', COLUMNS + row(start='soon'), "train.csv:2: start_timestamp is 'soon'"),
        ('train', COLUMNS + row(video='P03_01'), "train.csv:2: video 'P03_01' is not in"),
        ('train', COLUMNS + row('P02_03'), "validation.csv:2: video 'P02_03' is in both subsets"),
        ('train', COLUMNS + row()[:40], 'train.csv:2: a row that is cut off'),
        ('train', COLUMNS + row().replace('"', ''), 'train.csv:2: a row with more cells'),
        ('train', COLUMNS, 'train.csv:1: no row below'),
        ('verb_classes', 'id,key\n', 'classes.csv:1: no row below'),
        ('video_info', 'video_id,duration\na,5\na,6\n', "info.csv:3: video 'a' for the second"),
        ('train', 'video_id,start\n', "train.csv:1: no column 'participant_id'"),
        ('verb_classes', 'id,key\n0,take\n2,put\n', "classes.csv:3: class '2', 'put'"),
        ('verb_classes', 'id,key\n0,take\n1,take\n', "classes.csv:3: class '1', 'take'"),
        ('video_info', 'video_id,duration\nP01_01,long\n', "info.csv:2: duration is 'long'"),
    ],
)
def test_a_bad_row_is_told_with_its_line(folder, name, text, message):
    change(folder, name, text)
    with pytest.raises(AnnotationError, match=message):
        annotate_epic_kitchens(folder, 'verb')


def test_a_missing_file_is_named(folder):
    (folder / 'EPIC_100_validation.csv').unlink()
    with pytest.raises(AnnotationError, match=r'EPIC_100_validation.csv: no such file'):
        annotate_epic_kitchens(folder, 'verb')
