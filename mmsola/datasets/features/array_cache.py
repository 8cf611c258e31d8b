"""Arrays that are slow to read, kept as npy: parsed once, mapped into memory ever after.

In :func:`cache_folder`, below ``arrays/``. It only ever saves time: what cannot be
read there is parsed again.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from mmsola.atomic import replacing
from mmsola.datasets.features.cache_folder import cache_folder
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.features.npy_file import map_npy


def load_or_parse(
    source: tuple[str, str | None], stamp: tuple[int, int], parse: Callable[[], np.ndarray]
) -> np.ndarray:
    """The array of a file.

    Args:
        source: Absolute path of the file, and which of its arrays.
        stamp: Size in bytes and mtime in ns; another stamp is another content.
        parse: Reads the file itself.
    """
    stem = _stem(str(cache_folder()), source)
    path = f'{stem}-{stamp[0]}-{stamp[1]}.npy'
    with contextlib.suppress(OSError, FeatureError), open(path, 'rb') as stream:
        return map_npy(stream, path, fix='')
    array = parse()
    try:
        with replacing(path) as partial:
            np.save(partial, array)
        for other in glob.glob(f'{glob.escape(stem)}-*.npy'):
            if other != path:  # what the file held before
                Path(other).unlink(missing_ok=True)
    except OSError as error:
        _warn_about_unwritable(cache_folder(), error)
    return array


# Hashing takes as long as reading a window.
@functools.lru_cache(maxsize=1 << 16)
def _stem(cache: str, source: tuple[str, str | None]) -> str:
    digest = hashlib.sha256(repr(source).encode()).hexdigest()[:32]
    return f'{cache}/arrays/{digest[:2]}/{digest[2:]}'


_warned_about: set[Path] = set()


def _warn_about_unwritable(folder: Path, error: OSError) -> None:
    if folder not in _warned_about:
        _warned_about.add(folder)
        print_log(
            f'{folder}: cannot keep parsed features ({error}), so they are parsed at every read. '
            'Set MMSOLA_CACHE to a folder with space, or convert them to npy once.',
            'current',
        )
