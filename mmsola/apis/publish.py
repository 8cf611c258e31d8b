"""A checkpoint to give away: weights alone, and their hash in its name."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import torch

from mmsola.atomic import replacing
from mmsola.models.checkpoint_file import CheckpointError, read_checkpoint, the_one_file
from mmsola.models.necks.sola_checkpoint import read_sola_weights


def publish_model(
    checkpoint: str | Path, out: str | Path, sola_only: bool = False, meta: dict | None = None
) -> Path:
    """Write the weights of a training's checkpoint as ``<out>-<hash>.pth``, in MMAction2's manner.

    Optimizer, message hub and schedule are left out; the hash is the first eight digits of the
    file's SHA-256. Loads with ``load_from``, ``Pretrained`` and ``SoLa.from_checkpoint``.

    Args:
        checkpoint: What mmsola train wrote, or a pattern that one such file matches.
        out: Path without the hash; an ending ``.pth`` is cut off.
        sola_only: Only the SoLa module, for other localizers to take as their neck.
        meta: What to write beside the weights, for example the config's text.

    Returns:
        The file that was written.

    Raises:
        CheckpointError: The file is no checkpoint, or holds no SoLa where only that is asked for.
    """
    path = the_one_file(checkpoint)
    if sola_only:
        weights = {f'neck.{key}': value for key, value in read_sola_weights(path).items()}
    else:
        weights = _weights(path)
    base = Path(out).with_suffix('') if Path(out).suffix == '.pth' else Path(out)
    base.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save({'state_dict': weights, 'meta': meta or {}}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:8]
    final = base.with_name(f'{base.name}-{digest}.pth')
    with replacing(final) as partial:
        partial.write_bytes(buffer.getvalue())
    return final


def _weights(path: Path) -> dict[str, torch.Tensor]:
    content = read_checkpoint(path)
    if not isinstance(content, dict) or not isinstance(content.get('state_dict'), dict):
        raise CheckpointError(f'{path}: expected a checkpoint with a state_dict, found none.')
    return {key: value.cpu() for key, value in content['state_dict'].items()}
