"""BSN's middle step: MMAction2's numbers, whole files, and words where something is missing."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from mmaction.datasets.transforms import LoadProposals
from mmaction.models.localizers.utils import generate_bsp_feature, generate_candidate_proposals
from mmengine.config import Config

from mmsola.apis import bsn_proposals
from mmsola.apis.bsn_proposals import ProposalError, ProposalGeneration, load_videos

TOOL = Path(__file__).parents[1] / 'tools' / 'bsn_proposal_generation.py'
SCALE = 20
PROPOSAL_SETTINGS = dict(temporal_scale=SCALE, peak_threshold=0.5)
FEATURE_SETTINGS = dict(
    top_k=30,
    num_sample_start=8,
    num_sample_end=8,
    num_sample_action=16,
    num_sample_interp=3,
    bsp_boundary_ratio=0.2,
)


@pytest.fixture
def generation(tmp_path):
    return ProposalGeneration(
        tmp_path / 'tem',
        tmp_path / 'proposals',
        tmp_path / 'features',
        PROPOSAL_SETTINGS,
        FEATURE_SETTINGS,
    )


def write_tem(folder, name, scores=None, seed=0):
    """A csv file as MMAction2's ANetMetric dumps it."""
    if scores is None:
        scores = np.random.default_rng(seed).random((SCALE, 3))
    edges = np.arange(SCALE + 1) / SCALE
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(
        folder / f'{name}.csv',
        np.column_stack([scores, edges[:-1], edges[1:]]),
        header='action,start,end,tmin,tmax',
        delimiter=',',
        comments='',
    )


def videos_of(folder, count=5):
    """Videos with one to three segments, and their TEM results."""
    videos = []
    for i in range(count):
        write_tem(folder, f'v_{i}', seed=i)
        segments = np.sort(np.random.default_rng(i).uniform(0, 30, (1 + i % 3, 2)), axis=1)
        videos.append(
            {
                'video_name': f'v_{i}',
                'duration_second': 30.0 + i,
                'duration_frame': 750,
                'feature_frame': 736,
                'annotations': [{'segment': s, 'label': 'a'} for s in segments.tolist()],
            }
        )
    return videos


def files_of(generation):
    folders = generation.proposals, generation.features
    return {
        path: path.stat().st_mtime_ns for folder in folders for path in sorted(folder.glob('*'))
    }


@pytest.mark.parametrize('num_processes', [1, 3])
def test_numbers_are_those_of_mmaction2(generation, num_processes):
    videos = videos_of(generation.tem_results, 9)
    assert generation.run(videos, num_processes) == 18
    indices, tem = range(len(videos)), str(generation.tem_results)
    proposals = generate_candidate_proposals(indices, videos, tem, **PROPOSAL_SETTINGS)
    features = generate_bsp_feature(
        indices, videos, tem, str(generation.proposals), **FEATURE_SETTINGS
    )
    for video in videos:
        name = video['video_name']
        path = generation.proposals / f'{name}.csv'
        assert path.read_text().splitlines()[0] == (
            'tmin,tmax,tmin_score,tmax_score,score,match_iou,match_ioa'
        )
        found = np.loadtxt(path, delimiter=',', skiprows=1)
        np.testing.assert_array_equal(found, proposals[name])
        assert (found[:, 5] > 0).any()
        found = np.load(generation.features / f'{name}.npy')
        np.testing.assert_array_equal(found, features[name])
        assert found.shape == (min(len(proposals[name]), 30), 32)


def test_pem_reads_what_is_written(generation):
    generation.run(videos_of(generation.tem_results, 1))
    loaded = LoadProposals(20, str(generation.proposals), str(generation.features))
    results = loaded({'video_name': 'v_0'})
    assert results['bsp_feature'].shape == (20, 32)
    assert results['tmin'].shape == results['reference_temporal_iou'].shape == (20,)


def test_a_video_without_segments_overlaps_nothing(generation):
    """MMAction2 stops at it."""
    videos = videos_of(generation.tem_results, 2)
    annotated = generation.run(videos) and np.loadtxt(
        generation.proposals / 'v_1.csv', delimiter=',', skiprows=1
    )
    videos[1]['annotations'] = []
    (generation.proposals / 'v_1.csv').unlink()
    generation.run(videos)
    found = np.loadtxt(generation.proposals / 'v_1.csv', delimiter=',', skiprows=1)
    np.testing.assert_array_equal(found[:, :5], annotated[:, :5])
    assert annotated[:, 5:].any() and not found[:, 5:].any()


def test_a_video_with_a_single_proposal_can_be_read(generation):
    """Scores that only fall leave the whole video; MMAction2 reads a file of one row flat."""
    falling = np.linspace(1, 0, SCALE) ** 4
    falling[1:-1] *= 0.4
    videos = videos_of(generation.tem_results, 1)
    write_tem(generation.tem_results, 'v_0', np.stack([falling, falling, falling[::-1]], axis=1))
    generation.run(videos)
    results = LoadProposals(20, str(generation.proposals), str(generation.features))(
        {'video_name': 'v_0'}
    )
    np.testing.assert_allclose(results['tmin'], 0.5 / SCALE)
    np.testing.assert_allclose(results['tmax'], 1 - 0.5 / SCALE)
    assert results['bsp_feature'].shape == (2, 32)


# --- going on -------------------------------------------------------------------------------------


