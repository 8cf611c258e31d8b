"""What a run prints: little, on one line each; its log file has all of it."""

from __future__ import annotations

import ast
import io
import logging
import re
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import DEMO_CONFIG
from mmaction.registry import RUNNERS
from mmengine.config import Config
from mmengine.logging import MMLogger, print_log
from mmengine.runner import Runner
from test_compat import output_of, run_python
from warm_processes import run_tool

from mmsola.device import DeviceError, usable_device
from mmsola.engine import seed_runs
from mmsola.engine.misspelt_keys import known_keys, misspelt_keys
from mmsola.engine.quiet_console import LINE_EVERY_SEC, QuietConsole, runner_class
from mmsola.engine.seed_runs import SeedRun
from mmsola.engine.threads import ThreadsError, threads_of
from mmsola.messages import progress

TOOLS = DEMO_CONFIG.parents[2] / 'tools'
EPOCHS = 10


def train(folder, work_dir, *options):
    arguments = [DEMO_CONFIG, '--work-dir', work_dir, '--seed', '0', '--cfg-options', *options]
    return run_tool(folder, TOOLS / 'train.py', *arguments)


@pytest.fixture(scope='module')
def quiet(demo_root, tiny_options, tmp_path_factory):
    """A training of many epochs: its output, its log file, and how many lines are few."""
    work_dir = tmp_path_factory.mktemp('quiet')
    epochs = [f'train_cfg.max_epochs={EPOCHS}', f'train_cfg.val_interval={EPOCHS}']
    began = time.monotonic()
    done = train(demo_root, work_dir, *tiny_options, *epochs)
    assert done.returncode == 0, done.stderr
    few = 14 + 3 * int((time.monotonic() - began) / LINE_EVERY_SEC)
    (log,) = work_dir.glob('*/*.log')
    return done.stdout + done.stderr, log.read_text(), few


@pytest.mark.slow
def test_a_training_prints_its_figures_and_little_else(quiet):
    printed, _, few = quiet
    lines = printed.splitlines()
    assert len(lines) <= few, printed
    for unwanted in ('Exp name', 'System environment', 'Config:', 'executed in the following'):
        assert unwanted not in printed
    assert '\r' not in printed and '|#' not in printed and '█' not in printed
    assert printed.count('probe/auc:') == 2, 'the baseline, and after the last epoch'
    assert 'Epoch(train)' in printed and 'Saving checkpoint' in printed
    assert 'The gate opens' in printed, 'messages of ours are shown'
    assert 'Computing with 1 CPU thread (num_threads in the config' in printed


@pytest.mark.slow
def test_the_log_file_has_what_is_not_printed(quiet):
    _, log, _ = quiet
    for wanted in ('System environment', 'Config:', 'executed in the following', 'Exp name'):
        assert wanted in log
    assert len(re.findall(r'Epoch\(train\)', log)) == 2 * EPOCHS
    assert 'Computing with 1 CPU thread (' in log


@pytest.mark.slow
def test_quiet_console_false_prints_all(demo_root, tiny_options, tmp_path):
    done = train(demo_root, tmp_path, *tiny_options, 'quiet_console=False')
    (log,) = tmp_path.glob('*/*.log')
    for wanted in ('System environment', 'Config:', 'Exp name'):
        assert wanted in done.stdout and wanted in log.read_text()


