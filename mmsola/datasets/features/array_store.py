"""Features that are in memory already, read as those of a file are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmsola.datasets.features.feature_errors import feature_error


class ArrayStore:
    """Snippet features of some videos in memory, a ``SnippetReader``.

    Args:
        arrays: Names of videos and their features ``(T, C)``, which are not copied.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = dict(arrays)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Snippets ``start`` to ``stop - 1`` of a video, a new float32 array (stop - start, C).

        Raises:
            FeatureError: The window is not inside the video.
        """
        array = self._arrays[name]
        stop = len(array) if stop is None else stop
        if not 0 <= start < stop <= len(array):
            raise feature_error(
                f'{name}: snippets {start} to {stop} are asked for, it has {len(array)}',
                f'0 <= start < stop <= {len(array)}',
                'ask for a window inside the video',
            )
        return np.array(array[start:stop], dtype=np.float32, order='C')
