"""What all pyramids of snippets share: blocks at the native rate, then one block a level."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn


class PyramidBackbone(BaseModule):
    """From an embedded sequence to features at half the rate, a quarter of it, and so on.

    Derived classes define what a block is: a module ``(x, mask) -> (x, mask)`` over ``(B, C, T)``
    and ``(B, 1, T)``.

    Args:
        stem: Blocks before the first level.
        levels: Blocks that halve the rate, one for each level after the first.
        length_divisor: Sequences longer than those of the training are padded to a multiple of it,
            as published. ``2 ** len(levels)`` is enough to compute.
    """

    def __init__(self, stem: list[nn.Module], levels: list[nn.Module], length_divisor: int) -> None:
        super().__init__()
        self.stem = nn.ModuleList(stem)
        self.levels = nn.ModuleList(levels)
        self.length_divisor = length_divisor

    @classmethod
    def windows_of_levels(cls, window: int | Sequence[int], num_levels: int) -> list[int]:
        """One for each level, of those or of one for all.

        Raises:
            ValueError: There are more or fewer than levels.
        """
        windows = [window] * num_levels if isinstance(window, int) else list(window)
        if len(windows) != num_levels:
            raise ValueError(
                f'{cls.__name__}: window has {len(windows)} numbers for {num_levels} levels; give '
                'one for each level, or one for all.'
            )
        return windows

    def forward(self, x: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Features ``(B, C, T / 2**l)`` and masks ``(B, 1, T / 2**l)`` of each level l."""
        for block in self.stem:
            x, mask = block(x, mask)
        features, masks = [x], [mask]
        for block in self.levels:
            x, mask = block(x, mask)
            features.append(x)
            masks.append(mask)
        return features, masks
