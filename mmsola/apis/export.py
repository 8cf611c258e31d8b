"""Hand SoLa features to any toolbox: a whole data set through a trained module into files."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from tqdm import tqdm

from mmsola.atomic import replacing
from mmsola.datasets.feature_store import FeatureStore
from mmsola.models.necks import SoLa
from mmsola.version import __version__

MANIFEST = 'sola_export.json'


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

    Each file appears whole or not at all; a second call goes on where a killed one stopped. An
    HDF5 file is put together from its videos at the end.

    Args:
        neck: The trained module.
        stores: Where the videos' features come from; a name in two of them is an error.
        out: A folder for ``'npy'`` (``<video>.npy``), a file for ``'hdf5'`` (one entry a video).
        format: ``'npy'`` or ``'hdf5'``, as OpenTAD, ActionFormer and G-TAD read them.
        dtype: ``'float32'`` or ``'float16'``.
        about: What goes into the manifest json, the checkpoint's hash above all. An export that was
            begun with another one is not gone on with.
        overwrite: Begin anew.

    Returns:
        ``{'written': ..., 'kept': ...}``, in videos.

    Raises:
        ExportError: ``out`` holds an export made otherwise, or files that are not an export.
    """
    if format not in ('npy', 'hdf5') or dtype not in ('float32', 'float16'):
        raise ExportError(
            f"export: format is 'npy' or 'hdf5' and dtype 'float32' or 'float16', "
            f'got {format!r} and {dtype!r}.'
        )
    out = Path(out)
    owner = {name: store for store in stores for name in store.names()}
    if len(owner) < sum(len(store) for store in stores):
        raise ExportError(
            'export: two feature stores hold a video of the same name; export them one by one '
            'with --features.'
        )
    folder = out if format == 'npy' else out.with_name(out.name + '.videos')
    manifest = out / MANIFEST if format == 'npy' else out.with_name(f'{out.name}.{MANIFEST}')
    settings = {'format': format, 'dtype': dtype, 'layout': 'TC', 'mmsola': __version__}
    content = {**(about or {}), **settings}
    _begin(out, folder, manifest, content, overwrite)

    todo = [name for name in owner if not (folder / f'{name}.npy').exists()]
    finished = format == 'hdf5' and out.exists()
    for name in tqdm([] if finished else todo, desc='SoLa features', unit='video'):
        feature = torch.from_numpy(owner[name].read(name)).to(device)
        with torch.inference_mode():
            feature = neck(feature.T[None])[0].T.cpu()
        array = feature.numpy().astype(dtype)
        if not np.isfinite(array).all():
            raise ExportError(
                f'{name}: its SoLa feature does not fit into {dtype}; export as float32.'
            )
        with replacing(folder / f'{name}.npy') as partial:
            np.save(partial, array)
    if format == 'hdf5' and not finished:
        with replacing(out) as partial, h5py.File(partial, 'w') as file:
            for name in owner:
                file[name] = np.load(folder / f'{name}.npy', allow_pickle=False)
        shutil.rmtree(folder)
    written = 0 if finished else len(todo)
    _write_json(manifest, {**content, 'complete': True, 'num_videos': len(owner)})
    return {'written': written, 'kept': len(owner) - written}


def sha256_of(path: str | Path) -> str:
    """Hash of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def _begin(out: Path, folder: Path, manifest: Path, content: dict, overwrite: bool) -> None:
    """Make room for an export, or make sure that the one found there is the same."""
    if overwrite and manifest.exists():
        # a manifest shows that the files beside it are an export, so they may go
        shutil.rmtree(folder, ignore_errors=True)
        if out != folder:
            out.unlink(missing_ok=True)
        manifest.unlink(missing_ok=True)
    if manifest.exists():
        begun = json.loads(manifest.read_text())
        differs = {k: (begun.get(k), v) for k, v in content.items() if begun.get(k) != v}
        if differs:
            raise ExportError(
                f'{manifest}: an export was made here with other settings: '
                + ', '.join(f'{k} was {old!r}, is {new!r}' for k, (old, new) in differs.items())
                + '. Choose another place, or --overwrite it.'
            )
    elif out.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ExportError(
            f'{out}: exists already and is not an export of SoLa features (no {manifest.name}); '
            'choose an empty place.'
        )
    else:
        _write_json(manifest, {**content, 'complete': False})


def _write_json(path: Path, content: dict) -> None:
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + '\n')


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
