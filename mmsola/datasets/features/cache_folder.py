"""Where files are kept that only save time and may be deleted at any moment."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """``$MMSOLA_CACHE``, else that of the system: ``~/.cache/mmsola`` on Linux."""
    # what it depends on: asked for at every read of a file that it keeps
    return _folder(*map(os.environ.get, ('MMSOLA_CACHE', 'XDG_CACHE_HOME', 'HOME')))


@functools.lru_cache(maxsize=16)
def _folder(of_mmsola: str | None, *_: str | None) -> Path:
    if of_mmsola:
        return Path(of_mmsola).expanduser()
    return platformdirs.user_cache_path('mmsola', appauthor=False)
