"""Comparing configs over paired seeds."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from scipy import stats
from warm_processes import run_tool

from mmsola.commands import compare as compare_command
from mmsola.engine import seed_runs
from mmsola.engine.seed_runs import SeedRun, SeedRunError
from mmsola.evaluation.paired import paired_difference
from mmsola.visualization.differences import draw_differences

ROOT = Path(__file__).parents[1]


def test_the_interval_is_that_of_a_paired_t_test():
    rng = np.random.default_rng(0)
    before = rng.normal(size=7)
    after = before + rng.normal(0.4, 0.3, size=7)
    found = paired_difference(before, after)
    test = stats.ttest_rel(after, before)
    low, high = test.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.verdict == 'above 0') == (test.pvalue < 0.05 and test.statistic > 0)


def test_verdicts():
    ones = np.ones(3)
    assert paired_difference(ones, ones + [1.0, 1.1, 1.2]).verdict == 'above 0'
    assert paired_difference(ones, ones - [1.0, 1.1, 1.2]).verdict == 'below 0'
    assert paired_difference(ones, ones).verdict == 'contains 0'
    assert paired_difference([1.0], [2.0]).verdict == 'one seed proves nothing'
    with pytest.raises(ValueError, match='same seeds'):
        paired_difference([1.0, 2.0], [1.0])


def test_the_picture_shows_every_difference():
    values = {'plain': {'f': [1.0, 2.0, 4.0]}, 'other': {'f': [2.0, 2.0, 3.0]}}
    picture = draw_differences('plain', values, ['f'])
    drawn = [np.asarray(line.get_ydata()).tolist() for line in picture.axes[0].lines]
    assert [1.0, 0.0, -1.0] in drawn


def write_run(folder, epochs):
    log = folder / 'now' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('\n'.join(json.dumps({'loc/AUC': 5.0 + e, 'step': e}) for e in epochs))


def run_of(tmp_path, **settings):
    cfg = Config(dict(train_cfg=dict(max_epochs=3), path='a/seed_{seed}/b', **settings))
    return SeedRun(cfg, 4, tmp_path / 'run')


def test_a_run_is_finished_with_its_last_validation(tmp_path):
    run = run_of(tmp_path)
    assert not run.is_finished()
    write_run(run.folder, [1, 2])
    assert not run.is_finished()
    write_run(tmp_path / 'other', [3])
    (tmp_path / 'other' / 'now').rename(run.folder / 'resumed')
    assert run.is_finished()
    assert run.figures() == {'loc/AUC': 8.0}


def test_the_seed_stands_in_the_config_that_is_run(tmp_path):
    run = run_of(tmp_path)
    assert Config.fromfile(run._write_config()).path == 'a/seed_4/b'


def test_a_run_of_other_settings_is_refused(tmp_path):
    run_of(tmp_path)._write_config()
    run_of(tmp_path).check()
    with pytest.raises(SeedRunError, match='another config or other options'):
        run_of(tmp_path, more=1).check()


@pytest.mark.parametrize('key', ['mmsola', 'commit'])
def test_a_version_that_is_no_text_is_refused(key, tmp_path):
    run = run_of(tmp_path)
    run.folder.mkdir()
    (run.folder / 'cost.json').write_text(json.dumps({'seconds': 1, 'memory_mb': 1, key: [1]}))
    with pytest.raises(SeedRunError, match=r'cost\.json: .*\n +expected: mmsola and commit'):
        run.made_with()


def compare_finished(monkeypatch, work_dir, commits):
    """Call compare with finished runs, whose cost.json names such a commit; None names nothing."""
    for (name, seed), commit in commits.items():
        folder = work_dir / name / f'seed_{seed}'
        write_run(folder, [3])
        version = {} if commit is None else {'mmsola': '0.1.0', 'commit': commit}
        (folder / 'cost.json').write_text(json.dumps({'seconds': 1, 'memory_mb': 1, **version}))
    cfg = Config(dict(train_cfg=dict(max_epochs=3)))
    monkeypatch.setattr(compare_command, 'load', lambda args, name, path: cfg)
    monkeypatch.setattr(compare_command, 'count_parameters', lambda cfg: (1, 0))
    monkeypatch.setattr(
        sys, 'argv', ['compare', 'a.py', 'b.py', '--seeds', '0', '1', '--work-dir', str(work_dir)]
    )
    compare_command.main()


def test_each_run_has_the_version_that_made_it(tmp_path, monkeypatch, capsys):
    commits = {('a', '0'): 'aaaa', ('b', '0'): 'aaaa', ('a', '1'): 'bbbb', ('b', '1'): None}
    compare_finished(monkeypatch, tmp_path, commits)
    with (tmp_path / 'compare.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert {(row['config'], row['seed']): row['commit'] or None for row in rows} == commits
    assert [row['mmsola'] for row in rows] == ['0.1.0', '0.1.0', '0.1.0', '']
    with (tmp_path / 'summary.csv').open() as file:
        (row,) = csv.DictReader(file)
    assert (row['mmsola'], row['commit']) == ('0.1.0 0.1.0 unknown', 'aaaa bbbb unknown')
    names = 'mmsola 0.1.0, commit aaaa; mmsola 0.1.0, commit bbbb; mmsola of unknown version'
    out, err = capsys.readouterr()
    assert out.splitlines()[0].endswith(names)
    assert f'runs were made by several versions: {names}' in err


def test_runs_of_one_version_are_not_warned_about(tmp_path, monkeypatch, capsys):
    compare_finished(monkeypatch, tmp_path, {(n, s): 'aaaa' for n in 'ab' for s in '01'})
    out, err = capsys.readouterr()
    assert out.splitlines()[0].endswith('; mmsola 0.1.0, commit aaaa')
    assert 'several versions' not in err


def test_after_trainings_were_stopped_others_can_begin(tmp_path, monkeypatch):
    """As in a notebook, after one Ctrl-C."""
    waiting, finished = run_of(tmp_path), run_of(tmp_path / 'finished')
    write_run(finished.folder, [3])

    def interrupt(epochs):
        raise KeyboardInterrupt

    monkeypatch.setattr(seed_runs, 'TRAIN', (sys.executable, '-c', 'import time; time.sleep(60)'))
    with pytest.raises(KeyboardInterrupt):
        seed_runs.train_all([waiting, finished], 1, interrupt)
    monkeypatch.setattr(seed_runs, 'TRAIN', (sys.executable, '-c', 'print("trained")'))
    seed_runs.train_all([waiting], 1)
    assert (waiting.folder / 'train.log').read_text() == 'trained\n'


def compare(cwd, *arguments):
    return run_tool(cwd, ROOT / 'tools' / 'compare.py', *arguments)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['a.py'], 'at least one other config'),
        (['a.py', 'b/a.py'], 'use --names'),
        (['a.py', 'b.py', '--seeds', '1', '1'], 'named twice'),
        (['a.py', 'b.py', '--names', 'x'], 'as many --names'),
        (['a.py', 'b.py', '--options-for', 'c', 'x=1'], 'not one of'),
    ],
)
def test_what_cannot_be_compared_is_told_at_once(arguments, message, tmp_path):
    done = compare(tmp_path, *arguments)
    assert done.returncode == 2 and message in done.stderr


@pytest.mark.slow
def test_compare_end_to_end(demo_root, tmp_path, tiny_options):
    """The same config under two names differs by nothing; a second call trains nothing."""
    config = ROOT / 'configs' / 'sola' / 'sola_pretrain_demo.py'
    arguments = [config, config, '--names', 'one', 'two', '--seeds', '0', '1']
    arguments += ['--figures', 'probe/auc', '--work-dir', tmp_path, '--jobs', '2']
    options = ['--cfg-options', *tiny_options]
    done = compare(demo_root, *arguments, *options)
    assert done.returncode == 0, done.stderr
    assert 'contains 0' in done.stdout and '+0.00 ± 0.00' in done.stdout
    with (tmp_path / 'compare.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert {(row['config'], row['seed']) for row in rows} == {
        (name, seed) for name in ('one', 'two') for seed in '01'
    }
    assert (tmp_path / 'compare.png').stat().st_size > 1000
    cost = json.loads((tmp_path / 'one' / 'seed_0' / 'cost.json').read_text())
    assert cost['seconds'] > 0 and cost['memory_mb'] > 50

    logs = {path: path.stat().st_size for path in tmp_path.glob('*/*/train.log')}
    assert len(logs) == 4
    again = compare(demo_root, *arguments, *options)
    assert again.stdout == done.stdout
    assert all(path.stat().st_size == size for path, size in logs.items())

    # trained again, alone this time, it measures the same
    table = (tmp_path / 'compare.csv').read_text()
    shutil.rmtree(tmp_path / 'two' / 'seed_1')
    alone = compare(demo_root, *[*arguments[:-1], '1'], *options)
    assert alone.returncode == 0 and (tmp_path / 'compare.csv').read_text() == table
    assert {row['num_threads'] for row in rows} == {'1'} and all(row['mmsola'] for row in rows)
    written = (tmp_path / 'table.md').read_text()
    assert 'num_threads 1; mmsola' in written and written.strip() in alone.stdout
    assert 'written' not in written, 'tables alone'

    other = compare(demo_root, *arguments, *options, 'train_cfg.max_epochs=3')
    assert other.returncode == 1 and 'another config' in other.stderr

    arguments[arguments.index('probe/auc')] = 'loc/AUC'
    missing = compare(demo_root, *arguments, *options)
    assert missing.returncode == 1 and "does not measure ['loc/AUC']" in missing.stderr


def test_a_run_without_a_number_is_not_called_one_seed():
    difference = paired_difference(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
    assert difference.verdict == 'a run has no number here'
