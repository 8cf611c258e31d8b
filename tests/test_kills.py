"""Jobs that are killed at random and run again end as those that nobody killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import DEMO_CONFIG, TINY
from generated_videos import write_video
from mmengine.config import Config
from small_recognizers import recognizer
from small_recognizers import weights as weights_of
from test_localization_runs import TINY as TINY_BMN
from warm_processes import WarmJob

from mmsola.evaluation.seeds import validations_of
from mmsola.models import SoLa

pytestmark = pytest.mark.slow

ROOT = DEMO_CONFIG.parents[2]
TOOLS = ROOT / 'tools'
CHANNELS = TINY['model.neck.in_channels']
KILLS, EPOCHS = 3, 6


def start(folder: Path, *command: object) -> subprocess.Popen:
    """A tool in a Python of its own, with its output in one pipe: one that ends by itself."""
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    return subprocess.Popen(
        [sys.executable, '-u', *map(str, command)],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # a job of the background is started with Ctrl-C ignored, and hands that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(process: subprocess.Popen | WarmJob) -> str:
    output = process.communicate(timeout=200)[0]
    assert process.returncode == 0, output
    return output


def kill_when(
    process: subprocess.Popen | WarmJob, words: str, delay_sec: float, number: int
) -> str:
    """Signal it some time after it printed these words; what it printed, to its end."""
    assert process.stdout is not None
    seen = ''
    for line in process.stdout:
        seen += line
        if words in line:
            break
    time.sleep(delay_sec)
    os.killpg(process.pid, number)
    return seen + process.communicate(timeout=60)[0]


def kill_after_a_file(job: WarmJob, folder: Path, pattern: str, delay_sec: float) -> bool:
    """Kill it some time after the folder has such a file; whether it ran until then."""
    end = time.monotonic() + 60
    while time.monotonic() < end and not any(folder.rglob(pattern)):
        time.sleep(0.01)
    time.sleep(delay_sec)
    with contextlib.suppress(ProcessLookupError):  # it had ended
        os.killpg(job.pid, signal.SIGKILL)
    job.communicate()
    return job.returncode == -signal.SIGKILL


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    torch.manual_seed(0)
    found = SoLa(CHANNELS, hidden_channels=CHANNELS).state_dict()
    found['alpha'].fill_(0.5)
    file = tmp_path_factory.mktemp('weights') / 'sola.pth'
    torch.save({'state_dict': found}, file)
    return file


@pytest.fixture
def config(request, tmp_path, weights):
    """A tiny training, of more epochs than it is killed in."""
    if request.param == 'SoLa':
        cfg = Config.fromfile(DEMO_CONFIG)
        cfg.merge_from_dict(
            {**TINY, 'train_cfg.max_epochs': EPOCHS, 'custom_hooks.1.num_videos': 0}
        )
    else:
        cfg = Config.fromfile(ROOT / 'configs' / 'bmn' / 'sola_bmn_demo.py')
        cfg.merge_from_dict(TINY_BMN)
        cfg.model.neck.init_cfg.checkpoint = str(weights)
    cfg.train_cfg.max_epochs = EPOCHS
    cfg.default_hooks.checkpoint.max_keep_ckpts = 2
    cfg.dump(tmp_path / 'config.py')
    return tmp_path / 'config.py'


@pytest.mark.parametrize('config', ['SoLa', 'BMN'], indirect=True)
def test_a_training_that_is_killed_again_and_again_ends_the_same(config, demo_root, tmp_path):
    train = (TOOLS / 'train.py', config, '--seed', 3, '--resume', '--work-dir')
    finish(WarmJob(demo_root, *train, tmp_path / 'whole'))
    draw = np.random.default_rng(0)
    for kill in range(KILLS):
        job = WarmJob(demo_root, *train, tmp_path / 'killed')
        words = 'Epoch(train)' if kill % 2 else 'Saving checkpoint'
        kill_when(job, words, draw.uniform(0, 0.1), signal.SIGKILL)
        assert job.returncode == -signal.SIGKILL
    finish(WarmJob(demo_root, *train, tmp_path / 'killed'))
    whole, killed = (
        torch.load(tmp_path / name / f'epoch_{EPOCHS}.pth', weights_only=True)
        for name in ('whole', 'killed')
    )
    for key, value in whole['state_dict'].items():
        assert torch.equal(killed['state_dict'][key], value), key
    figures = [validations_of(tmp_path / name)[EPOCHS] for name in ('whole', 'killed')]
    assert figures[0].keys() == figures[1].keys()
    for key, value in figures[0].items():
        assert figures[1][key] == pytest.approx(value, rel=1e-6), key
    assert not list((tmp_path / 'killed').rglob('.partial-*'))
    best = [sorted(p.name for p in (tmp_path / n).glob('best_*')) for n in ('whole', 'killed')]
    assert best[0] == best[1]


@pytest.mark.parametrize('config', ['BMN'], indirect=True)
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_comparison_that_is_stopped_stops_its_trainings_at_once(
    config, demo_root, tmp_path, number
):
    work_dir = tmp_path / 'compare'
    compare = (TOOLS / 'compare.py', config, config, '--names', 'one', 'two', '--seeds', 0)
    job = start(demo_root, *compare, '--figures', 'loc/AUC', '--work-dir', work_dir)
    log = work_dir / 'one' / 'seed_0' / 'train.log'
    end = time.monotonic() + 100
    while time.monotonic() < end and not (log.exists() and 'Epoch(train)' in log.read_text()):
        time.sleep(0.1)
    os.kill(job.pid, number)
    began = time.monotonic()
    output = job.communicate(timeout=60)[0]
    assert job.returncode == 128 + number
    assert time.monotonic() - began < 20
    assert 'Traceback' not in output and output.count('stopped by') == 1
    trainings = [p for p in Path('/proc').glob('[0-9]*/cmdline') if str(work_dir) in read(p)]
    assert not trainings
    assert not (work_dir / 'two').exists()
    if number == signal.SIGTERM:  # both leave the same: see above
        output = finish(start(demo_root, *compare, '--figures', 'loc/AUC', '--work-dir', work_dir))
        assert '| loc/AUC | two |' in output, 'it does not go on where it was stopped'


def read(path: Path) -> str:
    try:
        return path.read_bytes().replace(b'\0', b' ').decode(errors='replace')
    except OSError:  # it ended meanwhile
        return ''


@pytest.mark.parametrize('config', ['SoLa'], indirect=True)
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_stopped_ends_in_one_line(config, demo_root, tmp_path, number):
    train = (TOOLS / 'train.py', config, '--work-dir', tmp_path / 'stopped')
    job = start(demo_root, *train)
    output = kill_when(job, 'Epoch(train)', 0, number)
    assert job.returncode == 128 + number
    assert 'Traceback' not in output and output.count('stopped by') == 1
    assert not list((tmp_path / 'stopped').rglob('.partial-*'))


@pytest.fixture(scope='module')
def many_features(tmp_path_factory):
    folder = tmp_path_factory.mktemp('many')
    draw = np.random.default_rng(0)
    for i in range(400):
        np.save(folder / f'v{i}.npy', draw.standard_normal((50, CHANNELS)).astype(np.float32))
    return folder


def results(folder: Path) -> dict[str, bytes]:
    """Every file but the HDF5 file, whose bytes hold times; instead of it, its values."""
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file() and path.suffix != '.h5'
    }
    for path in folder.glob('*.h5'):
        with h5py.File(path) as file:
            file.visititems(lambda name, entry: found.update({name: entry[()].tobytes()}))
    return found


@pytest.mark.parametrize('format', ['npy', 'csv', 'hdf5'])
def test_an_export_that_is_killed_again_and_again_ends_the_same(
    weights, many_features, demo_root, tmp_path, format
):
    neck = f'model.neck.in_channels={CHANNELS}', f'model.neck.hidden_channels={CHANNELS}'
    name = 'sola.h5' if format == 'hdf5' else 'sola'

    def export(folder: Path) -> WarmJob:
        return WarmJob(
            demo_root, TOOLS / 'export_features.py', DEMO_CONFIG, weights, folder / name,
            '--format', format, '--features', many_features, '--cfg-options', *neck,
        )  # fmt: skip

    finish(export(tmp_path / 'whole'))
    draw = np.random.default_rng(1)
    killed = [
        kill_after_a_file(
            export(tmp_path / 'killed'), tmp_path / 'killed', 'v*', draw.uniform(0, 0.2)
        )
        for _ in range(KILLS)
    ]
    assert any(killed)
    finish(export(tmp_path / 'killed'))
    assert results(tmp_path / 'killed') == results(tmp_path / 'whole')


def test_an_extraction_that_is_killed_again_and_again_ends_the_same(demo_root, tmp_path):
    cfg = recognizer()
    cfg.dump(tmp_path / 'i3d.py')
    weights_of(cfg, tmp_path / 'i3d.pth')
    for i in range(8):
        write_video(tmp_path / 'videos' / f'v{i}.mp4', num_frames=100 + i, moving=True)

    def extract(folder: Path) -> WarmJob:
        return WarmJob(
            demo_root, TOOLS / 'extract_features.py', tmp_path / 'i3d.py', tmp_path / 'i3d.pth',
            tmp_path / 'videos', folder, '--stride', 2,
        )  # fmt: skip

    finish(extract(tmp_path / 'whole'))
    draw = np.random.default_rng(2)
    killed = [
        kill_after_a_file(
            extract(tmp_path / 'killed'), tmp_path / 'killed', '*.npy', draw.uniform(0, 0.5)
        )
        for _ in range(KILLS)
    ]
    assert any(killed)
    finish(extract(tmp_path / 'killed'))
    assert results(tmp_path / 'killed') == results(tmp_path / 'whole')
