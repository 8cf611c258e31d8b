"""Errors of features that cannot be used: where, found, expected and how to fix it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

_MOST_COMPRESSED = 200  # times; features are hardly ever a tenth of that
_ALWAYS_READ_BYTES = 64 << 20  # so much may be claimed by any file


class FeatureError(ValueError):
    """Features that cannot be used; has file or video, found, expected and how to fix it."""


def feature_error(found: str, expected: str, fix: str) -> FeatureError:
    # One text, not three arguments: DataLoader workers rebuild an exception from its message alone.
    return FeatureError(f'{found}\n  expected: {expected}\n  fix: {fix}')


def dtype_error(where: str, dtype: object) -> FeatureError:
    return feature_error(
        f'{where}: its values are of type {dtype}',
        'float16, float32 or float64',
        'convert it once to float32',
    )


def truncated_error(where: str, found: str) -> FeatureError:
    return feature_error(
        f'{where}: is truncated or damaged ({found})',
        'a complete file',
        'copy, download or extract it again',
    )


def check_size(
    where: str, shape: Sequence[int], dtype: Any, plain_bytes: int, stored_bytes: int
) -> None:
    """Compare what a header claims with what is stored, before anything of that size is read.

    Args:
        where: File, for the message.
        shape: What the header claims.
        dtype: Likewise.
        plain_bytes: Bytes of the values, not compressed, as the container declares.
        stored_bytes: Bytes that they take in the file.

    Raises:
        FeatureError: They do not fit.
    """
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != plain_bytes:
        raise truncated_error(where, f'holds {plain_bytes} bytes, shape {shape} takes {claimed}')
    if claimed > max(_ALWAYS_READ_BYTES, stored_bytes * _MOST_COMPRESSED):
        raise truncated_error(
            where, f'claims {claimed} bytes, shape {shape}, and stores {stored_bytes}'
        )


def pickled_error(where: str, convert: str) -> FeatureError:
    return feature_error(
        f'{where}: is pickled, and loading a pickle can run any code that is hidden in it',
        'plain numbers, which load without pickle',
        f'if you trust where it comes from, convert it once: {convert}',
    )