def test_a_second_run_writes_what_is_missing_and_keeps_the_rest(generation):
    videos = videos_of(generation.tem_results)
    assert generation.run(videos[:3]) == 6
    kept = files_of(generation)
    (generation.features / 'v_1.npy').unlink()
    del kept[generation.features / 'v_1.npy']
    assert generation.run(videos) == 1 + 4
    found = files_of(generation)
    assert len(found) == 10
    assert {path: found[path] for path in kept} == kept
    assert generation.run(videos) == 0


def test_overwrite_makes_all_again(generation, tmp_path):
    videos = videos_of(generation.tem_results)
    generation.run(videos)
    (generation.proposals / 'v_0.csv').write_text('of other settings')
    again = ProposalGeneration(**{**vars(generation), 'overwrite': True})
    assert again.run(videos) == 10
    assert len(np.loadtxt(generation.proposals / 'v_0.csv', delimiter=',', skiprows=1)) > 1


def test_files_older_than_their_tem_results_are_made_again(generation):
    """TEM was trained once more, and its results dumped over the old ones."""
    videos = videos_of(generation.tem_results)
    generation.run(videos)
    before = np.load(generation.features / 'v_2.npy')
    write_tem(generation.tem_results, 'v_2', seed=99)
    later = max(files_of(generation).values()) + 10**9
    os.utime(generation.tem_results / 'v_2.csv', ns=(later, later))
    assert generation.run(videos) == 2
    assert not np.array_equal(np.load(generation.features / 'v_2.npy')[:5], before[:5])


def test_a_kill_leaves_no_half_file(generation, monkeypatch):
    videos = videos_of(generation.tem_results, 2)

    def save(path, array):
        Path(path).write_bytes(b'half')
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(np, 'save', save)
        generation.run(videos)
    assert [path.name for path in files_of(generation)] == ['v_0.csv']
    assert generation.run(videos) == 3


# --- what is wrong --------------------------------------------------------------------------------


def test_missing_tem_results_are_counted_and_named_before_anything_is_done(generation):
    videos = videos_of(generation.tem_results, 8)
    for i in range(1, 8):
        (generation.tem_results / f'v_{i}.csv').unlink()
    with pytest.raises(ProposalError) as error:
        generation.run(videos)
    assert '7 of 8 videos have no TEM results: v_1, v_2, v_3, v_4, v_5, ...' in str(error.value)
    assert 'ann_file_test' in str(error.value)
    assert not files_of(generation)


@pytest.mark.parametrize('num_processes', [1, 2])
def test_half_a_tem_file_is_named(generation, num_processes):
    videos = videos_of(generation.tem_results, 3)
    path = generation.tem_results / 'v_1.csv'
    whole = path.read_text()
    for text, what in (
        (whole[: len(whole) // 2].rsplit('\n', 1)[0], r'has shape \(\d+, 5\)'),
        (whole[:-40], 'cannot be read'),
        (whole.replace(whole.split('\n')[3].split(',')[1], 'nan'), 'has NaN or Inf'),
        ('', 'has shape|cannot be read'),
    ):
        path.write_text(text)
        with pytest.raises(ProposalError, match=f'v_1.csv: {what}'):
            generation.run(videos, num_processes)


def test_a_killed_process_is_told(generation, monkeypatch):
    videos = videos_of(generation.tem_results, 3)
    parent = os.getpid()

    def killed(*args, **kwargs):
        assert os.getpid() != parent
        os._exit(9)

    monkeypatch.setattr(bsn_proposals, 'generate_candidate_proposals', killed)
    with pytest.raises(ProposalError, match='one of the processes was killed'):
        generation.run(videos, 2)


def test_annotations_of_another_layout_are_refused(tmp_path):
    path = tmp_path / 'annotations.json'
    with pytest.raises(ProposalError, match='no such annotation file'):
        load_videos(str(path))
    path.write_text(json.dumps({'database': {'a': {}}}))
    with pytest.raises(ProposalError, match="'database' lacks duration_second"):
        load_videos(str(path))


# --- the command ----------------------------------------------------------------------------------


def test_the_command_takes_the_videos_and_settings_of_its_mode(tmp_path, monkeypatch, capsys):
    videos = videos_of(tmp_path / 'tem', 4)
    for name, chosen in (('train', videos[:3]), ('val', videos[3:])):
        content = {v['video_name']: v for v in chosen}
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    config = Config(
        dict(
            ann_file_train='train.json',
            ann_file_val='val.json',
            tem_results_dir='tem',
            pgm_proposals_dir='proposals',
            pgm_features_dir='features',
            pgm_proposals_cfg=dict(pgm_proposals_thread=8, **PROPOSAL_SETTINGS),
            pgm_features_train_cfg=dict(pgm_features_thread=2, **FEATURE_SETTINGS),
            pgm_features_test_cfg=dict(pgm_features_thread=2, **FEATURE_SETTINGS),
        )
    )
    config.dump(tmp_path / 'config.py')
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['bsn_proposal_generation.py', 'config.py', *arguments])
        runpy.run_path(str(TOOL), run_name='__main__')

    run('--mode', 'train', '--cfg-options', 'pgm_features_train_cfg.top_k=7')
    assert '3 videos: 6 files are written, 0 were there' in capsys.readouterr().out
    found = {path.stem: len(np.load(path)) for path in (tmp_path / 'features').iterdir()}
    assert found == {'v_0': 7, 'v_1': 7, 'v_2': 7}
    run()
    assert '1 videos: 2 files are written, 0 were there' in capsys.readouterr().out
    assert len(np.load(tmp_path / 'features' / 'v_3.npy')) == 30
    (tmp_path / 'tem' / 'v_3.csv').unlink()
    with pytest.raises(SystemExit, match='1 of 1 videos have no TEM results: v_3'):
        run()
