"""``python -m mmsola``: a subcommand, or a script of others with mmsola imported first.

MMAction2's own ``tools/train.py`` reads ``_base_ = 'mmaction::...'`` before ``custom_imports``, and
fails there with today's setuptools or MMCV. With ``python -m mmsola tools/train.py CONFIG`` mmsola
is imported first, and makes them work.
"""

import runpy
import sys
from pathlib import Path

from mmsola import console


def main() -> None:
    """Run what the first argument names."""
    first = sys.argv[1] if len(sys.argv) > 1 else ''
    is_script = first.endswith('.py') or Path(first).is_file()
    if first in console.COMMANDS or not is_script:  # a file may be called as a command is
        console.main()
        return
    if not Path(first).is_file():
        sys.exit(
            'usage: python -m mmsola SCRIPT [ARGUMENTS ...]; '
            f'expected a Python file, found {first!r}'
        )
    del sys.argv[0]
    sys.path.insert(0, str(Path(first).parent))  # as Python does for a script
    runpy.run_path(first, run_name='__main__')


if __name__ == '__main__':
    main()
