"""A checkpoint to give away: weights alone, and their hash in its name."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from mmsola.atomic import replacing
from mmsola.models.checkpoint_file import (
    CheckpointError,
    class_names_in,
    read_checkpoint,
    the_one_file,
)
from mmsola.models.necks.sola_checkpoint import read_sola_weights
from mmsola.models.necks.sola_dilations import KEY, declared_dilations

#: What ProvenanceHook wrote about the training.
_PROVENANCE = ('mmsola', 'commit', 'threads')


def publish_model(
    checkpoint: str | Path, out: str | Path, sola_only: bool = False, meta: dict | None = None
) -> Path:
    """Write the weights of a training's checkpoint as ``<out>-<hash>.pth``, in MMAction2's manner.

    Optimizer, message hub and schedule are left out. Version, commit and threads of the training
    stay in ``meta``, and so do the names of a localizer's classes and the dilations of a SoLa. The
    hash is the first eight digits of the file's SHA-256. Loads with ``load_from``, ``Pretrained``
    and ``SoLa.from_checkpoint``.

    Args:
        checkpoint: What mmsola train wrote, or a pattern that one such file matches.
        out: Path without the hash; an ending ``.pth`` is cut off.
        sola_only: Only the SoLa module, for other localizers to take as their neck.
        meta: What else to write beside the weights, for example the config's text.

    Returns:
        The file that was written.

    Raises:
        CheckpointError: The file is no checkpoint, or holds no SoLa where only that is asked for.
    """
    path = the_one_file(checkpoint)
    content = read_checkpoint(path)
    kept: dict[str, Any] = {**_provenance(content)}
    declared = declared_dilations(path, content)
    if sola_only:
        declared = dict(zip(['neck.'], declared.values()))
        weights = {f'neck.{key}': value for key, value in read_sola_weights(path).items()}
    else:
        weights = _weights(path, content)
        names = class_names_in(path, content)
        if names is not None:
            kept['dataset_meta'] = {'classes': list(names)}
    if declared:
        kept[KEY] = declared
    base = Path(out).with_suffix('') if Path(out).suffix == '.pth' else Path(out)
    base.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save({'state_dict': weights, 'meta': {**kept, **(meta or {})}}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:8]
    final = base.with_name(f'{base.name}-{digest}.pth')
    with replacing(final) as partial:
        partial.write_bytes(buffer.getvalue())
    return final


def _provenance(content: Any) -> dict[str, str | int | None]:
    """Texts and numbers alone: the file may be one of others."""
    meta = content.get('meta') if isinstance(content, dict) else None
    if not isinstance(meta, dict):
        return {}
    return {
        key: meta[key]
        for key in _PROVENANCE
        if key in meta and isinstance(meta[key], (str, int, type(None)))
    }


def _weights(path: Path, content: Any) -> dict[str, torch.Tensor]:
    if not isinstance(content, dict) or not isinstance(content.get('state_dict'), dict):
        raise CheckpointError(f'{path}: expected a checkpoint with a state_dict, found none.')
    return {key: value.cpu() for key, value in content['state_dict'].items()}
