"""Find a SoLa module inside a checkpoint, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mmsola.messages.first_few import first_few
from mmsola.models.checkpoint_file import CheckpointError, read_state_dict, the_one_file
from mmsola.models.layers.channel_statistics import STATISTICS_KEYS
from mmsola.models.necks.statistics_checkpoint import check_statistics

SOLA_KEYS = ('alpha',) + tuple(
    f'conv_network.{i}.{kind}' for i in (0, 2, 4) for kind in ('weight', 'bias')
)
#: What a module that standardises its input holds besides.
_STANDARDIZE = 'standardize.'


def read_sola_weights(checkpoint: str | Path, prefix: str | None = None) -> dict[str, Tensor]:
    """The weights of the SoLa module in a checkpoint, under the module's own names.

    With them come the statistics that it standardises its input by, if it does.

    Args:
        checkpoint: A file of MMEngine's or a bare state dict; read with ``weights_only=True``. A
            pattern such as ``work_dirs/sola/best_*.pth`` must match one file.
        prefix: Where the module's keys begin, for example ``'neck.'``. None looks for them;
            there must be one such module.

    Raises:
        CheckpointError: The file is missing or unreadable, or the module's keys are not all there;
            the message has the keys expected and found.
    """
    checkpoint = the_one_file(checkpoint)
    state_dict = read_state_dict(checkpoint)
    # an incomplete one still shows what is missing
    found = sola_prefixes(state_dict) or _beginnings(state_dict)
    if prefix is None:
        if len(found) != 1:
            raise CheckpointError(
                f'{checkpoint}: expected one SoLa module, found {len(found)}.\n'
                f'{_listing(state_dict)}\n{_fix(found)}'
            )
        prefix = found[0]
    elif prefix and not prefix.endswith('.'):
        prefix += '.'
    missing = [prefix + key for key in SOLA_KEYS if prefix + key not in state_dict]
    if missing:
        raise CheckpointError(
            f'{checkpoint}: no complete SoLa module under prefix {prefix!r}.\n'
            f'  missing: {missing}\n{_listing(state_dict)}\n{_fix(found)}'
        )
    weights = {key: state_dict[prefix + key] for key in SOLA_KEYS}
    _check_module(checkpoint, prefix, weights)
    return {**weights, **_statistics(checkpoint, prefix + _STANDARDIZE, state_dict)}


def sola_prefixes(state_dict: Mapping[str, Any]) -> list[str]:
    """Where complete SoLa modules begin in a state dict, such as ``'neck.'``."""
    return [
        prefix
        for prefix in _beginnings(state_dict)
        if all(prefix + key in state_dict for key in SOLA_KEYS)
    ]


def _beginnings(state_dict: Mapping[str, Any]) -> list[str]:
    return sorted(k[: -len('alpha')] for k in state_dict if k == 'alpha' or k.endswith('.alpha'))


def holds_statistics(weights: Mapping[str, Any]) -> bool:
    """Whether the module of these weights standardises its input."""
    return any(key.startswith(_STANDARDIZE) for key in weights)


def _statistics(checkpoint: Path, prefix: str, state_dict: Mapping[str, Tensor]) -> dict:
    """All of them, or none."""
    found = {key: state_dict[prefix + key] for key in STATISTICS_KEYS if prefix + key in state_dict}
    if not found:
        return {}
    missing = [prefix + key for key in STATISTICS_KEYS if key not in found]
    if missing:
        raise CheckpointError(
            f'{checkpoint}: no complete statistics under prefix {prefix!r}.\n'
            f'  missing: {missing}\n{_fix([])}'
        )
    check_statistics(checkpoint, prefix, found)
    return {_STANDARDIZE + key: value for key, value in found.items()}


def _check_module(checkpoint: Path, prefix: str, weights: dict[str, Tensor]) -> None:
    """Refuse weights of other axes or types, which no SoLa has."""
    for key, value in weights.items():
        num_axes = 3 if key.endswith('weight') else 1
        if value.ndim != num_axes or not value.numel() or not value.is_floating_point():
            raise CheckpointError(
                f'{checkpoint}: {prefix}{key} is {value.dtype} of shape {tuple(value.shape)}\n'
                f'  expected: floating-point numbers of {num_axes} axes\n'
                '  fix: name a checkpoint of SoLa pretraining'
            )
        if not bool(value.isfinite().all()):
            raise CheckpointError(
                f'{checkpoint}: {prefix}{key} holds infinite values\n  expected: numbers\n'
                '  fix: name a checkpoint of before the training went wrong'
            )


def architecture_of(weights: dict[str, Tensor]) -> dict:
    """The arguments of :class:`SoLa` that weights show: widths and kernel sizes."""
    conv1, conv2 = weights['conv_network.0.weight'], weights['conv_network.2.weight']
    return {
        'in_channels': conv1.shape[1],
        'hidden_channels': conv1.shape[0],
        'kernel_sizes': (conv1.shape[2], conv2.shape[2]),
    }


def _listing(state_dict: dict[str, Tensor]) -> str:
    return f'  expected: {list(SOLA_KEYS)}\n  found:    [{first_few(map(repr, state_dict), 12)}]'


def _fix(found: list[str]) -> str:
    if found:
        return f'Set `prefix` to one of {found}.'
    return 'Name a checkpoint of SoLa pretraining.'
