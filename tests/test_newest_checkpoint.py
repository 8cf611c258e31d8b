"""Resuming takes the newest whole checkpoint, whatever a kill left of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from mmengine.hooks import checkpoint_hook

from mmsola.engine.launch import build_runner
from mmsola.engine.newest_checkpoint import newest_whole_checkpoint


def write(work_dir: Path, *names: str) -> None:
    for name in names:
        content = {'state_dict': {}, 'meta': {}, 'message_hub': {}, 'optimizer': {}}
        torch.save({**content, 'padding': torch.zeros(100)}, work_dir / name)


@pytest.mark.parametrize(
    'pointer',
    [None, '', 'gone.pth', '/nowhere/epoch_9.pth', 'epoch_2.pth', '\0', 'epoch_10.pth\n'],
)
def test_the_newest_is_taken_whatever_the_pointer_says(tmp_path, pointer):
    write(tmp_path, 'epoch_9.pth', 'epoch_10.pth', 'epoch_2.pth', 'best_auc_epoch_9.pth')
    os.utime(tmp_path / 'epoch_10.pth', (0, 0))  # as a copy may leave it
    if pointer is not None:
        (tmp_path / 'last_checkpoint').write_text(pointer)
    assert newest_whole_checkpoint(tmp_path) == tmp_path / 'epoch_10.pth'


@pytest.mark.parametrize('damage', ['cut', 'empty', 'weights only', 'list'])
def test_damaged_ones_are_skipped_and_named(tmp_path, damage, log_lines):
    write(tmp_path, 'epoch_1.pth', 'epoch_2.pth')
    newest = tmp_path / 'epoch_2.pth'
    (tmp_path / 'last_checkpoint').write_text(str(newest))
    if damage in ('cut', 'empty'):
        newest.write_bytes(newest.read_bytes()[: 300 if damage == 'cut' else 0])
    else:
        torch.save({'state_dict': {}} if damage == 'weights only' else [1], newest)
    assert newest_whole_checkpoint(tmp_path) == tmp_path / 'epoch_1.pth'
    assert any('Not resumed from' in line and 'epoch_2.pth' in line for line in log_lines)
    assert any('Resuming from' in line and 'epoch_1.pth' in line for line in log_lines)


def test_where_there_is_none_the_log_says_that_training_begins_anew(tmp_path, log_lines):
    assert newest_whole_checkpoint(tmp_path) is None
    assert any('begins anew' in line for line in log_lines)


def test_a_checkpoint_elsewhere_is_found_by_the_pointer(tmp_path):
    (tmp_path / 'work_dir').mkdir()
    write(tmp_path, 'epoch_3.pth')
    (tmp_path / 'work_dir' / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
    assert newest_whole_checkpoint(tmp_path / 'work_dir') == tmp_path / 'epoch_3.pth'


def test_a_training_goes_on_from_the_newest_whole_one(tiny_config, log_lines):
    build_runner(tiny_config.copy()).train()
    work_dir = Path(tiny_config.work_dir)
    (work_dir / 'last_checkpoint').write_text('')
    newest = work_dir / 'epoch_2.pth'
    newest.write_bytes(newest.read_bytes()[:1000])
    part = work_dir / '.partial-999999999-ab-epoch_2.pth'
    part.write_bytes(b'of a kill')
    tiny_config.resume, tiny_config.experiment_name = True, 'again'
    runner = build_runner(tiny_config)
    assert not part.exists()
    runner.train()
    assert runner.epoch == 2 and torch.load(newest, weights_only=True)['meta']['epoch'] == 2
    assert (work_dir / 'last_checkpoint').read_text().endswith('epoch_2.pth')


def test_the_pointer_is_written_whole(tmp_path):
    pointer = tmp_path / 'last_checkpoint'
    pointer.write_text('before')
    with checkpoint_hook.open(str(pointer), 'w') as file:
        file.write('after')
        file.flush()
        assert pointer.read_text() == 'before'
    assert pointer.read_text() == 'after' and len(list(tmp_path.iterdir())) == 1
