"""Hand SoLa features to any toolbox: a whole data set through a trained module into files."""

from __future__ import annotations

import glob
import inspect
import json
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from mmaction.datasets import ActivityNetDataset
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from mmsola.apis.manifest import PROVENANCE, check_names, differences, read_manifest, write_manifest
from mmsola.atomic import raise_disk_faults_as, remove_partials, replacing
from mmsola.datasets.features.containers import NpyFolder
from mmsola.datasets.features.csv_container import CsvFolder
from mmsola.datasets.features.feature_store import FeatureError, FeatureStore
from mmsola.datasets.features.feature_writer import DTYPES
from mmsola.datasets.features.stream_store import open_features
from mmsola.datasets.snippet_feature_dataset import SnippetFeatureDataset
from mmsola.files.folder_lock import only_writer
from mmsola.messages.first_few import first_few
from mmsola.messages.progress import progress
from mmsola.models.necks.nested_necks import build_neck, channels_in, channels_out, is_sola
from mmsola.models.necks.sola_checkpoint import architecture_of, read_sola_weights
from mmsola.version import provenance

FORMATS = ('npy', 'csv', 'hdf5')
MANIFEST = 'sola_export.json'
# The checkpoint's hash and the neck's settings decide; more videos may be added.
NOT_COMPARED = ('checkpoint', 'config', 'videos', *PROVENANCE)


class ExportError(ValueError):
    """What was asked for cannot be exported, or would mix with an export made otherwise."""


def build_sola(cfg: Config, checkpoint: str | Path, prefix: str | None = None) -> nn.Module:
    """The config's ``model.neck`` with the weights of a checkpoint, frozen, strictly loaded.

    A neck that holds a SoLa is built whole: ``PlainBeside`` puts out the plain features as well.

    Raises:
        CheckpointError, ValueError: The checkpoint holds no SoLa module, or one of other widths;
            or no statistics, where the neck is a Standardize.
    """
    init_cfg = {'type': 'Pretrained', 'checkpoint': str(checkpoint), 'prefix': prefix}
    if cfg.model.neck['type'] == 'Standardize':
        neck = MODELS.build({**cfg.model.neck, 'init_cfg': init_cfg})
    else:
        in_channels = architecture_of(read_sola_weights(checkpoint, prefix))['in_channels']
        neck = build_neck(_with_sola_of(init_cfg, cfg.model.neck), in_channels)
    neck.init_weights()
    return neck


_OF_FEATURES = (SnippetFeatureDataset, ActivityNetDataset)


