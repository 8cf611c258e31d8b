"""From the files that others publish to the data sets of the configs."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from mmaction.registry import DATASETS
from mmengine.config import Config

import mmsola.datasets  # noqa: F401 - registers
from mmsola import console
from mmsola.datasets import known_sets
from mmsola.datasets.annotations import AnnotationError, load_annotations
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.prepare import activitynet, captaincook_pe, charades_clip, isl_i3d
from mmsola.datasets.prepare.output import OutputError
from mmsola.evaluation.class_scores import ClassScoreError, ClassScores

ROOT = Path(__file__).parents[1]
DATASET_CONFIGS = sorted((ROOT / 'configs' / '_base_' / 'datasets').glob('*.py'))


def read_by_config(name, out):
    """The training and the validation videos of a config's data set, at another path."""
    config = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{name}.py')
    load = [dict(type='LoadSnippetSequence')]
    return [
        DATASETS.build({**config[subset].to_dict(), 'data_root': str(out), 'pipeline': load})
        for subset in ('training', 'validation')
    ]


def names_of(dataset):
    return [dataset.get_data_info(i)['video_name'] for i in range(len(dataset))]


def run_tool(monkeypatch, page, *args):
    tool = ROOT / 'tools' / 'data' / page / 'prepare.py'
    monkeypatch.setattr(sys, 'argv', [str(tool), *map(str, args)])
    runpy.run_path(str(tool), run_name='__main__')


@pytest.fixture
def isl(tmp_path):
    """Five takes of four sentences; one is on neither side, one has no segment."""
    source = tmp_path / 'test_data'
    (source / 'i3d_features').mkdir(parents=True)
    for name, count in (
        ('abuse (3)', 10),
        ('abuse', 12),
        ('afraid (2)', 9),
        ('become', 8),
        ('stranger', 8),
    ):
        features = np.random.default_rng(count).normal(size=(count, 1024)).astype(np.float32)
        scipy.io.savemat(
            source / 'i3d_features' / f'{name}.MP4.mat',
            {'features': features, 'logits': np.zeros((count, 3), np.float32)},
        )
    (source / 'VIA_annotations.csv').write_text(
        '# Exported using VGG Image Annotator,,,,\n'
        '1_a,"[""abuse (3).MP4""]",0.5,5,"{""subtitle"":""""}"\n'
        '1_b,"[""abuse (3).MP4""]",0.1,0.5,"{""subtitle"":""""}"\n'
        '1_c,"[""abuse (3).MP4""]",2,3,"{""subtitle"":""""}"\n'
        '2_a,"[""abuse.MP4""]",0.2,0.4,"{""subtitle"":""""}"\n'
        '3_a,"[""afraid (2).MP4""]",0.2,0.4,"{""subtitle"":""""}"\n'
        '4_a,"[""become.MP4""]",0.2,0.4,"{""subtitle"":""""}"\n'
        '5_a,"[""no features.MP4""]",0.2,0.4,"{""subtitle"":""""}"\n'
    )
    return source


