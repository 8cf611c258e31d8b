"""Whole jobs from the command line: they run, resume, split over processes, and say what is wrong.

Several properties are looked at in each job, since starting one takes most of its time. Where each
tool, launcher and kind of job has started once as a person starts it, the others are warm.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import DEMO_CONFIG
from mmengine.config import Config
from warm_processes import WarmJob

from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.models.necks import SoLa

pytestmark = pytest.mark.slow

TOOLS = DEMO_CONFIG.parents[2] / 'tools'
EPOCHS = 4
NO_PICTURES = ['custom_hooks.1.num_videos=0']

# Ends the process without a last word in the middle of an epoch, once.
KILLER = """
import os, signal
from mmaction.registry import HOOKS
from mmengine.hooks import Hook

@HOOKS.register_module()
class Killer(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.epoch == 2 and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGKILL)
"""


class Job:
    """A command line in the folder of the demo data, already running."""

    def __init__(self, folder, *command, warm=False):
        if warm:
            self.process = WarmJob(folder, *command)
            return
        python = [sys.executable] if str(command[0]).endswith('.py') else []
        path = [str(TOOLS.parent), str(folder), os.environ.get('PYTHONPATH', '')]
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [*python, *map(str, command)],
            cwd=folder,
            env={
                **os.environ,
                'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}',
                'PYTHONPATH': os.pathsep.join(path),
                'OMP_NUM_THREADS': '1',  # two jobs share two cores
                'CUDA_VISIBLE_DEVICES': '',
                'PORT': str(port),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self, code=0):
        """All that it wrote; it must end with this exit code, or with any other than 0 if None."""
        output = self.process.communicate(timeout=300)[0]
        ended = self.process.returncode
        assert ended != 0 if code is None else ended == code, output[-5000:]
        return output


@pytest.fixture(scope='module')
def start(demo_root):
    """Start a job by the name of its tool."""
    return lambda tool, *arguments, warm=False: Job(demo_root, TOOLS / tool, *arguments, warm=warm)


@pytest.fixture(scope='module')
def train(start, tiny_options, demo_root):
    """Start training into a work directory, with these settings and further arguments."""

    def begin(work_dir, *arguments, options=(), processes=None, config=DEMO_CONFIG, warm=False):
        several = processes is not None
        return start(
            'dist_train.sh' if several else 'train.py',
            config,
            *([processes] if several else []),
            '--work-dir',
            work_dir,
            *arguments,
            '--cfg-options',
            *tiny_options,
            f'train_cfg.max_epochs={EPOCHS}',
            'train_cfg.val_interval=2',
            *options,
            warm=warm,
        )

    return begin


@pytest.fixture(scope='module')
def first(train, demo_root):
    """The job that others are compared with, and what it wrote: (work directory, output)."""
    return demo_root / 'first', train('first', options=['custom_hooks.1.num_videos=2']).wait()


def weights(work_dir):
    checkpoint = torch.load(work_dir / f'epoch_{EPOCHS}.pth', weights_only=True)
    return checkpoint['state_dict']


def difference(one, other):
    """The largest between the final weights of two work directories."""
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    return max(float((one[key] - other[key]).abs().max()) for key in one)


def scalars(work_dir):
    """Everything that was logged, in order."""
    lines = [p.read_text().splitlines() for p in sorted(work_dir.glob('*/vis_data/scalars.json'))]
    return [json.loads(line) for file in lines for line in file]


def metrics_of(output):
    """The figures of the last validation or test in a log."""
    line = [line for line in output.splitlines() if re.search(r'Epoch\((val|test)\)', line)][-1]
    return {key: float(value) for key, value in re.findall(r'((?:probe|tsm)/\w+): (\S+)', line)}


def test_a_job_logs_saves_and_draws_what_a_person_wants_to_see(first):
    work_dir, output = first
    train_lines = [line for line in scalars(work_dir) if 'loss' in line]
    assert len(train_lines) == EPOCHS * 2
    for line in train_lines:
        assert {'loss', 'kl', 'tanh_alpha', 'modulation', 'lr'} <= line.keys()
    assert train_lines[-1]['kl'] < train_lines[0]['kl']
    assert train_lines[-1]['tanh_alpha'] != 0

    # the baseline stands before the first step and is that of the untouched features
    validations = [line for line in scalars(work_dir) if 'probe/auc' in line]
    assert [line['step'] for line in validations] == [0, 2, 4]
    assert scalars(work_dir)[0] == validations[0]
    assert validations[0]['probe/auc_gain'] == 0
    assert validations[-1]['probe/auc_gain'] != 0
    assert {line['probe/auc_untouched'] for line in validations} == {validations[0]['probe/auc']}
    assert output.index('Epoch(val) [0]') < output.index('Epoch(train) [1]')

    auc = [line['probe/cv_auc'] for line in validations]
    (best,) = work_dir.glob('best_probe_cv_auc_epoch_*.pth')
    assert best.name == f'best_probe_cv_auc_epoch_{(0, 2, 4)[int(np.argmax(auc))]}.pth'
    assert len(list(work_dir.glob('epoch_*.pth'))) == 3
    assert (work_dir / 'last_checkpoint').read_text().strip().endswith(f'epoch_{EPOCHS}.pth')
    assert 'Traceback' not in output

    # the newest picture of each video, and all of them in TensorBoard
    pictures = list((work_dir / 'tsm').iterdir())
    assert len(pictures) == 2 and all(p.read_bytes()[1:4] == b'PNG' for p in pictures)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = work_dir.glob('*/vis_data/events*')
    accumulator = EventAccumulator(str(events)).Reload()
    tags = accumulator.Tags()
    assert {'loss', 'kl', 'tanh_alpha', 'modulation', 'probe/auc'} <= set(tags['scalars'])
    assert len(tags['images']) == 2
    for tag in tags['images']:
        assert [image.step for image in accumulator.Images(tag)] == [2, 4]


def test_killed_jobs_resume_to_the_weights_of_jobs_that_were_not(train, first, demo_root):
    (demo_root / 'killer.py').write_text(KILLER)
    config = Config.fromfile(DEMO_CONFIG)
    config.custom_imports.imports.append('killer')
    config.custom_hooks.append(dict(type='Killer'))
    config.dump(demo_root / 'killed.py')

    two_workers = [
        'train_dataloader.dataset.bank=None',  # workers have nothing to do for a bank
        'train_dataloader.num_workers=2',
        'train_dataloader.persistent_workers=True',
        *NO_PICTURES,
    ]
    variants = {'killed0': ([], NO_PICTURES), 'killed2': (['--seed', 1], two_workers)}
    jobs = [
        train(name, *arguments, options=options, config='killed.py')
        for name, (arguments, options) in variants.items()
    ]
    for job in jobs:
        job.wait(-signal.SIGKILL)
    for name in variants:
        assert not (demo_root / name / f'epoch_{EPOCHS}.pth').exists()
        assert (demo_root / name / 'epoch_2.pth').exists()
    jobs = [
        train(name, '--resume', *arguments, options=options, warm=True)
        for name, (arguments, options) in variants.items()
    ]
    for job in jobs:
        assert 'resumed epoch: 2' in job.wait()
    assert difference(demo_root / 'killed0', first[0]) == 0
    # the baseline is not measured again; the validation beside the kill is, with the same figures
    lines = [line for line in scalars(demo_root / 'killed0') if 'probe/auc' in line]
    assert [line['step'] for line in lines] == [0, 2, 2, 4]
    assert lines[1]['probe/auc'] == lines[2]['probe/auc']

    straight = train('seed1', '--seed', 1, '--no-validate', options=NO_PICTURES, warm=True)
    output = straight.wait()
    assert 'Epoch(val)' not in output and not list((demo_root / 'seed1').glob('best*'))
    # files instead of a bank: batches lie otherwise in memory, where sums may round otherwise
    assert difference(demo_root / 'killed2', demo_root / 'seed1') < 1e-6
    assert difference(demo_root / 'seed1', first[0]) > 1e-3


def test_two_processes_with_half_the_batch_each_learn_what_one_learns(train, first, demo_root):
    train('two', options=['train_dataloader.batch_size=4', *NO_PICTURES], processes=2).wait()
    assert difference(demo_root / 'two', first[0]) < 1e-5
    one, two = (
        [line for line in scalars(work_dir) if 'probe/auc' in line]
        for work_dir in (first[0], demo_root / 'two')
    )
    assert len(one) == len(two) == 3
    for a, b in zip(one, two):
        for key in a:
            if key.startswith(('probe', 'tsm')):
                assert a[key] == pytest.approx(b[key], abs=1e-3), key


def test_mixed_precision_learns_nearly_the_same_on_a_cpu(train, first, demo_root):
    output = train('amp', '--amp', '--no-validate', options=NO_PICTURES, warm=True).wait()
    assert 'bfloat16' in output
    assert 0 < difference(demo_root / 'amp', first[0]) < 0.05


def test_testing_a_checkpoint_repeats_its_validation(start, first, tiny_options):
    work_dir, output = first
    arguments = [DEMO_CONFIG, work_dir / f'epoch_{EPOCHS}.pth']
    options = ['--work-dir', 'tested', '--cfg-options', *tiny_options, *NO_PICTURES]
    expected = metrics_of(output)
    assert {'probe/auc', 'probe/cv_auc', 'tsm/self_similarity'} <= expected.keys()
    alone = start('test.py', *arguments, *options)
    assert metrics_of(alone.wait()) == expected
    several = start('dist_test.sh', *arguments, 2, *options)
    assert metrics_of(several.wait()) == pytest.approx(expected, abs=2e-3)


def test_a_checkpoint_that_does_not_fit_ends_the_test_with_solas_message(
    start, first, tiny_options, demo_root
):
    torch.save({'state_dict': {'backbone.weight': torch.ones(2)}}, demo_root / 'unrelated.pth')
    common = ['--work-dir', 'tested', '--cfg-options', *tiny_options, *NO_PICTURES]
    narrow = 'model.neck.hidden_channels=5'
    wide = start('test.py', DEMO_CONFIG, first[0] / 'epoch_4.pth', *common, narrow, warm=True)
    unrelated = start('test.py', DEMO_CONFIG, 'unrelated.pth', *common, warm=True)
    message = wide.wait(None)
    assert 'SoLa: the weights of' in message and 'do not fit' in message
    assert '(8, 8, 5)' in message and '(5, 8, 5)' in message
    message = unrelated.wait(None)
    assert 'holds no SoLa' in message and 'the head of this checkpoint never saw' in message


def test_a_checkpoints_features_can_be_exported_and_drawn(start, first, tiny_options, demo_root):
    checkpoint = first[0] / f'epoch_{EPOCHS}.pth'
    arguments = [DEMO_CONFIG, checkpoint]
    npy = start('export_features.py', *arguments, 'npy', '--cfg-options', *tiny_options, warm=True)
    h5 = start(
        'export_features.py', *arguments, 'all.h5', '--format', 'hdf5',
        '--cfg-options', *tiny_options,
    )  # fmt: skip
    for job in (npy, h5):
        assert '22 videos written, 0 were there already' in job.wait()
    raw = FeatureStore(demo_root / 'data' / 'demo' / 'features')
    neck = SoLa.from_checkpoint(checkpoint)
    with h5py.File(demo_root / 'all.h5') as file, torch.no_grad():
        for name in raw.names():
            feature = neck(torch.from_numpy(raw.read(name)).T[None])[0].T.numpy()
            np.testing.assert_allclose(file[name], feature, atol=1e-5)
            np.testing.assert_array_equal(file[name], np.load(demo_root / f'npy/{name}.npy'))

    annotations = ['--ann-file', 'data/demo/annotations.json', '--stride-frames', 8]
    drawn = [
        start(
            'plot_tsm.py', 'data/demo/features/demo_0003.npy', checkpoint, *annotations,
            '--out', 'from_npy.png',
        ),
        start(
            'plot_tsm.py', 'all.h5', '--video', 'demo_0003', '--out', 'from_h5.png', warm=True
        ),
    ]  # fmt: skip
    for job, name in zip(drawn, ('from_npy.png', 'from_h5.png')):
        assert f'{name} written' in job.wait()
        assert (demo_root / name).read_bytes()[1:4] == b'PNG'


def test_importing_the_package_prints_nothing(demo_root):
    job = Job(demo_root, sys.executable, '-c', 'import mmsola')
    assert job.wait() == ''
