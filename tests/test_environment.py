"""The description of the environment: complete, and there even where mmsola cannot be imported."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from mmsola import environment
from mmsola.version import __version__

FILE = Path(environment.__file__)


def described(text):
    return dict(line.split(': ', 1) for line in text.splitlines())


def test_every_package_has_a_line_with_its_version():
    facts = described(environment.describe())
    assert facts['mmsola'].startswith(__version__)
    assert facts['numpy'] == np.__version__
    assert set(environment.PACKAGES) <= facts.keys()
    assert {'Python', 'CPUs', 'GPUs', 'threads of PyTorch'} <= facts.keys()


def test_a_missing_package_is_a_value(monkeypatch):
    monkeypatch.setattr(environment, 'PACKAGES', ('no-such-package',))
    assert described(environment.describe())['no-such-package'] == 'not installed'


def test_it_runs_as_a_file_without_mmsola_and_with_a_broken_pytorch(tmp_path):
    """What breaks most installations must not break the report of it."""
    (tmp_path / 'torch.py').write_text('raise OSError("libcudart.so is not there")')
    env = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(FILE)], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    facts = described(done.stdout)
    assert facts['PyTorch at work'] == 'OSError: libcudart.so is not there'
    assert facts['mmsola'].startswith(__version__)


def test_the_commit_is_that_of_the_clone_itself(tmp_path):
    """Not of a repository of the user's own that mmsola was copied into."""

    def git(*arguments):
        identity = ['-c', 'user.name=a', '-c', 'user.email=a@b']
        done = subprocess.run(
            ['git', '-C', str(tmp_path), *identity, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit_of(clone):
        return runpy.run_path(str(clone / 'mmsola' / 'version.py'))['commit']()

    for clone in (tmp_path, tmp_path / 'inside'):
        (clone / 'mmsola').mkdir(parents=True)
        shutil.copy(FILE.with_name('version.py'), clone / 'mmsola')
    git('init', '-q')
    git('add', '.')
    git('commit', '-qm', 'first')
    commit = git('rev-parse', '--short=7', 'HEAD')
    assert commit_of(tmp_path) == commit
    assert commit_of(tmp_path / 'inside') is None
    with (tmp_path / 'mmsola' / 'version.py').open('a') as file:
        file.write('# changed')
    assert commit_of(tmp_path) == f'{commit}-dirty'
    (tmp_path / 'inside' / 'mmsola' / 'commit.txt').write_text('abcdef0')  # as in a wheel
    assert commit_of(tmp_path / 'inside') == 'abcdef0'
