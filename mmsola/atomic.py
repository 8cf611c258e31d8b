"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PARTIAL = '.partial-'
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SHORT_WRITE = re.compile(r'\d+ requested and \d+ written')
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write to the yielded path beside ``path``; it takes its name only if nothing failed.

    A kill or an error leaves the old file, if there was one. The suffix is kept, since libraries
    go by it.
    """
    partial = partial_beside(path)
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        # a write does not know its file, and NumPy's not even that the disk is full
        if _SHORT_WRITE.fullmatch(str(error)) or (error.errno in _FULL and not error.filename):
            number = error.errno or errno.ENOSPC
            raise OSError(number, os.strerror(number), str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def partial_beside(path: str | Path) -> Path:
    """A name in the same folder, which is made, that nobody else writes to or reads."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # machines that share a disk may share process numbers too
    return path.with_name(f'{_PARTIAL}{os.getpid()}-{secrets.token_hex(4)}-{path.name}')


def remove_partials(folder: str | Path, of_living: bool = False) -> int:
    """Remove the unfinished files of killed processes below a folder; how many there were.

    Args:
        folder: Where :func:`replacing` wrote to.
        of_living: Those of living processes too. Only for who is the only writer there.
    """
    removed = 0
    for partial in Path(folder).rglob(f'{_PARTIAL}*'):
        process = partial.name.removeprefix(_PARTIAL).split('-')[0]
        if process.isdigit() and (of_living or not _is_alive(int(process))):
            with suppress(FileNotFoundError):
                partial.unlink()
                removed += 1
    return removed


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # of another user
        return True
    return True


def is_disk_fault(error: OSError) -> bool:
    """Whether a disk is full or may not be written to, which no code can change."""
    return error.errno in (*_FULL, *_FORBIDDEN)


@contextmanager
def raise_disk_faults_as(
    folder: str | Path,
    error: type[ValueError],
    then: str = 'run the same command again: it goes on with what is not done',
) -> Iterator[None]:
    """Turn a full or read-only disk into one error with its fix.

    Args:
        folder: Where is written to.
        error: What is raised.
        then: What to do once there is room.
    """
    try:
        yield
    except OSError as cause:
        if cause.errno in _FULL:
            raise error(
                f'{folder}: no space left ({cause.strerror}). Free some, and {then}.'
            ) from cause
        if cause.errno in _FORBIDDEN:
            raise error(
                f'{folder}: cannot be written to ({cause.strerror}: {cause.filename}). Correct its '
                'rights, or choose another folder.'
            ) from cause
        raise
