"""Which mmsola this is: its version, and the commit that it was made from.

Nothing is imported here that a build lacks, since setup.py runs this file.
"""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

__version__ = '0.2.0'

#: Written into the package by setup.py: a wheel and an sdist have no history of their own.
COMMIT_FILE = 'commit.txt'
_TIMEOUT_SEC = 30  # for a git that waits for a lock


@functools.cache
def commit() -> str | None:
    """Short hash of the commit, with ``-dirty`` behind it where files were changed since.

    In a clone git is asked; a wheel has the commit that it was built from. None where neither is
    known.
    """
    package = Path(__file__).resolve().parent
    if (package.parent / '.git').exists():  # of a clone, and of no other project around it
        return _described(package.parent)
    recorded = package / COMMIT_FILE
    return recorded.read_text(encoding='utf-8').strip() or None if recorded.is_file() else None


def label() -> str:
    """Version and commit as a table prints them: ``mmsola 0.2.0, commit abcdef1``."""
    return f'mmsola {__version__}' + (f', commit {commit()}' if commit() else '')


def provenance() -> dict[str, str | int | None]:
    """What a result file says of the code that made it: ``mmsola``, ``commit`` and ``threads``.

    ``threads`` are those of PyTorch: sums of floats depend on their number.
    """
    import torch

    return {'mmsola': __version__, 'commit': commit(), 'threads': torch.get_num_threads()}


def _described(clone: Path) -> str | None:
    command = ['git', '--no-optional-locks', '-C', str(clone)]
    command += ['describe', '--always', '--dirty', '--abbrev=7', '--exclude=*']  # no tags
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SEC)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
