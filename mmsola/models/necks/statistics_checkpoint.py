"""Find statistics of features inside a checkpoint, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmsola.messages.first_few import first_few
from mmsola.models.checkpoint_file import CheckpointError, read_state_dict, the_one_file
from mmsola.models.layers.channel_statistics import STATISTICS_KEYS


def read_statistics(checkpoint: str | Path, prefix: str | None = None) -> dict[str, Tensor]:
    """``mean``, ``std`` and ``count`` of the features that a checkpoint's module was trained on.

    Args:
        checkpoint: Of a pretraining with ``standardize``, or of a localizer with a ``Standardize``
            neck; read with ``weights_only=True``. A pattern must match one file.
        prefix: Where their keys begin, or those of the SoLa that has them: ``'neck.'``. None looks
            for them; there must be one set.

    Raises:
        CheckpointError: The file is missing or unreadable, or does not hold one such set.
    """
    path = the_one_file(checkpoint)
    state_dict = read_state_dict(path)
    found = statistics_prefixes(state_dict)
    if prefix is not None:
        begin = prefix if not prefix or prefix.endswith('.') else f'{prefix}.'
        chosen = [each for each in (begin, f'{begin}standardize.') if each in found]
    else:
        chosen = found
    if len(chosen) != 1:
        raise CheckpointError(
            f'{path}: expected one set of statistics of features, found {len(chosen)}'
            f'{"" if prefix is None else f" under prefix {prefix!r}"}\n'
            f'  expected: the keys {list(STATISTICS_KEYS)} under one prefix\n'
            f'  found:    [{first_few(map(repr, state_dict), 12)}]\n  fix: '
            + (
                f'set `prefix` to one of {found}'
                if found
                else 'name a checkpoint of a pretraining with standardize=dict(...), or of a '
                'localizer with a Standardize neck'
            )
        )
    statistics = {key: state_dict[chosen[0] + key] for key in STATISTICS_KEYS}
    check_statistics(path, chosen[0], statistics)
    return statistics


def statistics_prefixes(state_dict: Mapping[str, Any]) -> list[str]:
    """Where whole sets of statistics begin in a state dict, such as ``'neck.standardize.'``."""
    begins = (k[: -len('count')] for k in state_dict if k == 'count' or k.endswith('.count'))
    return sorted(b for b in begins if all(b + key in state_dict for key in STATISTICS_KEYS))


def check_statistics(path: Path, prefix: str, statistics: Mapping[str, Tensor]) -> None:
    """Refuse what are no means and standard deviations.

    Raises:
        CheckpointError: They are of another shape, not finite or negative, or of no snippet.
    """
    mean, std, count = (statistics[key] for key in STATISTICS_KEYS)
    is_usable = (
        mean.ndim == 1
        and mean.shape == std.shape
        and mean.is_floating_point()
        and std.is_floating_point()
        and bool(mean.isfinite().all() and std.isfinite().all() and (std >= 0).all())
        and count.dtype == torch.long
        and count.ndim == 0
        and int(count) > 0
    )
    if not is_usable:
        raise CheckpointError(
            f'{path}: {prefix}mean, std and count cannot be used\n'
            '  expected: finite numbers (C,), standard deviations of 0 or more, and 1 snippet or '
            'more\n  fix: name a checkpoint of after the first step'
        )
