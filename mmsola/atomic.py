"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    finally:
        partial.unlink(missing_ok=True)


def partial_beside(path: str | Path) -> Path:
    """A name in the same folder, which is made, that nobody else writes to or reads."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # machines that share a disk may share process numbers too
    return path.with_name(f'.partial-{os.getpid()}-{secrets.token_hex(4)}-{path.name}')