def test_isl_is_read_by_its_config(isl, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'isl_i3d'
    run_tool(monkeypatch, 'isl_i3d', isl, '--out', out)
    assert '2 training and 1 validation videos; left out 1 of other' in capsys.readouterr().out
    training, validation = read_by_config('isl_i3d', out)
    assert names_of(training) == ['v_abuse_3', 'v_abuse']  # in the order of the files
    assert names_of(validation) == ['v_afraid_2']
    stored = scipy.io.loadmat(isl / 'i3d_features' / 'abuse (3).MP4.mat')['features']
    np.testing.assert_array_equal(
        training.store.read('v_abuse_3'), stored.astype(np.float16).astype(np.float32)
    )
    with h5py.File(out / 'features.h5') as file:
        assert sorted(file) == ['v_abuse', 'v_abuse_3', 'v_afraid_2']
        assert file['v_abuse'].dtype == np.float16


def test_isl_segments_are_sorted_and_end_with_the_features(isl, tmp_path):
    entry = isl_i3d.prepare_isl_i3d(isl, tmp_path / 'out').training['v_abuse_3']
    # ten windows of 16 frames at stride 1, at 25 frames a second
    assert entry['duration_frame'] == 25 and entry['duration_second'] == 1.0
    assert [one['segment'] for one in entry['annotations']] == [[0.1, 0.5], [0.5, 1.0]]


def test_a_damaged_mat_file_is_named_and_nothing_is_written(isl, tmp_path):
    damaged = isl / 'i3d_features' / 'abuse.MP4.mat'
    for content in (damaged.read_bytes()[:-5000], b'no matlab' * 40, b''):
        damaged.write_bytes(content)
        with pytest.raises(FeatureError, match='abuse.MP4.mat'):
            isl_i3d.prepare_isl_i3d(isl, tmp_path / 'out')
    scipy.io.savemat(damaged, {'logits': np.zeros((3, 4))})
    with pytest.raises(FeatureError, match='abuse.MP4.mat: features are not there'):
        isl_i3d.prepare_isl_i3d(isl, tmp_path / 'out')
    scipy.io.savemat(damaged, {'features': np.full((3, 1024), np.nan)})
    with pytest.raises(FeatureError, match='abuse.MP4.mat.*not finite'):
        isl_i3d.prepare_isl_i3d(isl, tmp_path / 'out')
    assert not list((tmp_path / 'out').glob('*'))


@pytest.mark.parametrize(
    'row',
    [
        '9_a,abuse.MP4,0.2,0.4,x',
        '9_a,"[""a.MP4"",""b.MP4""]",0.2,0.4,x',
        '9_a,"[""a.MP4""]",0.4,0.2,x',
        '9_a,"[""a.MP4""]",0.4,nan,x',
        '9_a,"[""a.MP4""]",0.4',
        '9_a,"[5]",0.2,0.4,x',
    ],
)
def test_a_bad_row_of_the_annotator_is_named_with_its_line(isl, row):
    file = isl / 'VIA_annotations.csv'
    file.write_text(f'# a comment\n{row}\n')
    with pytest.raises(AnnotationError, match=r'VIA_annotations.csv:2: the cells'):
        isl_i3d.read_via_segments(file)


def test_no_sentence_or_person_is_on_two_sides():
    assert not isl_i3d.VALIDATION_SENTENCES & isl_i3d.LEFT_OUT_SENTENCES
    assert isl_i3d.sentence_of('v_how_old_are_you_4') in isl_i3d.VALIDATION_SENTENCES
    persons = (charades_clip._TRAINING + ' ' + charades_clip._VALIDATION).split()
    assert len(persons) == len(set(persons))


CHARADES_HEADER = (
    'id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n'
)


def charades_row(name, subject, actions, length='20.50'):
    return f'{name},{subject},Kitchen,5,6,Yes,"one, two",cup;bed,"a;b",{actions},{length}\n'


@pytest.fixture
def charades(tmp_path):
    """Embeddings of four videos, and a csv file of five."""
    source = tmp_path / 'embeddings'
    source.mkdir()
    for name in ('AAAAA', 'BBBBB', 'CCCCC', 'DDDDD'):
        features = np.random.default_rng(ord(name[0])).normal(size=(21, 512)).astype(np.float32)
        np.savez_compressed(
            source / f'{name}__ViT-B_32__fps_1.npz',
            image_embeddings=features,
            frame_timestamps=np.arange(21, dtype=np.float32),
            metadata_json=np.array('{"fps": 1.0}'),
        )
    table = tmp_path / 'Charades_v1_test.csv'
    table.write_text(
        CHARADES_HEADER
        + charades_row('BBBBB', 'BONA', 'c077 12.10 18.00;c079 11.80 32.00;c001 20.50 22.00')
        + charades_row('AAAAA', 'GFWE', 'c077 0.00 18.00')
        + charades_row('CCCCC', 'ZDKC', 'c077 0.00 18.00')
        + charades_row('EEEEE', 'GFWE', '')
    )
    return source, table


def test_charades_is_read_by_its_config(charades, tmp_path, monkeypatch, capsys):
    source, table = charades
    out = tmp_path / 'charades_clip'
    run_tool(monkeypatch, 'charades_clip', source, '--annotations', table, '--out', out)
    assert '1 training and 1 validation videos; left out 1 of other' in capsys.readouterr().out
    training, validation = read_by_config('charades_clip', out)
    assert names_of(training) == ['AAAAA'] and names_of(validation) == ['BBBBB']
    with np.load(source / 'AAAAA__ViT-B_32__fps_1.npz') as stored:
        halves = stored['image_embeddings'].astype(np.float16)
    np.testing.assert_array_equal(np.load(out / 'features' / 'AAAAA.npy'), halves)
    # clipped to the video; what starts after it is dropped
    assert validation.get_data_info(0)['annotations'] == [
        {'segment': [12.1, 18.0], 'label': 'c077'},
        {'segment': [11.8, 20.5], 'label': 'c079'},
    ]


def test_pickled_arrays_of_an_npz_are_refused(charades, tmp_path):
    source, table = charades
    np.savez(
        source / 'AAAAA__ViT-B_32__fps_1.npz', image_embeddings=np.array([{'a': 1}], dtype=object)
    )
    with pytest.raises(FeatureError, match=r'AAAAA__ViT-B_32__fps_1.npz.*is pickled'):
        charades_clip.prepare_charades_clip(source, table, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        (charades_row('AAAAA', 'GFWE', 'c077 0.00'), "csv:2: the action 'c077 0.00'"),
        (charades_row('AAAAA', 'GFWE', 'c1', ''), "csv:2: the length ''"),
        (charades_row('AAAAA', 'GFWE', 'c1', 'nan'), "csv:2: the length 'nan'"),
        (2 * charades_row('AAAAA', 'GFWE', ''), "csv:3: video 'AAAAA' for the second time"),
        ('AAAAA,GFWE\n', 'csv:2: a row that is cut off'),
    ],
)
def test_a_bad_row_of_charades_is_named_with_its_line(charades, row, message):
    _, table = charades
    table.write_text(CHARADES_HEADER + row)
    with pytest.raises(AnnotationError, match=re.escape(message)):
        charades_clip.annotate(['AAAAA'], table)


