"""Necks one after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmaction.registry import MODELS
from mmengine.model import BaseModule, ModuleList
from torch import Tensor

from mmsola.models.necks.nested_necks import (
    apply_neck,
    build_neck,
    channels_in,
    channels_out,
    output_ratio,
)


@MODELS.register_module()
class NeckSequence(BaseModule):
    """Each neck is given what the one before it puts out.

    Args:
        necks: Their configs, in order. A SoLa is frozen unless it has ``frozen=False``.
        in_channels: C where ``necks`` do not have it. A localizer fills it in.

    Shapes:
        Input ``(B, C, T)``; output as of the last neck.

    Raises:
        ValueError: There is none, or one takes other channels than the one before it puts out.

    Examples:
        >>> import torch
        >>> smooth = dict(type='TemporalSmoothing', kernel_size=3)
        >>> NeckSequence(necks=[smooth, smooth])(torch.tensor([[[0.0, 0.0, 9.0, 0.0, 0.0]]]))
        tensor([[[1.5000, 2.0000, 3.0000, 2.0000, 1.5000]]])
    """

    def __init__(
        self,
        necks: Sequence[dict],
        in_channels: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not necks:
            raise ValueError('NeckSequence: necks is empty; give one config or more.')
        self.necks = ModuleList()
        channels = in_channels
        for i, cfg in enumerate(necks):
            neck = build_neck(cfg, channels)
            wanted = channels_in(neck)
            if i and None not in (wanted, channels) and wanted != channels:
                raise ValueError(
                    f'NeckSequence: necks[{i}] takes {wanted} channels, but {channels} come out '
                    f'before it; set its in_channels={channels}.'
                )
            if i == 0:
                self.in_channels = wanted or in_channels
            self.necks.append(neck)
            channels = channels_out(neck) or channels
        self.out_channels = channels

    @classmethod
    def output_ratio(cls, cfg: Mapping[str, Any]) -> int:
        """How many times C the necks of a config put out."""
        return math.prod(map(output_ratio, cfg['necks']))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """What the last neck puts out of ``x`` ``(B, C, T)``.

        ``mask`` ``(B, T)`` is True where a snippet is real; others become zeros and reach none.
        """
        for neck in self.necks:
            x = apply_neck(neck, x, mask)
        return x
