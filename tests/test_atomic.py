"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from mmsola.atomic import replacing


def content_of(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize('old', [None, 'old'])
def test_the_file_takes_its_name_when_it_is_whole(tmp_path, old):
    path = tmp_path / 'a.txt'
    if old:
        path.write_text(old)
    with replacing(path) as partial:
        partial.write_text('new')
        assert path.exists() == (old is not None), 'nobody reads half a file'
    assert content_of(tmp_path) == {'a.txt': 'new'}


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize('old', [{}, {'a.txt': 'old'}])
def test_an_error_leaves_the_old_file_and_no_partial_one(tmp_path, error, old):
    path = tmp_path / 'a.txt'
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(error), replacing(path) as partial:
        partial.write_text('half')
        raise error
    assert content_of(tmp_path) == old


def test_an_error_before_anything_is_written_is_the_one_that_is_raised(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / 'a.txt'):
        _ = 1 / 0
    assert content_of(tmp_path) == {}


def test_writing_nothing_is_an_error_that_leaves_the_old_file(tmp_path):
    (tmp_path / 'a.txt').write_text('old')
    with pytest.raises(FileNotFoundError), replacing(tmp_path / 'a.txt'):
        pass
    assert content_of(tmp_path) == {'a.txt': 'old'}


@pytest.mark.parametrize('bare', ['No space left on device', ''])
def test_a_full_disk_names_the_file_that_had_no_place(tmp_path, bare):
    with pytest.raises(OSError, match='a.txt') as raised, replacing(tmp_path / 'a.txt'):
        raise OSError(errno.ENOSPC, bare)
    assert raised.value.filename == str(tmp_path / 'a.txt')


def test_a_disk_that_is_full_for_numpy_is_full(tmp_path):
    """NumPy says how much it wrote, and neither where nor why; a limit stands for a full disk."""
    program = (
        'import resource, sys, numpy as np\n'
        'from mmsola.atomic import is_disk_fault, replacing\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n'
        'try:\n'
        f'    with replacing({str(tmp_path / "a.npy")!r}) as partial:\n'
        '        np.save(partial, np.zeros(10_000))\n'
        'except OSError as error:\n'
        '    sys.exit(f"{is_disk_fault(error)} {error.filename}")\n'
    )
    ended = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert ended.stderr.strip() == f'True {tmp_path / "a.npy"}'
    assert content_of(tmp_path) == {}


def test_an_error_that_is_not_the_disks_keeps_its_message(tmp_path):
    with pytest.raises(OSError, match='^not a video$'), replacing(tmp_path / 'a.txt'):
        raise OSError('not a video')


def test_missing_folders_are_made(tmp_path):
    with replacing(str(tmp_path / 'b' / 'c' / 'a.txt')) as partial:
        partial.write_text('new')
    assert (tmp_path / 'b' / 'c' / 'a.txt').read_text() == 'new'


def test_the_partial_file_lies_beside_and_keeps_the_suffix(tmp_path):
    """A rename is atomic within a folder only, and libraries go by the suffix."""
    with replacing(tmp_path / 'a.npz') as partial:
        assert partial.parent == tmp_path and partial.suffix == '.npz'
        assert str(os.getpid()) in partial.name, 'two processes do not share it'
        partial.touch()
