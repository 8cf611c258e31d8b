"""Weights in a checkpoint file, read safely."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmsola.files.torch_archive import packed_entries
from mmsola.messages.first_few import first_few

_ADDRESS = re.compile(r'([A-Za-z][A-Za-z0-9+.-]+):/')  # two letters or more: C:/ is a drive


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or does not hold what is looked for."""


class MissingCheckpoint(CheckpointError):
    """There is no such file."""


def the_one_file(checkpoint: str | Path) -> Path:
    """The file that a path or pattern such as ``work_dirs/sola/best_*.pth`` names.

    Raises:
        MissingCheckpoint: The pattern matches none.
        CheckpointError: It matches several, or it is an address.
    """
    refuse_address(checkpoint)
    path = Path(checkpoint)
    if path.exists() or not glob.has_magic(str(checkpoint)):
        return path
    matching = sorted(glob.glob(str(checkpoint)))
    if len(matching) != 1:
        kind = CheckpointError if matching else MissingCheckpoint
        raise kind(
            f'{checkpoint}: expected one matching checkpoint, found {matching or "none"}. '
            'Train it first, or name the checkpoint itself.'
        )
    return Path(matching[0])


def check_is_there(checkpoint: str | Path) -> Path:
    """The file that a path or pattern names, which must be there.

    Raises:
        MissingCheckpoint: It is not.
        CheckpointError: As :func:`the_one_file`.
    """
    path = the_one_file(checkpoint)
    if not path.is_file():
        raise MissingCheckpoint(f'{path}: no such checkpoint file.')
    return path


def named_checkpoint(checkpoint: str) -> str:
    """What MMEngine shall load: an address as it is, else the one file that is named.

    Raises:
        CheckpointError: As :func:`check_is_there`.
    """
    return checkpoint if _ADDRESS.match(checkpoint) else str(check_is_there(checkpoint))


def refuse_address(checkpoint: str | Path) -> None:
    """Say "download it first" where a file is needed.

    Raises:
        CheckpointError: It is an address such as ``https://host/a.pth``.
    """
    address = _ADDRESS.match(str(checkpoint))  # of which a Path has lost a slash
    if address:
        rest = str(checkpoint)[address.end() :].lstrip('/')
        raise CheckpointError(
            f'{address[1]}://{rest}: is not a file but an address\n  expected: a checkpoint file\n'
            '  fix: download it first, and name the file'
        )


def read_checkpoint(path: Path) -> Any:
    """What a file of ``torch.save`` holds; no pickled code is run.

    Raises:
        MissingCheckpoint: There is no such file.
        CheckpointError: It is damaged, or holds other objects than weights.
    """
    path = check_is_there(path)
    packed = packed_entries(path)
    if packed:
        raise CheckpointError(
            f'{path}: {packed[0]!r} in it is compressed\n  expected: a file as torch.save '
            'writes it\n  fix: do not trust it, or load and save it again with PyTorch'
        )
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # PyTorch meets damaged bytes with whatever Python raises
        raise CheckpointError(
            f'{path}: not a checkpoint that can be read safely '
            f'({str(error).splitlines()[0] if str(error) else type(error).__name__}). '
            'It is truncated, not made by torch.save, or holds other objects than weights; '
            'save it again as {"state_dict": model.state_dict()}.'
        ) from error


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Weights by name, of a file of MMEngine's or a bare state dict.

    Raises:
        CheckpointError: The file cannot be read, or holds no state dict.
    """
    return state_dict_in(path, read_checkpoint(path))


def state_dict_in(path: Path, content: Any) -> dict[str, Tensor]:
    """As :func:`read_state_dict`, of what :func:`read_checkpoint` read."""
    return usable_weights(
        path, content.get('state_dict', content) if isinstance(content, dict) else content
    )


def usable_weights(path: Path, content: Any) -> dict[str, Tensor]:
    """The tensors of a state dict, which must be plain arrays of numbers.

    Raises:
        CheckpointError: It is no state dict, or one of them is sparse, quantized or holds NaN.
    """
    if not isinstance(content, dict):
        raise CheckpointError(f'{path}: expected a state dict, found {type(content).__name__}.')
    weights = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}
    _check_weights(path, weights)
    return weights


def class_names_in(path: Path, content: Any) -> tuple[str, ...] | None:
    """Names of the classes of the training data, where a training of MMEngine wrote them.

    Raises:
        CheckpointError: What stands there are no names.
    """
    for key in ('meta', 'dataset_meta', 'classes'):
        content = content.get(key) if isinstance(content, dict) else None
    if content is None:
        return None
    if not isinstance(content, (list, tuple)) or not all(isinstance(n, str) for n in content):
        raise CheckpointError(
            f'{path}: the classes of its training data are a {type(content).__name__}\n'
            '  expected: a list of names\n  fix: train again, or remove meta from it'
        )
    return tuple(content)


def _check_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that are no plain arrays of numbers.

    Infinite ones are not refused here: masks of attention hold them.
    """
    faults = [f'{name} {fault}' for name, value in weights.items() if (fault := _fault(value))]
    if faults:
        raise CheckpointError(
            f'{path}: holds weights that cannot be used\n{_listing("found", faults)}  '
            'expected: dense weights without NaN\n  fix: name a checkpoint of before the training '
            'went wrong, or save it again as plain weights'
        )


def _fault(value: Tensor) -> str:
    if value.layout is not torch.strided:
        return f'is sparse ({value.layout})'
    if value.is_quantized or value.is_meta:
        return f'is {"quantized" if value.is_quantized else "without values"}'
    if value.numel() * value.itemsize > value.untyped_storage().nbytes():
        return f'claims {tuple(value.shape)}, and stores less'
    if (value.is_floating_point() or value.is_complex()) and bool(value.isnan().any()):
        return 'holds NaN'
    return ''


def misfits(
    wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], left_over: tuple[str, ...]
) -> str:
    """Readable lines of weights that are missing, of another shape, or left over; '' if none.

    Args:
        wanted: Weights that must be there.
        found: Those of the checkpoint.
        left_over: What begins with one of these counts as left over.
    """
    return (
        _listing('missing', [key for key in wanted if key not in found])
        + _listing(
            'of another shape',
            [
                f'{key} {tuple(found[key].shape)} instead of {tuple(value.shape)}'
                for key, value in wanted.items()
                if key in found and found[key].shape != value.shape
            ],
        )
        + _listing(
            'left over', [key for key in found if key.startswith(left_over) and key not in wanted]
        )
    )


def _listing(what: str, items: list[str]) -> str:
    if not items:
        return ''
    return f'  {what}: {first_few(items)}\n'
