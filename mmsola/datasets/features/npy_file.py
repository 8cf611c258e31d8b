"""The npy format: headers without pickle, and arrays mapped into memory."""

from __future__ import annotations

import functools
import io
import math
import mmap
import os
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy_format

from mmsola.datasets.features.feature_errors import feature_error, pickled_error, truncated_error

_LONGEST_HEADER = 10_000  # bytes; NumPy's own bound


def map_npy(stream: BinaryIO, path: str, fix: str) -> np.ndarray:
    """The array of an npy file, read-only, of which only what is used is read.

    Raises:
        FeatureError: The file is pickled (``fix`` is how to convert it), damaged or no npy file.
    """
    shape, is_fortran, dtype = npy_header(stream, path, fix)
    offset = stream.tell()
    size = math.prod(shape) * dtype.itemsize
    held = os.fstat(stream.fileno()).st_size - offset
    # less was cut off; more means that the header is wrong, and a video is longer
    if size != held:
        raise truncated_error(path, f'holds {held} bytes, shape {shape} takes {size}')
    # The map lives as long as the array does, a window read; it needs no open file.
    values = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    order: Literal['C', 'F'] = 'F' if is_fortran else 'C'
    return np.ndarray(shape, dtype, values, offset, order=order)


def npy_header(stream: Any, path: str, fix: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and dtype at the start of an npy stream, which is left at the first value."""
    magic = stream.read(8)
    if magic[:1] == b'\x80':  # first byte of every pickle since protocol 2
        raise pickled_error(path, fix)
    if magic[:6] != b'\x93NUMPY'[: len(magic)]:
        raise feature_error(
            f'{path}: is no npy file (it begins with {magic!r})',
            'a file written by np.save',
            'correct the suffix of the file, or write it again with np.save',
        )
    length = stream.read(2 if magic[6:7] == b'\x01' else 4)
    if int.from_bytes(length, 'little') > _LONGEST_HEADER:
        raise truncated_error(path, 'its header is too long')
    header = length + stream.read(int.from_bytes(length, 'little'))
    try:
        shape, is_fortran, dtype = _parsed_npy_header(header, len(length))
    except Exception as error:  # NumPy meets damaged bytes with whatever Python raises
        raise truncated_error(path, f'its header cannot be read: {error}') from error
    if not all(type(length) is int and length >= 0 for length in shape):
        raise truncated_error(path, f'its header says shape {shape}')
    if dtype.hasobject:
        raise pickled_error(path, fix)
    return shape, is_fortran, dtype


# Parsing takes longer than reading a window, and videos of equal length have equal headers.
@functools.lru_cache(maxsize=4096)
def _parsed_npy_header(header: bytes, length_bytes: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    is_first_version = length_bytes == 2
    parse = (
        npy_format.read_array_header_1_0 if is_first_version else npy_format.read_array_header_2_0
    )
    return parse(io.BytesIO(header))
