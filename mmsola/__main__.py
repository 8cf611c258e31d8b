"""Run a script of others with mmsola imported first: ``python -m mmsola tools/train.py CONFIG``.

MMAction2's own ``tools/train.py`` reads ``_base_ = 'mmaction::...'`` before ``custom_imports``, and
fails there with today's setuptools or MMCV; imported first, mmsola makes them work.
"""

import runpy
import sys
from pathlib import Path

import mmsola  # noqa: F401


def main() -> None:
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
        found = f'found {sys.argv[1]!r}' if len(sys.argv) > 1 else 'found nothing'
        sys.exit(f'usage: python -m mmsola SCRIPT [ARGUMENTS ...]; expected a Python file, {found}')
    del sys.argv[0]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))  # as Python does for a script
    runpy.run_path(sys.argv[0], run_name='__main__')


if __name__ == '__main__':
    main()
