"""Files of a prepared data set: whole or not there; files of others are never replaced."""

from __future__ import annotations

import filecmp
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mmsola.atomic import replacing
from mmsola.datasets.features.feature_errors import feature_error
from mmsola.datasets.features.feature_store import FeatureStore


class OutputError(ValueError):
    """A file that is already there and holds something else."""


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Write to the yielded path beside ``path``; it takes its name if nobody else has it.

    A file with the same bytes is what an earlier run wrote, and stays.

    Raises:
        OutputError: Another file has the name.
    """
    with replacing(path) as partial:
        yield partial
        if path.exists() and not (path.is_file() and filecmp.cmp(partial, path, shallow=False)):
            raise _in_the_way(path)


def write_json(path: Path, content: Any) -> None:
    """Write a json file.

    Raises:
        OutputError: Another file has the name.
    """
    with new_file(path) as partial:
        partial.write_text(_text(content), encoding='utf-8')


def refuse_other(path: Path, content: Any) -> None:
    """Find out before the work is done that :func:`write_json` would stop.

    Raises:
        OutputError: Another file has the name.
    """
    if path.exists() and not (path.is_file() and path.read_bytes() == _text(content).encode()):
        raise _in_the_way(path)


def write_feature_set(store: FeatureStore, content: dict[str, Any], out: Path) -> None:
    """Write ``annotations.json`` and the features of its videos, the annotations last.

    Args:
        store: Has the features of every video of ``content['database']``.
        content: The annotation file.
        out: Folder to write.

    Raises:
        FeatureError: A file is damaged, pickled or not finite; nothing is written then.
        OutputError: Another file has a name that is needed.
    """
    annotations = out / 'annotations.json'
    refuse_other(annotations, content)
    write_features(store, list(content['database']), out / 'features')
    write_json(annotations, content)


def write_features(
    store: FeatureStore,
    names: Sequence[str],
    folder: Path,
    dtype: str = 'float16',
    every: int = 1,
) -> None:
    """Write the features ``(T, C)`` of each video to ``<folder>/<name>.npy``.

    Args:
        store: Has the features.
        names: Of the videos.
        folder: Where to write.
        dtype: Of :data:`~mmsola.datasets.features.feature_writer.DTYPES`.
        every: Keep the snippets 0, ``every``, 2 ``every``, ...

    Raises:
        FeatureError: A file is damaged, pickled or not finite; nothing is written then.
        OutputError: Another file has the name.
    """
    store.check(names)
    for name in names:
        features = store.read(name)[::every]
        if dtype == 'float16':
            features = to_half(features, store.path(name))
        with new_file(folder / f'{name}.npy') as partial:
            np.save(partial, features)


def to_half(features: np.ndarray, where: str) -> np.ndarray:
    """The values as float16.

    Raises:
        FeatureError: One is not finite, or too large; ``where`` names the file.
    """
    with np.errstate(over='ignore'):  # reported below, with its file
        halves = features.astype(np.float16)
    if not np.isfinite(halves).all():
        raise feature_error(
            f'{where}: has values that are not finite in float16',
            'numbers between -65504 and 65504',
            'download this file again',
        )
    return halves


def _text(content: Any) -> str:
    return json.dumps(content) + '\n'


def _in_the_way(path: Path) -> OutputError:
    return OutputError(
        f'{path}: is already there, and holds something else\n'
        '  expected: no such file, or the one that an earlier run wrote\n'
        '  fix: choose another --out, or remove it if nobody needs it'
    )
