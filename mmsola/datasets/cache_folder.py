"""Where things are kept that only save time and may be deleted at any moment."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``${MMSOLA_CACHE:-~/.cache/mmsola}``."""
    return Path(os.environ.get('MMSOLA_CACHE') or '~/.cache/mmsola').expanduser()
