"""Where things are kept that only save time and may be deleted at any moment."""

from __future__ import annotations

import functools
import os
from pathlib import Path


def cache_folder() -> Path:
    """``${MMSOLA_CACHE:-~/.cache/mmsola}``."""
    return _folder(os.environ.get('MMSOLA_CACHE') or '~/.cache/mmsola', os.environ.get('HOME'))


# asked for at every read of a file that it keeps
@functools.lru_cache(maxsize=16)
def _folder(path: str, home: str | None) -> Path:
    return Path(path).expanduser()
