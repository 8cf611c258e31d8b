"""Necks that hold other necks: how these are built, applied and found."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn

from mmsola.models.necks.sola import SoLa
from mmsola.models.necks.sola_dilations import check_dilations, declared_dilations
from mmsola.models.necks.standardize import Standardize

#: Arguments of necks that are further necks, or lists of them.
_INSIDE = ('neck', 'plain', 'necks')


def build_neck(cfg: Mapping[str, Any], in_channels: int | None) -> nn.Module:
    """A neck under a localizer, alone or inside of another neck.

    ``in_channels`` stands where its config leaves them out. A SoLa is frozen unless its config has
    ``frozen=False``, and a missing Pretrained checkpoint of it stops the first forward only.
    """
    cfg = dict(cfg)
    kind = _kind(cfg)
    if in_channels is not None and 'in_channels' in inspect.signature(kind).parameters:
        cfg.setdefault('in_channels', in_channels)
    if is_sola(cfg):
        cfg.setdefault('frozen', True)
    neck = MODELS.build(cfg)
    for part in neck.modules():
        if hasattr(part, 'may_be_loaded_later'):
            part.may_be_loaded_later = True
    return neck


def apply_neck(neck: nn.Module, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """What a neck gives for each ``(C, T_i)`` of a padded batch, as if it were alone.

    Args:
        neck: A module ``(B, C, T) -> (B, C', T)`` that may take a ``mask``.
        x: ``(B, C, T)``.
        mask: ``(B, T)``, True where a snippet is real; padding is at the end.

    Returns:
        ``(B, C', T)``, zeros in padding.
    """
    if mask is None:
        return neck(x)
    if 'mask' in inspect.signature(neck.forward).parameters:
        return neck(x, mask=mask)
    rows = [
        neck(row[None, :, :length]) for row, length in zip(x, mask.sum(dim=1).tolist())
    ]  # (1, C', T_i) each
    return torch.cat([nn.functional.pad(row, (0, x.shape[-1] - row.shape[-1])) for row in rows])


def channels_in(neck: nn.Module) -> int | None:
    """Channels that a neck takes; None where any number will do."""
    return getattr(neck, 'in_channels', None)


def channels_out(neck: nn.Module) -> int | None:
    """Channels that a neck puts out; None where they are those that it is given."""
    return getattr(neck, 'out_channels', channels_in(neck))


def output_ratio(cfg: Mapping[str, Any]) -> int:
    """How many times the channels that it is given a neck of this config puts out."""
    ratio = getattr(_kind(cfg), 'output_ratio', None)
    return 1 if ratio is None else ratio(cfg)


def solas_in(neck: nn.Module | None, name: str = 'neck') -> dict[str, SoLa]:
    """Each SoLa of a neck: itself or inside of it, by its prefix in the localizer's state dict."""
    if neck is None:
        return {}
    parts = neck.named_modules(prefix=name)
    return {f'{path}.': part for path, part in parts if isinstance(part, SoLa)}


def loadable_parts(neck: nn.Module | None, name: str = 'neck') -> dict[str, nn.Module]:
    """Each SoLa and Standardize of a neck, which a checkpoint may fill, by its prefix."""
    if neck is None:
        return {}
    parts = neck.named_modules(prefix=name)
    return {f'{path}.': part for path, part in parts if isinstance(part, (SoLa, Standardize))}


def check_dilations_in(model: nn.Module, checkpoint: str | Path, content: Any) -> None:
    """Refuse a checkpoint whose SoLa modules were trained with other dilations than the model's.

    Args:
        model: What ``content`` is loaded into.
        checkpoint: The file, for messages.
        content: What it holds.

    Raises:
        CheckpointError: They differ, or what stands there are no dilations.
    """
    declared = declared_dilations(checkpoint, content)
    for prefix, sola in solas_in(model, '').items():
        check_dilations(checkpoint, declared.get(prefix), sola.conv_network)


def neck_configs(cfg: Any) -> Iterator[dict]:
    """The config of a neck, then of those inside of it; none where there is no neck."""
    if isinstance(cfg, (list, tuple)):
        for part in cfg:
            yield from neck_configs(part)
    elif isinstance(cfg, dict):
        yield cfg
        for key in _INSIDE:
            yield from neck_configs(cfg.get(key))


def is_sola(cfg: Mapping[str, Any]) -> bool:
    """Whether a neck's config is that of a SoLa, or of a class derived from it."""
    kind = _kind(cfg)
    return inspect.isclass(kind) and issubclass(kind, SoLa)


def _kind(cfg: Mapping[str, Any]) -> Any:
    kind = cfg['type']
    found = MODELS.get(kind) if isinstance(kind, str) else kind
    if found is None:
        raise KeyError(f'neck: no module is registered as {kind!r}; correct its type.')
    return found