@pytest.fixture
def captaincook(tmp_path):
    """Features of five recordings of four persons, one of whom is on neither side."""
    source, annotations = tmp_path / 'features', tmp_path / 'annotations'
    durations = {'1_7': '30.5', '1_8': '20', '1_9': '20', '2_1': '1531', '10_6': '20'}
    persons = {'1_7': '3', '1_8': '8', '1_9': '7', '2_1': '1', '10_6': '5'}
    source.mkdir()
    for name, duration in durations.items():
        np.savez(
            source / f'{name}_360p_224.mp4_1s_1s.npz',
            features=np.full((int(float(duration)), 768), len(name), np.float32),
        )
    steps = [
        {'start_time': 8, 'end_time': 99, 'description': 'Cut -cut it '},
        {'start_time': -1.0, 'end_time': -1.0, 'description': 'not done'},
        {'start_time': -1.0, 'end_time': 5.0, 'description': 'not done'},
        {'start_time': 1.23456, 'end_time': 4, 'description': 'Coat-coat it'},
    ]
    entry = {'activity_name': 'Toast', 'person_id': 4, 'steps': steps}
    (annotations / 'annotation_json').mkdir(parents=True)
    (annotations / 'annotation_json' / 'complete_step_annotations.json').write_text(
        json.dumps(dict.fromkeys(durations, entry))
    )
    (annotations / 'metadata').mkdir()
    (annotations / 'metadata' / 'video_information.csv').write_text(
        'recording_id,environment_id,person_id,duration(min),duration(sec)\n'
        + ''.join(f'{name},2,{persons[name]},1,{durations[name]}\n' for name in durations)
    )
    return source, annotations


def test_captaincook_is_read_by_its_config(captaincook, tmp_path, monkeypatch, capsys):
    source, annotations = captaincook
    out = tmp_path / 'captaincook_pe'
    run_tool(monkeypatch, 'captaincook_pe', source, '--annotations', annotations, '--out', out)
    text = capsys.readouterr().out
    assert '2 training and 1 validation recordings; left out 1 of other persons and 1 of' in text
    training, validation = read_by_config('captaincook_pe', out)
    assert names_of(training) == ['10_6', '1_7'] and names_of(validation) == ['1_8']
    entry = json.loads((out / 'annotations.json').read_text())['database']['1_7']
    assert entry == {
        'duration': 30.5,
        'fps': 1,
        'subset': 'training',
        'subject': '3',  # of the table of recordings, not of the file of steps
        'recipe': 'Toast',
        'annotations': [
            {'segment': [1.235, 4], 'label': 'Coat-coat it'},
            {'segment': [8, 30.5], 'label': 'Cut -cut it'},
        ],
    }
    assert np.load(out / 'features' / '1_7.npy').dtype == np.float16


