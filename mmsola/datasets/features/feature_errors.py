"""What is said about features that cannot be used: where, found, expected and how to mend it."""

from __future__ import annotations


class FeatureError(ValueError):
    """Features that cannot be used; says file or video, found, expected and how to mend it."""


def feature_error(found: str, expected: str, mend: str) -> FeatureError:
    # One text, not three arguments: DataLoader workers rebuild an exception from its message alone.
    return FeatureError(f'{found}\n  expected: {expected}\n  mend: {mend}')


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


def pickled_error(where: str, convert: str) -> FeatureError:
    return feature_error(
        f'{where}: is pickled, and loading a pickle can run any code that is hidden in it',
        'plain numbers, which load without pickle',
        f'if you trust where it comes from, convert it once: {convert}',
    )