def logged(module, message, level=logging.INFO, now_sec=lambda: 0.0, quiet=None):
    """Whether the console shows what a module of this name logs with print_log."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(quiet or QuietConsole(now_sec))
    logger = MMLogger(f'test {id(stream)}')
    logger.handlers = [handler]
    code = 'print_log(message, logger, level)'
    variables = dict(print_log=print_log, message=message, logger=logger, level=level)
    exec(code, {'__name__': module, **variables})
    return stream.getvalue() == f'{message}\n'


@pytest.mark.parametrize('module', ['mmsola.engine.launch', 'a_users_model', '__main__'])
def test_messages_of_others_than_the_framework_are_shown(module):
    for level in (logging.INFO, logging.WARNING, logging.ERROR):
        assert logged(module, 'Exp name: what the framework would not show', level)
        assert logged(module, 'The prefix is not set in metric class X', level)


def test_of_the_framework_errors_and_warnings_with_meaning_are_shown():
    module = 'mmengine.runner.runner'
    assert logged(module, 'unexpected key in source state_dict', logging.WARNING)
    assert logged(module, 'The prefix is not set in metric class X', logging.ERROR)
    assert logged('mmengine.hooks.checkpoint_hook', 'The best checkpoint with 0.9 is saved')
    assert not logged(module, 'The prefix is not set in metric class X', logging.WARNING)
    assert not logged(module, 'Distributed training is not used')
    assert not logged('mmaction.models.x', 'anything')
    assert logged('mmactionable', 'of another package')


def test_progress_comes_at_most_once_in_some_seconds_of_each_kind():
    clock = [0.0]
    quiet = QuietConsole(lambda: clock[0])

    def shows(message):
        return logged('mmengine.hooks.logger_hook', message, quiet=quiet)

    assert shows('Epoch(train) [1][1/9]') and shows('Saving checkpoint at 1 epochs')
    assert shows('Epoch(val) [1][1/9]') and not shows('Epoch(train) [1][2/9]')
    clock[0] = LINE_EVERY_SEC
    assert shows('Epoch(train) [1][3/9]') and not shows('Epoch(train) [1][4/9]')
    assert not shows('Epoch(val) [1][2/9]'), 'something was shown just now'
    clock[0] += LINE_EVERY_SEC
    assert shows('Epoch(val) [1][3/9]') and not shows('Epoch(val) [1][4/9]')


def test_a_runner_of_the_users_own_is_quiet_too():
    @RUNNERS.register_module()
    class RunnerOfAUser(Runner):
        pass

    try:
        assert issubclass(runner_class(Config(dict(runner_type='RunnerOfAUser'))), RunnerOfAUser)
        loud = Config(dict(runner_type='RunnerOfAUser', quiet_console=False))
        assert runner_class(loud) is RunnerOfAUser
    finally:
        RUNNERS.module_dict.pop('RunnerOfAUser')


# --- progress -------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_a_bar_and_it_is_removed(monkeypatch):
    monkeypatch.setattr(sys, 'stderr', Terminal())
    assert list(progress.progress(range(3), 'Counting', 'snippets')) == [0, 1, 2]
    shown = sys.stderr.getvalue()
    assert 'Counting: 0 of 3 snippets' in shown and '\n' not in shown
    assert not shown.rsplit('\r', 2)[1].strip(), 'the last that is written is blank'


def test_a_file_has_a_plain_line_now_and_then(monkeypatch):
    clock = iter(range(1000))  # a second each time that it is asked
    monkeypatch.setattr(progress.time, 'monotonic', lambda: next(clock))
    monkeypatch.setattr(sys, 'stderr', io.StringIO())
    with progress.Progress(60.0, 'Extracting features') as counter:
        for done in range(80):
            counter.update(0.5, f'{done} snippets')
    lines = sys.stderr.getvalue().splitlines()
    assert len(lines) == 80 // LINE_EVERY_SEC
    for line in lines:
        assert re.fullmatch(
            r'Extracting features: \d+\.\d of 60 videos, about \d\d:\d\d left, \d+ snippets', line
        )
    # half a video a second: 55 videos are left after 10 s, and take 110 s
    assert lines[0].startswith('Extracting features: 5.0 of 60 videos, about 01:50 left')


@pytest.mark.parametrize('silence', [dict(show=False), dict()])
def test_only_the_first_process_shows_progress(silence, monkeypatch):
    monkeypatch.setattr(sys, 'stderr', Terminal())
    if not silence:
        monkeypatch.setenv('RANK', '1')
    assert list(progress.progress('ab', 'Counting', **silence)) == ['a', 'b']
    assert not sys.stderr.getvalue()


def test_no_other_bars():
    """A bar of tqdm's own would fill files with carriage returns."""
    package = Path(progress.__file__).parents[1]
    users = [path.name for path in package.rglob('*.py') if 'import tqdm' in path.read_text()]
    assert users == ['progress.py']


# --- threads --------------------------------------------------------------------------------------


@pytest.mark.parametrize('number', [0, -1, 1.5, '2', True, None])
def test_what_is_no_number_of_threads_is_refused(number):
    with pytest.raises(ThreadsError, match='num_threads is'):
        threads_of(dict(num_threads=number))


def test_threads_do_not_depend_on_machine_or_environment():
    assert threads_of({}) == 1
    code = """
        import os
        import torch
        from threadpoolctl import threadpool_info
        from mmsola.engine.threads import *
        compute_with_chosen_threads(None)
        before = torch.get_num_threads()
        compute_with_threads(1)
        pools = {pool['num_threads'] for pool in threadpool_info()}
        print(before, torch.get_num_threads(), pools, os.environ['OMP_NUM_THREADS'])
        compute_with_chosen_threads(['a=1', 'num_threads=2'])  # as --cfg-options gives them
        print(torch.get_num_threads())
        with threads_put_back():
            compute_with_threads(1)
        print(torch.get_num_threads(), os.environ['OMP_NUM_THREADS'])
    """
    out, _ = output_of(run_python(code, env={'OMP_NUM_THREADS': '2', 'MKL_NUM_THREADS': '2'}))
    assert out.splitlines()[-3:] == ['2 1 {1} 1', '2', '2 2']


