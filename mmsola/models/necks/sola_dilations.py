"""Dilations of SoLa modules in a checkpoint: weights do not show them, so ``meta`` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from mmsola.models.checkpoint_file import CheckpointError, read_checkpoint, the_one_file

#: ``meta[KEY] = {prefix: [first, second]}``; checkpoints of before have none.
KEY = 'sola_dilations'


def dilations_of(conv_network: nn.Sequential) -> list[int]:
    """Those of the first two convolutions; 1 where a kernel of one snippet makes it meaningless."""
    convolutions = [conv for conv in conv_network if isinstance(conv, nn.Conv1d)][:2]
    return [conv.dilation[0] if conv.kernel_size[0] > 1 else 1 for conv in convolutions]


def declared_dilations(checkpoint: str | Path, content: Any) -> dict[str, list[int]]:
    """What a checkpoint says of its SoLa modules, by the prefix of their keys; mostly of one.

    Args:
        checkpoint: The file, for messages.
        content: What it holds.

    Raises:
        CheckpointError: What stands there are no dilations.
    """
    meta = content.get('meta') if isinstance(content, dict) else None
    declared = meta.get(KEY) if isinstance(meta, dict) else None
    if declared is None:
        return {}
    if not isinstance(declared, dict) or not all(
        isinstance(prefix, str) and _are_dilations(value) for prefix, value in declared.items()
    ):
        raise CheckpointError(
            f'{checkpoint}: {KEY} in its meta is {str(declared)[:120]!r}\n'
            "  expected: two whole numbers of 1 or more for each prefix, {'neck.': [1, 1]}\n"
            '  fix: train again, or remove it'
        )
    return {prefix: list(value) for prefix, value in declared.items()}


def read_dilations(checkpoint: str | Path, prefix: str | None = None) -> list[int] | None:
    """Those of one module of a file, or of the file that a pattern matches; None if not declared.

    Raises:
        CheckpointError: As :func:`declared_dilations`.
    """
    path = the_one_file(checkpoint)
    declared = declared_dilations(path, read_checkpoint(path))
    if prefix is None:
        return next(iter(declared.values())) if len(declared) == 1 else None
    return declared.get(f'{prefix.removesuffix(".")}.' if prefix else '')


def check_dilations(
    checkpoint: str | Path, declared: Sequence[int] | None, conv_network: nn.Sequential
) -> None:
    """Refuse a module of other dilations than those that its weights were trained with.

    Raises:
        CheckpointError: They differ. Where a checkpoint declares none, there is nothing to compare.
    """
    found = dilations_of(conv_network)
    if declared is not None and list(declared) != found:
        raise CheckpointError(
            f'{checkpoint}: its SoLa was trained with dilations {tuple(declared)}, and the config '
            f'has {tuple(found)}\n  expected: the same\n  fix: set dilations={tuple(declared)}, or '
            'the reach_sec of its training, where the features have as many snippets a second'
        )


def _are_dilations(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(each, int) and each >= 1 for each in value)
    )