def test_a_recording_without_usable_steps_is_named(captaincook):
    _, annotations = captaincook
    file = annotations / 'annotation_json' / 'complete_step_annotations.json'
    for entry in (None, {'activity_name': 'a'}, {'activity_name': 'a', 'steps': [{'x': 1}]}):
        file.write_text(json.dumps({'1_7': entry}))
        with pytest.raises(AnnotationError, match=r"complete_step_annotations.json: .*'1_7'"):
            captaincook_pe.annotate(['1_7'], annotations)
    with pytest.raises(AnnotationError, match="no recording '5_5'"):
        captaincook_pe.annotate(['5_5'], annotations)


def test_a_second_run_goes_on_and_other_files_are_left_alone(captaincook, tmp_path):
    source, annotations = captaincook
    out = tmp_path / 'out'
    captaincook_pe.prepare_captaincook_pe(source, annotations, out)
    before = {file: file.read_bytes() for file in out.rglob('*') if file.is_file()}
    (out / 'features' / '1_7.npy').unlink()  # as if it had been stopped
    captaincook_pe.prepare_captaincook_pe(source, annotations, out)
    assert before == {file: file.read_bytes() for file in out.rglob('*') if file.is_file()}

    (out / 'features' / '1_7.npy').write_bytes(b'of somebody else')
    with pytest.raises(OutputError, match=r'1_7.npy: is already there'):
        captaincook_pe.prepare_captaincook_pe(source, annotations, out)
    assert (out / 'features' / '1_7.npy').read_bytes() == b'of somebody else'

    other = tmp_path / 'other'
    other.mkdir()
    (other / 'annotations.json').write_text('{}')
    with pytest.raises(OutputError, match=r'annotations.json: is already there'):
        captaincook_pe.prepare_captaincook_pe(source, annotations, other)
    assert [file.name for file in other.iterdir()] == ['annotations.json']


VIDEO_INFO_HEADER = 'video,numFrame,seconds,fps,rfps,subset,featureFrame\n'


@pytest.fixture
def anet(tmp_path):
    """Three videos, one a subset."""
    source = tmp_path / 'source'
    source.mkdir()
    entry = {
        'duration_second': 10.0,
        'duration_frame': 300,
        'feature_frame': 288,
        'annotations': [{'segment': [1.0, 9.0], 'label': 'Ballet'}],
    }
    (source / 'anet_anno_action.json').write_text(
        json.dumps({name: entry for name in ('v_a', 'v_b', 'v_c')})
    )
    (source / 'video_info_new.csv').write_text(
        VIDEO_INFO_HEADER
        + 'v_a,300,10,30.0,29.9,training,288\nv_b,300,10,30.0,29.9,validation,288\n'
        + 'v_c,300,10,30.0,29.9,testing,288\n'
    )
    return source


def test_activitynet_is_read_by_its_config(anet, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'ActivityNet'
    run_tool(monkeypatch, 'activitynet', anet, '--out', out)
    printed = capsys.readouterr().out
    assert 'anet_anno_full.json, 3 videos' in printed and 'left out 0 videos' in printed
    folder = out / 'activitynet_feature_cuhk' / 'csv_mean_100'
    folder.mkdir(parents=True)
    for name in ('v_a', 'v_b'):
        np.savetxt(folder / f'{name}.csv', np.ones((4, 400)), delimiter=',', header='h')
    training, validation = read_by_config('anet_tsn', out)
    assert names_of(training) == ['v_a'] and names_of(validation) == ['v_b']
    assert len(load_annotations(out / 'anet_anno_full.json').records) == 3
    assert load_annotations(out / 'anet_anno_test.json').records[0].fps == 29.9


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        ('v_d,300,10,30.0,29.9,training,288', "video 'v_d'"),
        ('v_a,300,10,30.0,29.9,train,288', "the subset 'train'"),
        ('v_a,300,10,nan,29.9,training,288', "video 'v_a': fps is 'nan'"),
        ('v_a,300,10,30.0,inf,training,288', "video 'v_a': rfps is 'inf'"),
        ('v_a,300,10,0,29.9,training,288', "video 'v_a': fps is '0'"),
        ('v_a,300,10,-30,29.9,training,288', "video 'v_a': fps is '-30'"),
        ('v_a,300,10,30.0,fast,training,288', "video 'v_a': rfps is 'fast'"),
    ],
)
def test_a_bad_row_of_activitynet_is_named_with_its_line(anet, row, message):
    (anet / 'video_info_new.csv').write_text(f'{VIDEO_INFO_HEADER}{row}\n')
    with pytest.raises(AnnotationError, match=f'video_info_new.csv:2: {message}'):
        activitynet.split(anet)


