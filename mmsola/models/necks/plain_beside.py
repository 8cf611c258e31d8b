"""What a neck puts out beside what it was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from mmsola.models.necks.nested_necks import (
    apply_neck,
    build_neck,
    channels_in,
    channels_out,
    output_ratio,
)


@MODELS.register_module()
class PlainBeside(BaseModule):
    """The plain features and those of a neck, joined along the channels.

    A localizer under it sees 2C channels: set its ``feat_dim`` to twice those of the features. The
    data set's ``num_channels`` stays C.

    Args:
        neck: Config of a neck, usually ``type='SoLa'``, which is frozen unless it has
            ``frozen=False``.
        plain: Config of what the plain features pass, such as ``type='Standardize'``; None leaves
            them as they came.
        in_channels: C where ``neck`` and ``plain`` do not have it. A localizer fills it in.

    Shapes:
        Input ``(B, C, T)``, output ``(B, 2C, T)``: plain first.

    Raises:
        ValueError: ``neck`` and ``plain`` take features of different channels.

    Examples:
        >>> beside = PlainBeside(neck=dict(type='TemporalSmoothing', kernel_size=3))
        >>> beside(torch.tensor([[[0.0, 3.0, 6.0]]]))
        tensor([[[0.0000, 3.0000, 6.0000],
                 [1.5000, 3.0000, 4.5000]]])
    """

    def __init__(
        self,
        neck: dict,
        plain: dict | None = None,
        in_channels: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.neck = build_neck(neck, in_channels)
        self.plain = None if plain is None else build_neck(plain, in_channels)
        parts = [self.neck] if self.plain is None else [self.neck, self.plain]
        known = {channels_in(part) for part in parts} - {None}
        if len(known) > 1:
            raise ValueError(
                f'PlainBeside: neck takes {channels_in(self.neck)} channels and plain '
                f'{channels_in(parts[-1])}; set both to those of the features.'
            )
        self.in_channels = known.pop() if known else in_channels
        self.out_channels = None
        if self.in_channels is not None:
            of_parts = [channels_out(part) or self.in_channels for part in parts]
            self.out_channels = sum(of_parts) + self.in_channels * (2 - len(parts))

    @classmethod
    def output_ratio(cls, cfg: Mapping[str, Any]) -> int:
        """How many times C the neck of a config puts out."""
        plain = cfg.get('plain')
        return output_ratio(cfg['neck']) + (1 if plain is None else output_ratio(plain))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features ``(B, 2C, T)`` of ``x`` ``(B, C, T)``.

        ``mask`` ``(B, T)`` is True where a snippet is real; others become zeros and reach none.
        """
        if self.plain is not None:
            plain = apply_neck(self.plain, x, mask)
        else:
            plain = x if mask is None else x.masked_fill(~mask.unsqueeze(1), 0)
        return torch.cat([plain, apply_neck(self.neck, x, mask)], dim=1)
