"""Weights in a checkpoint file, read safely."""

from __future__ import annotations

import glob
from pathlib import Path

import torch
from torch import Tensor


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or does not hold what is looked for."""


def the_one_file(checkpoint: str | Path) -> Path:
    """The file that a path or pattern such as ``work_dirs/sola/best_*.pth`` names.

    Raises:
        CheckpointError: The pattern matches none or several.
    """
    path = Path(checkpoint)
    if path.exists() or not glob.has_magic(str(checkpoint)):
        return path
    matching = sorted(glob.glob(str(checkpoint)))
    if len(matching) != 1:
        raise CheckpointError(
            f'{checkpoint}: expected one matching checkpoint, found {matching or "none"}. '
            'Train it first, or name the checkpoint itself.'
        )
    return Path(matching[0])


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Weights by name, of a file of MMEngine's or a bare state dict; no pickled code is run.

    Raises:
        CheckpointError: The file is missing, damaged, or holds other objects than weights.
    """
    if not path.is_file():
        raise CheckpointError(f'{path}: no such checkpoint file.')
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # PyTorch meets damaged bytes with whatever Python raises
        raise CheckpointError(
            f'{path}: not a checkpoint that can be read safely '
            f'({str(error).splitlines()[0] if str(error) else type(error).__name__}). '
            'It is truncated, not made by torch.save, or holds other objects than weights; '
            'save it again as {"state_dict": model.state_dict()}.'
        ) from error
    content = content.get('state_dict', content) if isinstance(content, dict) else content
    if not isinstance(content, dict):
        raise CheckpointError(f'{path}: expected a state dict, found {type(content).__name__}.')
    return {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}
