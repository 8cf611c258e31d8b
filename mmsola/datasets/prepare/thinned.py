"""Features with fewer snippets a second, for trials that need not see every snippet."""

from __future__ import annotations

from pathlib import Path

from mmsola.datasets.features.feature_errors import feature_error
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.features.feature_writer import DTYPES
from mmsola.datasets.prepare.output import write_features


def thin_features(store: FeatureStore, out: Path, every: int, dtype: str = 'float32') -> int:
    """Write the snippets 0, ``every``, 2 ``every``, ... of each video to ``<out>/<name>.npy``.

    That is what an extraction with ``every`` times the stride gives: in the timeline of a config,
    ``stride_frames`` is ``every`` times as long, and ``window_frames`` stays.

    Args:
        store: The features, ``(T, C)`` a video.
        out: Folder to write, not that of the features. Files of an earlier run stay.
        every: 2 or more.
        dtype: Of :data:`DTYPES`.

    Returns:
        Number of videos.

    Raises:
        FeatureError: A file is damaged, pickled or not finite; nothing is written then.
        OutputError: Another file has a name that is needed.

    Example::

        thin_features(FeatureStore('data/mine/features'), Path('data/mine/every_4'), every=4)
    """
    if every < 2:
        raise feature_error(f'every is {every}', '2 or more', 'correct it')
    if dtype not in DTYPES:
        raise feature_error(f'dtype is {dtype!r}', f'of {DTYPES}', 'correct it')
    if out.resolve() == Path(store.root).resolve():
        raise feature_error(
            f'{out}: is where the features are that are read', 'another folder', 'choose another'
        )
    names = store.names()
    write_features(store, names, out, dtype, every)
    return len(names)