def feature_stores(cfg: Config) -> list[FeatureStore]:
    """The feature stores that a config's data sets read, each once.

    Data sets of ours of any kind, and MMAction2's own, whose features are csv files.

    Raises:
        ExportError: There is none.
    """
    found: dict[str, FeatureStore] = {}
    for dataset in _datasets(
        [cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test')]
    ):
        prefix = dataset['data_prefix']
        root = Path(dataset.get('data_root') or '') / prefix.get('feature', prefix.get('video', ''))
        settings = dict(dataset.get('feature') or {})
        if 'feature' not in prefix:
            settings = {'format': 'csv'}
        key = json.dumps([str(root), settings], sort_keys=True)
        if key not in found:
            found[key] = open_features(root, **settings)
    if not found:
        raise ExportError(
            f'{cfg.filename}: none of its data sets reads snippet features\n  expected: a '
            'SnippetFeatureDataset, SlidingWindowDataset or ActivityNetDataset\n  fix: name the '
            'folder or file of the features with --features'
        )
    return list(found.values())


def export_features(
    neck: nn.Module,
    stores: list[FeatureStore],
    out: str | Path,
    format: str = 'npy',
    dtype: str = 'float32',
    about: dict | None = None,
    overwrite: bool = False,
    device: str | torch.device = 'cpu',
    keep_file_names: bool = False,
) -> dict[str, int]:
    """Write SoLa features ``(T, C)`` of every video of the stores.

    Each file appears whole or not at all; a second call goes on where a killed one stopped.

    Args:
        neck: The trained module.
        stores: Where the videos' features come from; a name in two of them is an error.
        out: A folder for ``'npy'`` and ``'csv'``, a file for ``'hdf5'`` (one entry a video).
        format: ``'npy'`` (OpenTAD, ActionFormer), ``'csv'`` (MMAction2, G-TAD) or ``'hdf5'``.
        dtype: ``'float32'`` or ``'float16'``.
        about: What goes into the manifest json, the checkpoint's hash above all. An export that was
            begun with another one is not gone on with.
        overwrite: Begin anew.
        device: Where the module lies.
        keep_file_names: Name the features as the source's files are, and not by the videos.

    Returns:
        ``{'written': ..., 'kept': ...}``, in videos; those that were damaged are written again.

    Raises:
        ExportError: ``out`` holds an export made otherwise, or files that are not an export.
    """
    if format not in FORMATS or dtype not in DTYPES:
        raise ExportError(
            f'export: format is one of {FORMATS} and dtype one of {DTYPES}, '
            f'got {format!r} and {dtype!r}.'
        )
    owner = {
        store.stored_name(name) if keep_file_names else name: _Source(store, name)
        for store in stores
        for name in store.names()
    }
    if len(owner) < sum(len(store) for store in stores):
        raise ExportError(
            'export: two feature stores hold a video of the same name; export them one by one '
            'with --features.'
        )
    output = _Output(Path(out), format, dtype)
    check_names(owner, output.folder, ExportError)
    if format == 'hdf5':
        _check_hdf5_names(owner)
    for store in stores:
        _check_apart(output, Path(store.root))
        store.check()
    content = {
        **(about or {}),
        'format': format,
        'dtype': dtype,
        'layout': 'TC',
        'features': [str(Path(store.root).resolve()) for store in stores],
        **provenance(),
    }
    with (
        raise_disk_faults_as(output.out, ExportError),
        only_writer(output.folder, ExportError, 'export') as is_only,
    ):
        output.begin(content, list(owner), overwrite, is_only)
        found = {
            name: output.found(name, _shape_out(neck, source)) for name, source in owner.items()
        }
        damaged = [repr(name) for name in owner if found[name] == 'damaged']
        if damaged:
            print_log(
                f'{out}: {len(damaged)} exported features are cut off or damaged, and are written '
                f'again: {first_few(damaged)}',
                'current',
                logging.WARNING,
            )
        todo = [name for name in owner if found[name] != 'whole']
        _compute(neck, {name: owner[name] for name in todo}, output, dtype, device)
        output.finish(list(owner))
    return {'written': len(todo), 'kept': len(owner) - len(todo)}


class _Source(NamedTuple):
    """Where the features of an exported video come from."""

    store: FeatureStore
    name: str

    def read(self) -> np.ndarray:
        return self.store.read(self.name)


def _shape_out(neck: nn.Module, source: _Source) -> tuple[int, int]:
    num_snippets, num_channels = source.store.shape(source.name)
    same = channels_out(neck) == channels_in(neck)  # others than the neck's fail later
    return num_snippets, num_channels if same else channels_out(neck) or num_channels


def _compute(
    neck: nn.Module,
    videos: dict[str, _Source],
    output: _Output,
    dtype: str,
    device: str | torch.device,
) -> None:
    """Write the features of videos, each from its source."""
    names = list(videos)
    # one thread reads the next video and one writes the last while this one is computed
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        ahead = [reader.submit(videos[name].read) for name in names[:1]]
        written: Future | None = None
        for name, following in zip(progress(names, 'SoLa features'), [*names[1:], None]):
            feature = torch.from_numpy(ahead.pop().result()).to(device)
            if following is not None:
                ahead.append(reader.submit(videos[following].read))
            with (
                torch.inference_mode(),
                np.errstate(over='ignore'),
            ):  # reported below, with its video
                array = neck(feature.T[None])[0].T.cpu().numpy().astype(dtype)
            if not np.isfinite(array).all():
                raise ExportError(
                    f'{name}: its SoLa feature does not fit into {dtype}; export as float32.'
                )
            if written is not None:
                written.result()  # what went wrong there is raised here
            written = writer.submit(output.save, name, array)
        if written is not None:
            written.result()


def _check_apart(output: _Output, source: Path) -> None:
    """Refuse to write where the features come from: they would be mixed, or overwritten."""
    source = source.resolve()
    for target in {output.out.resolve(), output.folder.resolve()}:
        if target == source or target in source.parents:
            raise ExportError(
                f'{output.out}: is not an export but is or holds {source}, where the features come '
                'from\n  expected: another folder\n  fix: choose one beside it'
            )


def _check_hdf5_names(names: Collection[str]) -> None:
    """Refuse names that HDF5 cannot hold at once, before anything is computed."""
    for name in names:
        parts = name.split('/')
        for count in range(1, len(parts)):
            if '/'.join(parts[:count]) in names:
                raise ExportError(
                    f'{name!r} and {"/".join(parts[:count])!r}: an HDF5 file cannot hold both, '
                    'since one would be an entry in the other\n  expected: no name that is the '
                    'folder of another one\n  fix: rename one of them, or export as npy'
                )


class _Output:
    """Where an export goes: a folder of files, which for HDF5 become one file at the end."""

    def __init__(self, out: Path, format: str, dtype: str) -> None:
        self.out = out
        self.format = format
        self.dtype = np.dtype(dtype)
        # a half-written HDF5 file cannot be gone on with, a folder of whole videos can
        self.folder = out.with_name(f'{out.name}.videos') if format == 'hdf5' else out
        self.manifest = (
            out.with_name(f'{out.name}.{MANIFEST}') if format == 'hdf5' else out / MANIFEST
        )
        self.content: dict[str, Any] = {}
        self.packed: FeatureStore | None = None  # the HDF5 file, if it is there
        self.whole_in_file: set[str] = set()  # its videos that need not be written again

    def begin(
        self, content: dict[str, Any], names: list[str], overwrite: bool, is_only: bool
    ) -> None:
        """Make room, or make sure that the export found there is the same.

        Args:
            content: The settings.
            names: Videos that will be written.
            overwrite: Begin anew.
            is_only: No other process writes here.
        """
        begun = read_manifest(self.manifest, ExportError)
        written: set[str] = set()
        if begun is None:
            if self.out.is_file() or any(self.folder.iterdir()):
                raise ExportError(
                    f'{self.out}: exists already and is not an export of SoLa features (no '
                    f'{self.manifest.name}); choose an empty folder.'
                )
        else:
            self._remove_partials(is_only)
            differs = differences(begun, content, NOT_COMPARED)
            if differs and not overwrite:
                raise ExportError(
                    f'{self.manifest}: an export was made here with other settings: '
                    f'{", ".join(differs)}. Choose another folder, or --overwrite it.'
                )
            if overwrite:
                self._remove(begun)
            else:
                written = set(self._listed(begun) or ())
        # listed before they are written, so that no kill leaves a file that nobody knows to be ours
        self.content = {**content, 'videos': sorted(written.union(names))}
        write_manifest(self.manifest, {**self.content, 'complete': False})
        if self.format == 'hdf5' and self.out.exists():
            try:
                self.packed = FeatureStore(self.out)
                self.packed.names()
            except FeatureError as error:
                print_log(f'{error}\n  It is written again.', 'current', logging.WARNING)
                self.packed = None

    def found(self, name: str, shape: tuple[int, int]) -> str:
        """What is there of a video: ``'whole'``, ``'damaged'`` or ``'nothing'``.

        Args:
            name: The video.
            shape: (T, C) that its features must have.
        """
        packed, in_file = self.packed, 'nothing'
        if packed is not None and name in packed:
            in_file = self._state(lambda: packed.shape(name) == shape)
            if in_file == 'whole':
                self.whole_in_file.add(name)
                return in_file
        file = self._file(name)
        if not file.exists():
            return in_file
        container = (CsvFolder if self.format == 'csv' else NpyFolder)(str(self.folder))

        def is_whole() -> bool:
            stored, dtype = container.header(name)
            if self.format == 'csv':  # a cut in its last number leaves all columns
                with file.open('rb') as stream:
                    stream.seek(-1, os.SEEK_END)
                    return stored == shape and stream.read() == b'\n'
            return stored == shape and dtype == self.dtype

        return self._state(is_whole)

    def save(self, name: str, array: np.ndarray) -> None:
        """Write one video ``(T, C)``."""
        with replacing(self._file(name)) as partial:
            if self.format == 'csv':
                # CUHK's layout; 9 digits bring every float32 back
                header = ','.join(f'f{i}' for i in range(array.shape[1]))
                np.savetxt(partial, array, '%.9g', delimiter=',', header=header, comments='')
            else:
                np.save(partial, array)

    def finish(self, names: list[str]) -> None:
        """Put an HDF5 file together from its videos, and say that all are there."""
        if self.format == 'hdf5':
            self._pack(names)
        complete = {'complete': True, 'num_videos': len(names)}
        write_manifest(self.manifest, {**self.content, **complete})

    def _pack(self, names: list[str]) -> None:
        new = [name for name in names if name not in self.whole_in_file]
        if new:
            with replacing(self.out) as partial:
                if self.packed is not None:
                    shutil.copyfile(self.out, partial)
                with h5py.File(partial, 'a') as file:
                    for name in new:
                        if name in file:  # it was damaged
                            del file[name]
                        file[name] = np.load(self._file(name), allow_pickle=False)
        self.packed = None
        ours = {self._file(name) for name in self.content['videos']}
        if all(path in ours for path in self.folder.rglob('*') if not path.is_dir()):
            shutil.rmtree(self.folder)
        else:
            self._remove_files(self.content['videos'], self.suffix_of(self.format))

    @staticmethod
    def suffix_of(format: str) -> str:
        """Suffix of the file of one video."""
        return '.csv' if format == 'csv' else '.npy'

    @staticmethod
    def _state(is_whole: Callable[[], bool]) -> str:
        try:
            return 'whole' if is_whole() else 'damaged'
        except FeatureError:
            return 'damaged'

    def _listed(self, begun: dict[str, Any]) -> list[str] | None:
        """The videos that an export before this one wrote; None if it did not list them."""
        names = begun.get('videos')
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return None
        check_names(names, self.folder, ExportError)
        return names

    def _remove(self, begun: dict[str, Any]) -> None:
        """Remove what the export before this one wrote, and nothing else."""
        names, format = self._listed(begun), begun.get('format')
        if names is None or format not in FORMATS:
            raise ExportError(
                f'{self.manifest}: does not list the files of its export, so files of yours cannot '
                'be kept apart\n  expected: an export of this version\n  fix: remove it '
                'yourself, or choose another folder'
            )
        self._remove_files(names, self.suffix_of(format))
        if self.format == 'hdf5':
            self.out.unlink(missing_ok=True)

    def _remove_files(self, names: list[str], suffix: str) -> None:
        """Remove files of videos, and the sub-folders that become empty."""
        for name in names:
            file = self.folder / f'{name}{suffix}'
            file.unlink(missing_ok=True)
            for folder in file.parents:
                if folder == self.folder:
                    break
                with suppress(OSError):  # not empty, or gone already
                    folder.rmdir()

    def _remove_partials(self, is_only: bool) -> None:
        remove_partials(self.folder, of_living=is_only)
        if self.format == 'hdf5':
            for partial in self.out.parent.glob(f'.partial-*-{glob.escape(self.out.name)}'):
                partial.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.folder / f'{name}{self.suffix_of(self.format)}'


def _datasets(config: object) -> Iterator[dict]:
    """Every data set of snippet features in a config, however wrapped."""
    if isinstance(config, dict):
        kind = config.get('type')
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        if inspect.isclass(kind) and issubclass(kind, _OF_FEATURES):
            yield config
        else:
            config = list(config.values())
    if isinstance(config, (list, tuple)):
        for item in config:
            yield from _datasets(item)


def _with_sola_of(init_cfg: dict, cfg: Any) -> Any:
    """A neck's config whose SoLa, itself or inside of it, is frozen and loaded so."""
    if isinstance(cfg, (list, tuple)):
        return [_with_sola_of(init_cfg, part) for part in cfg]
    if not isinstance(cfg, dict):
        return cfg
    if 'type' in cfg and is_sola(cfg):
        return {**cfg, 'frozen': True, 'init_cfg': init_cfg}
    return {key: _with_sola_of(init_cfg, value) for key, value in cfg.items()}
