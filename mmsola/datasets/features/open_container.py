"""From the path of features to the container that reads them."""

from __future__ import annotations

import os

from mmsola.datasets.features.containers import Container, NpyFolder, NpzFolder, PtFolder
from mmsola.datasets.features.csv_container import CsvFolder
from mmsola.datasets.features.feature_errors import feature_error, pickled_error
from mmsola.datasets.features.feature_files import files_by_suffix
from mmsola.datasets.features.hdf5_container import Hdf5File
from mmsola.datasets.known_sets import see_page

FOLDER_FORMATS = {'csv': CsvFolder, 'npy': NpyFolder, 'npz': NpzFolder, 'pt': PtFolder}
FORMATS = ('auto', *FOLDER_FORMATS, 'hdf5')


def open_container(root: str, format: str, entry: str | None, cache: bool = False) -> Container:
    """The container at ``root``; with ``format='auto'`` of the one kind that is found there.

    With ``cache``, csv and npz are parsed once and kept as npy.

    Raises:
        FeatureError: Nothing is there, or nothing of that format, or several formats are.
    """
    if format not in FORMATS:
        raise feature_error(
            f'unknown feature format {format!r}',
            f'one of {", ".join(map(repr, FORMATS))}',
            'correct format in the config, or convert the features to one of these',
        )
    if not os.path.exists(root):
        raise feature_error(
            f'{root or "(no path given)"}: does not exist',
            'a folder with feature files, or one HDF5 file',
            f'correct the path of the features in the config{see_page(root)}',
        )
    if os.path.isfile(root):
        return _open_hdf5(root, format, entry)
    counts = {suffix: len(keys) for suffix, keys in files_by_suffix(root).items()}
    present = [name for name in FOLDER_FORMATS if f'.{name}' in counts]
    found = ', '.join(f'{n} {suffix or "without suffix"}' for suffix, n in counts.items())
    if format == 'auto' and len(present) > 1:
        raise feature_error(
            f'{root}: holds feature files of several formats: {found}',
            'files of one format',
            f'say which with format=..., such as format={present[0]!r}',
        )
    if not present and ('.pkl' in counts or '.pickle' in counts):
        raise pickled_error(
            f'{root} (files found: {found})',
            'python -c "import pathlib, pickle, numpy as np; '
            "[np.save(p.with_suffix('.npy'), np.asarray(pickle.loads(p.read_bytes()), 'float32')) "
            f"for p in pathlib.Path({root!r}).glob('*.p*k*l*')]\"",
        )
    if not present or format not in ('auto', *present):
        is_hdf5 = format == 'hdf5' or '.h5' in counts or '.hdf5' in counts
        raise feature_error(
            f'{root}: holds no {"feature" if format == "auto" else format} file '
            f'(files found: {found or "none"})',
            ' or '.join(f'.{name}' for name in FOLDER_FORMATS) + ' files, one a video',
            'give the HDF5 file itself, not its folder'
            if is_hdf5
            else 'correct the path or the format of the features in the config',
        )
    chosen = present[0] if format == 'auto' else format
    if entry is not None and chosen in ('csv', 'npy'):
        raise feature_error(
            f'{root}: entry={entry!r} is given for {chosen} files, which hold one array each',
            'entry with npz, pt or hdf5 only',
            'leave out entry',
        )
    return FOLDER_FORMATS[chosen](root, entry, cache)


def _open_hdf5(root: str, format: str, entry: str | None) -> Hdf5File:
    if not os.path.getsize(root):
        raise feature_error(
            f'{root}: is empty (0 bytes)', 'an HDF5 file', 'copy or download it again'
        )
    try:
        import h5py
    except ImportError as error:
        raise feature_error(
            f'{root}: is read with h5py, which is not installed', 'h5py', 'pip install h5py'
        ) from error
    if not h5py.is_hdf5(root) or format not in ('auto', 'hdf5'):
        raise feature_error(
            f'{root}: is a file, but no HDF5 file to read with format={format!r}',
            'a folder with one feature file a video, or one HDF5 file',
            'correct the path or the format of the features in the config',
        )
    return Hdf5File(root, entry)