@pytest.mark.parametrize('subset', ['training', 'validation'])
def test_no_video_of_activitynet_is_listed_twice(anet, subset):
    with (anet / 'video_info_new.csv').open('a') as table:
        table.write(f'v_a,300,10,30.0,29.9,{subset},288\n')
    with pytest.raises(AnnotationError, match=r"video_info_new.csv:5: video 'v_a' for the second"):
        activitynet.split(anet)


def test_videos_of_activitynet_without_a_row_are_counted(anet, tmp_path, monkeypatch, capsys):
    table = anet / 'video_info_new.csv'
    table.write_text(''.join(table.read_text().splitlines(keepends=True)[:-1]))
    assert activitynet.split(anet).left_out == ['v_c']
    run_tool(monkeypatch, 'activitynet', anet, '--out', tmp_path / 'out')
    assert 'left out 1 videos that video_info_new.csv lacks' in capsys.readouterr().out


def test_every_data_set_of_a_config_has_a_page():
    texts = [file.read_text() for file in (ROOT / 'configs').rglob('*.py')]
    folders = {folder for text in texts for folder in re.findall(r"'data/(\w+)", text)}
    # named by MMAction2's own configs
    folders |= {'ActivityNet', 'CharadesSTA'}
    # below data/ as well, with the annotations of another folder
    folders |= set(re.findall(r"feature='(\w+)/features'", '\n'.join(texts)))
    assert folders == set(known_sets.PAGE_OF_FOLDER)
    pages = {path.parent.name for path in (ROOT / 'tools' / 'data').glob('*/README.md')}
    assert pages == set(known_sets.PAGE_OF_FOLDER.values())
    index = (ROOT / 'tools' / 'data' / 'README.md').read_text()
    assert {page for page in pages if f'({page}/README.md)' not in index} == set()


def test_pages_name_every_path_that_their_configs_read():
    for file in DATASET_CONFIGS:
        text = file.read_text()
        folder = re.search(r"data_root='data/(\w+)/'", text)
        if folder is None or known_sets.PAGE_OF_FOLDER[folder[1]] == 'generated':
            continue
        page = ROOT / 'tools' / 'data' / known_sets.PAGE_OF_FOLDER[folder[1]] / 'README.md'
        page_text = page.read_text()
        for path in re.findall(r"(?:ann_file|feature)='([^']+)'", text):
            for part in Path(path).parts:
                assert part in page_text, f'{page} does not show {part}, which {file.name} reads'


def test_missing_data_of_a_known_set_is_answered_with_its_page(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    page = str(Path('tools', 'data', 'isl_i3d', 'README.md'))
    root = tmp_path / 'data' / 'isl_i3d'
    for call, error in (
        (lambda: load_annotations(root / 'isl_anno_val.json'), AnnotationError),
        (lambda: read_by_config('isl_i3d', root), FeatureError),
        (lambda: ClassScores(str(root / 'scores.json')), ClassScoreError),
    ):
        with pytest.raises(error) as raised:
            call()
        assert str(raised.value).endswith(f'. See {page}')
    with pytest.raises(AnnotationError, match=r'correct the path$'):
        load_annotations(tmp_path / 'data' / 'mine' / 'annotations.json')
    # from elsewhere the path is whole
    monkeypatch.chdir(tmp_path)
    assert known_sets.see_page(root / 'x') == f'. See {ROOT / page}'


def test_without_a_clone_the_packaged_page_is_named(tmp_path, monkeypatch):
    package = tmp_path / 'site' / 'mmsola'
    page = package / '.mim' / 'tools' / 'data' / 'hacs' / 'README.md'
    monkeypatch.setattr(known_sets, '__file__', str(package / 'datasets' / 'known_sets.py'))
    assert known_sets.page_path('hacs').endswith('in the repository of mmsola')
    page.parent.mkdir(parents=True)
    page.write_text('')
    assert known_sets.page_path('hacs') == str(page)


def test_missing_generated_data_is_made_by_a_command():
    for folder, command in known_sets._COMMAND_OF_FOLDER.items():
        name = command.split()[1]
        assert name in console.COMMANDS and f'make it with: {command}. See' in known_sets.see_page(
            f'data/{folder}/annotations.json'
        )