def test_a_training_is_the_same_whatever_jobs_are(tmp_path, monkeypatch):
    """Its command and its environment, all that its figures could depend on."""
    lines = 'import json, os, sys; print(json.dumps([sys.argv[3:], dict(os.environ)]))'
    monkeypatch.setattr(seed_runs, 'TRAIN', (sys.executable, '-c', lines))
    cfg = Config(dict(train_cfg=dict(max_epochs=1), num_threads=3))
    logs = []
    for jobs in (1, 1000):
        runs = [SeedRun(cfg, 0, tmp_path / f'{jobs}_{name}') for name in 'ab']
        seed_runs.train_all(runs, jobs)
        for run in runs:
            log = (run.folder / 'train.log').read_text()
            logs.append(log.replace(str(run.folder), 'FOLDER'))
    assert len(logs) == 4 and len(set(logs)) == 1 and logs[0].count('\n') == 1
    assert runs[0].cost()['num_threads'] == 3


def test_more_threads_than_cores_are_warned_about(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(seed_runs, 'TRAIN', (sys.executable, '-c', ''))
    monkeypatch.setattr(seed_runs.os, 'cpu_count', lambda: 4)
    cfg = Config(dict(train_cfg=dict(max_epochs=1), num_threads=3))
    runs = [SeedRun(cfg, seed, tmp_path / str(seed)) for seed in range(2)]
    seed_runs.train_all(runs, 1)
    assert not capsys.readouterr().err
    seed_runs.train_all(runs, 2)
    assert 'jobs times num_threads is 6, and this machine has 4 cores' in capsys.readouterr().err


# --- what is wrong, before the first step ---------------------------------------------------------


@pytest.mark.parametrize(
    ('key', 'known'),
    [
        ('val_evaluatr', 'val_evaluator'),
        ('train_dataloder', 'train_dataloader'),
        ('defualt_hooks', 'default_hooks'),
        ('custom_hook', 'custom_hooks'),
        ('num_thread', 'num_threads'),
    ],
)
def test_almost_a_known_key_is_warned_about(key, known):
    assert misspelt_keys([key, known]) == {key: known}


def test_names_of_ones_own_are_not_warned_about():
    names = ['training', 'test_pipeline', 'dataset_type', 'val_dataloader_small', 'scale']
    assert not misspelt_keys([*names, *known_keys()])


def test_shipped_configs_are_not_warned_about():
    files = list((TOOLS.parent / 'configs').glob('*/**/*.py'))
    names = {
        target.id
        for file in files
        for line in ast.parse(file.read_text()).body
        if isinstance(line, ast.Assign)
        for target in line.targets
        if isinstance(target, ast.Name)
    }
    assert {'train_dataloader', 'quiet_console', 'num_threads'} <= names
    assert not misspelt_keys(names)


def test_a_gpu_that_is_not_there_is_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert usable_device('cpu') == torch.device('cpu')
    with pytest.raises(DeviceError, match="^device 'cuda:0': PyTorch finds no GPU here; choose"):
        usable_device('cuda:0')
    with pytest.raises(DeviceError, match="device 'gpu': no such device; expected cpu or cuda"):
        usable_device('gpu')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    with pytest.raises(DeviceError, match='the last GPU of this machine is cuda:1'):
        usable_device('cuda:2')


def test_without_pyav_features_work_and_videos_say_one_sentence(tmp_path):
    """Whoever has features needs no video library."""
    (tmp_path / 'films').mkdir()
    (tmp_path / 'films' / 'film.mp4').write_bytes(b'x')
    (tmp_path / 'table.csv').write_text('video,start,end\nfilm,0,1\n')
    files = [str(tmp_path / name) for name in ('table.csv', 'films', 'out.json')]
    code = f"""
        import sys
        from mmsola.console import COMMANDS
        for name in COMMANDS:
            __import__(f'mmsola.commands.{{name.replace("-", "_")}}')
        from mmsola.datasets.generated.demo_data import make_demo_data
        from mmsola.datasets.features.feature_store import FeatureStore
        make_demo_data({str(tmp_path / 'demo')!r}, num_training=2, num_validation=1)
        print(len(list(FeatureStore({str(tmp_path / 'demo' / 'features')!r}).names())))
        assert 'av' not in sys.modules
        from mmsola.console import main
        try:
            main(['export', 'no.py', 'no.pth', 'out', '--device', 'cuda'])
        except SystemExit as error:
            print(error)
        main(['annotations', *{files!r}])
    """
    process = run_python(code, hide=['av'], env={'CUDA_VISIBLE_DEVICES': ''})
    out, err = process.communicate(timeout=120)
    assert out.splitlines()[-2] == '3', err
    assert out.splitlines()[-1].startswith("device 'cuda': PyTorch finds no GPU here")
    assert process.returncode == 1 and 'Traceback' not in err
    assert 'needs PyAV' in err.splitlines()[-1] and "pip install 'av>=15'" in err.splitlines()[-1]
