"""Gains over seeds: what is read from logs and what is made of it."""

import csv
import json
import math
import sys

import numpy as np
import pytest
from scipy import stats

from mmsola.commands import train_seeds
from mmsola.evaluation.seeds import chosen_epoch, summarise, validations_of


def log(work_dir, run, entries):
    folder = work_dir / run / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(json.dumps(entry) for entry in entries))


def test_validations_of_a_resumed_run_are_joined_by_epoch(tmp_path):
    log(tmp_path, '1', [{'step': 0, 'probe/auc': 0.5}, {'step': 7, 'epoch': 1, 'loss': 2.0}])
    log(tmp_path, '2', [{'step': 10, 'probe/auc': 0.6, 'time': 1.0}])
    assert validations_of(tmp_path) == {0: {'probe/auc': 0.5}, 10: {'probe/auc': 0.6}}


def test_a_folder_without_validation_is_named(tmp_path):
    log(tmp_path, '1', [{'step': 7, 'loss': 2.0}])
    with pytest.raises(FileNotFoundError, match=f'{tmp_path.name}: no validation'):
        validations_of(tmp_path)


def test_of_equal_figures_the_first_epoch_is_chosen_as_by_the_checkpoint_hook():
    validations = {20: {'a': 2.0}, 0: {'a': 1.0}, 10: {'a': 2.0}}
    assert chosen_epoch(validations, 'a') == 10


def test_the_interval_is_students_and_the_gain_is_paired():
    sola, untouched = [0.9, 0.7, 0.8], [0.5, 0.4, 0.6]
    rows = [
        {'auc': s, 'auc_untouched': u, 'auc_gain': s - u, 'other': 1.0}
        for s, u in zip(sola, untouched)
    ]
    (gain,) = summarise(rows)
    assert (gain.metric, gain.reference) == ('auc', 'untouched')
    difference = np.subtract(sola, untouched)
    expected = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
    assert np.allclose([gain.low, gain.high], expected)
    assert np.isclose(gain.gain, difference.mean())
    assert np.isclose(gain.std, difference.std(ddof=1))


def test_one_seed_has_a_gain_but_no_spread():
    (gain,) = summarise([{'auc': 0.75, 'auc_smoothed': 0.5}])
    assert gain.gain == 0.25
    assert math.isnan(gain.std)
    assert math.isnan(gain.low)


def call_train_seeds(monkeypatch, work_dir, *seeds):
    config = work_dir / 'config.py'
    config.write_text(
        'train_cfg = dict(max_epochs=10)\n'
        'val_evaluator = dict()\n'
        "default_hooks = dict(checkpoint=dict(save_best='probe/auc'))\n"
    )
    arguments = [str(config), '--work-dir', str(work_dir), '--seeds', *seeds]
    monkeypatch.setattr(sys, 'argv', ['train-seeds', *arguments])
    train_seeds.main()


def test_the_table_names_the_versions_that_made_the_runs(tmp_path, monkeypatch, capsys):
    for seed, commit in ('0', 'aaaa'), ('1', 'bbbb'):
        folder = tmp_path / f'seed_{seed}'
        log(folder, '1', [{'step': 10, 'probe/auc': 0.75, 'probe/auc_untouched': 0.5}])
        cost = {'seconds': 1, 'memory_mb': 1, 'mmsola': '0.1.0', 'commit': commit}
        (folder / 'cost.json').write_text(json.dumps(cost))
    call_train_seeds(monkeypatch, tmp_path, '0', '1')
    out, err = capsys.readouterr()
    names = 'mmsola 0.1.0, commit aaaa; mmsola 0.1.0, commit bbbb'
    assert f'num_threads 1; {names}:' in out
    assert f'runs were made by several versions: {names}' in err
    with (tmp_path / 'seeds.csv').open() as file:
        (row,) = csv.DictReader(file)
    assert (row['mmsola'], row['commit']) == ('0.1.0 0.1.0', 'aaaa bbbb')


def test_a_seed_is_trained_once(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit, match='2'):
        call_train_seeds(monkeypatch, tmp_path, '0', '0')
    assert 'a seed is named twice' in capsys.readouterr().err
