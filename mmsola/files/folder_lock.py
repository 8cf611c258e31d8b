"""One writer at a time in a folder of results."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_HELD_BY_ANOTHER = (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN)


@contextmanager
def only_writer(folder: Path, error: type[ValueError], what: str) -> Iterator[bool]:
    """Be the only process that writes to a folder, which is made if it is not there.

    The lock is on the folder itself: it leaves no file behind, and goes with the process, however
    that ends.

    Args:
        folder: The folder.
        error: Raised if another process holds it.
        what: What is written, for the message: ``'export'``.

    Yields:
        Whether there is a lock: some network disks and Windows know none on folders.

    Raises:
        error: Another process holds the lock.
    """
    was_there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as cause:
        raise error(
            f'{folder}: exists already and is no folder\n  expected: a folder for the {what}\n'
            '  fix: choose another path'
        ) from cause
    if fcntl is None:
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_locked = True
        except OSError as cause:
            if cause.errno in _HELD_BY_ANOTHER:
                raise error(
                    f'{folder}: another {what} works here\n  expected: one process for each folder'
                    '\n  fix: wait until it has ended, or choose another folder'
                ) from cause
            is_locked = False
        yield is_locked
    finally:
        if not was_there:  # where nothing was written, nothing is left
            with suppress(OSError):
                folder.rmdir()
        os.close(descriptor)
