"""Hand SoLa features to any toolbox: a whole data set through a trained module into files."""

from __future__ import annotations

import glob
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from tqdm import tqdm

from mmsola.apis.manifest import differences, read_manifest, write_manifest
from mmsola.atomic import replacing
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.file_names import leads_out
from mmsola.models.necks import SoLa
from mmsola.version import __version__

FORMATS = ('npy', 'csv', 'hdf5')
DTYPES = ('float32', 'float16')
MANIFEST = 'sola_export.json'
PATHS = ('checkpoint', 'config')  # told, not compared: the hash and the neck's settings decide


class ExportError(ValueError):
    """What was asked for cannot be exported, or would mix with an export made otherwise."""


def build_sola(cfg: Config, checkpoint: str | Path, prefix: str | None = None) -> SoLa:
    """The config's ``model.neck`` with the weights of a checkpoint, frozen, strictly loaded.

    Raises:
        CheckpointError, ValueError: The checkpoint holds no SoLa module, or one of other widths.
    """
    init_cfg = {'type': 'Pretrained', 'checkpoint': str(checkpoint), 'prefix': prefix}
    neck = MODELS.build({**cfg.model.neck, 'frozen': True, 'init_cfg': init_cfg})
    neck.init_weights()
    return neck


def feature_stores(cfg: Config) -> list[FeatureStore]:
    """The feature stores that a config's data sets read, each once."""
    found: dict[str, FeatureStore] = {}
    for dataset in _datasets(
        [cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test')]
    ):
        root = Path(dataset.get('data_root') or '') / dataset['data_prefix']['feature']
        settings = dict(dataset.get('feature') or {})
        key = json.dumps([str(root), settings], sort_keys=True)
        if key not in found:
            found[key] = FeatureStore(root, **settings)
    return list(found.values())


def export_features(
    neck: SoLa,
    stores: list[FeatureStore],
    out: str | Path,
    format: str = 'npy',
    dtype: str = 'float32',
    about: dict | None = None,
    overwrite: bool = False,
    device: str | torch.device = 'cpu',
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

    Returns:
        ``{'written': ..., 'kept': ...}``, in videos.

    Raises:
        ExportError: ``out`` holds an export made otherwise, or files that are not an export.
    """
    if format not in FORMATS or dtype not in DTYPES:
        raise ExportError(
            f'export: format is one of {FORMATS} and dtype one of {DTYPES}, '
            f'got {format!r} and {dtype!r}.'
        )
    owner = {name: store for store in stores for name in store.names()}
    if len(owner) < sum(len(store) for store in stores):
        raise ExportError(
            'export: two feature stores hold a video of the same name; export them one by one '
            'with --features.'
        )
    place = _Place(Path(out), format)
    for name in owner:
        place.check_name(name)
    content = {
        **(about or {}),
        'format': format,
        'dtype': dtype,
        'layout': 'TC',
        'features': [str(Path(store.root).resolve()) for store in stores],
        'mmsola': __version__,
    }
    place.begin(content, overwrite)
    for store in stores:
        store.check()
    todo = [name for name in owner if not place.has(name)]
    # one thread reads the next video and one writes the last while this one is computed
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        ahead = [reader.submit(owner[name].read, name) for name in todo[:1]]
        written: Future | None = None
        for name, following in zip(
            tqdm(todo, desc='SoLa features', unit='video'), [*todo[1:], None]
        ):
            feature = torch.from_numpy(ahead.pop().result()).to(device)
            if following is not None:
                ahead.append(reader.submit(owner[following].read, following))
            with torch.inference_mode(), np.errstate(over='ignore'):  # told below, with its video
                array = neck(feature.T[None])[0].T.cpu().numpy().astype(dtype)
            if not np.isfinite(array).all():
                raise ExportError(
                    f'{name}: its SoLa feature does not fit into {dtype}; export as float32.'
                )
            if written is not None:
                written.result()  # what went wrong there is raised here
            written = writer.submit(place.save, name, array)
        if written is not None:
            written.result()
    place.finish(list(owner))
    write_manifest(place.manifest, {**content, 'complete': True, 'num_videos': len(owner)})
    return {'written': len(todo), 'kept': len(owner) - len(todo)}


class _Place:
    """Where an export goes: a folder of files, which for HDF5 become one file at the end."""

    def __init__(self, out: Path, format: str) -> None:
        self.out = out
        self.format = format
        self.suffix = '.csv' if format == 'csv' else '.npy'
        # a half-written HDF5 file cannot be gone on with, a folder of whole videos can
        self.folder = out.with_name(f'{out.name}.videos') if format == 'hdf5' else out
        self.manifest = (
            out.with_name(f'{out.name}.{MANIFEST}') if format == 'hdf5' else out / MANIFEST
        )
        self.packed: set[str] = set()  # videos in the HDF5 file

    def begin(self, content: dict, overwrite: bool) -> None:
        """Make room, or make sure that the export found there is the same."""
        begun = read_manifest(self.manifest)
        if begun is None:
            if self.out.is_file() or (self.folder.is_dir() and any(self.folder.iterdir())):
                raise ExportError(
                    f'{self.out}: exists already and is not an export of SoLa features (no '
                    f'{self.manifest.name}); choose an empty place.'
                )
        else:
            # the manifest shows that the videos beside it are an export; a kill may have left parts
            for part in (*self.folder.rglob('.partial-*'), *self._parts_of_file()):
                part.unlink()
            differs = differences(begun, content, only_told=PATHS)
            if differs and not overwrite:
                raise ExportError(
                    f'{self.manifest}: an export was made here with other settings: '
                    f'{", ".join(differs)}. Choose another place, or --overwrite it.'
                )
            if overwrite:
                for suffix in ('.npy', '.csv'):
                    for video in self.folder.rglob(f'*{suffix}'):
                        video.unlink()
                if self.format == 'hdf5':
                    self.out.unlink(missing_ok=True)
        write_manifest(self.manifest, {**content, 'complete': False})
        if self.format == 'hdf5' and self.out.exists():
            self.packed = set(FeatureStore(self.out).names())

    def has(self, name: str) -> bool:
        """Whether a video is done."""
        return name in self.packed or self._file(name).exists()

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
        """Put an HDF5 file together from its videos."""
        if self.format != 'hdf5':
            return
        new = [name for name in names if name not in self.packed]
        if new:
            with replacing(self.out) as partial:
                if self.packed:
                    shutil.copyfile(self.out, partial)
                with h5py.File(partial, 'a') as file:
                    for name in new:
                        file[name] = np.load(self._file(name), allow_pickle=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _parts_of_file(self) -> Iterator[Path]:
        return self.out.parent.glob(f'.partial-*-{glob.escape(self.out.name)}')

    def check_name(self, name: str) -> None:
        """Refuse a name that would be written elsewhere."""
        if leads_out(name):
            raise ExportError(
                f'{name!r}: this name of a video leads out of {self.folder}; rename its entry.'
            )

    def _file(self, name: str) -> Path:
        return self.folder / f'{name}{self.suffix}'


def _datasets(config: object) -> Iterator[dict]:
    """Every SnippetFeatureDataset in a config, however wrapped."""
    if isinstance(config, dict):
        if config.get('type') == 'SnippetFeatureDataset':
            yield config
        else:
            config = list(config.values())
    if isinstance(config, (list, tuple)):
        for item in config:
            yield from _datasets(item)
