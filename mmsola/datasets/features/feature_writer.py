"""Write a video's features in parts, in no more memory than one part takes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from mmsola.atomic import partial_beside
from mmsola.datasets.features.feature_errors import feature_error

#: What features are kept as.
DTYPES = ('float32', 'float16')


class FeatureWriter:
    """An npy file ``(T, C)`` of known length, which takes its name when it is finished.

    Args:
        path: Where it shall lie.
        num_snippets: T.
        num_channels: C.
        dtype: Of :data:`DTYPES`.
    """

    def __init__(self, path: Path, num_snippets: int, num_channels: int, dtype: str) -> None:
        self.path = path
        self.num_snippets = num_snippets
        self.num_written = 0
        self.dtype = np.dtype(dtype)
        self._partial = partial_beside(path)
        self._file = self._partial.open('wb')
        header = {
            'descr': npy_format.dtype_to_descr(self.dtype),
            'fortran_order': False,
            'shape': (num_snippets, num_channels),
        }
        npy_format.write_array_header_1_0(self._file, header)

    @property
    def is_whole(self) -> bool:
        """Whether all snippets were added."""
        return self.num_written == self.num_snippets

    def add(self, features: np.ndarray) -> None:
        """Write the next snippets ``(N, C)``.

        Raises:
            FeatureError: A value is not finite, or does not fit into the dtype.
            OSError: The disk is full.
        """
        with np.errstate(over='ignore'):  # reported below, with its video
            rows = features.astype(self.dtype)
        if not np.isfinite(rows).all():
            raise feature_error(
                f'{self.path}: snippets {self.num_written} to {self.num_written + len(rows) - 1} '
                f'have features that are not finite in {self.dtype}',
                'numbers',
                'write float32, and compute in full precision (no amp)',
            )
        self._file.write(rows.tobytes())
        self._file.flush()  # a full disk shall show with the video that met it
        self.num_written += len(rows)

    def finish(self) -> None:
        """Give the file its name."""
        self._file.close()
        os.replace(self._partial, self.path)

    def discard(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):  # of a full disk, which is reported already
            self._file.close()
        self._partial.unlink(missing_ok=True)
