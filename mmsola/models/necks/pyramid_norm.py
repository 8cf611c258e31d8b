"""A norm for each level of a pyramid, and nothing else."""

from __future__ import annotations

from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmsola.messages.argument_checks import check_choice
from mmsola.models.layers.masked_conv import ChannelNorm


@MODELS.register_module()
class PyramidNorm(BaseModule):
    """Normalise each level (ActionFormer's ``identity`` neck, TemporalMaxer's, TriDet's).

    Args:
        channels: C.
        num_levels: Levels of the pyramid.
        norm: ``'layer'``, over the channels of each step; ``'group'``, four groups without learned
            scale over channels and time, padding included (TemporalMaxer's default, whose results
            depend on the padded length for that reason); None normalises nothing.
        shared: One norm for all levels (TemporalMaxer with ``'layer'``).
        norm_eps: Of the norm.

    Raises:
        ValueError: There is no such norm.

    Examples:
        >>> import torch
        >>> neck = PyramidNorm(channels=4, num_levels=1)
        >>> (level,) = neck([torch.rand(1, 4, 8)], [torch.ones(1, 1, 8, dtype=torch.bool)])
        >>> bool(level.mean(dim=1).abs().max() < 1e-5)
        True
    """

    def __init__(
        self,
        channels: int,
        num_levels: int,
        norm: str | None = 'layer',
        shared: bool = False,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        check_choice(self, 'norm', norm, ('layer', 'group', None))

        def make() -> nn.Module:
            if norm == 'layer':
                return ChannelNorm(channels, norm_eps)
            if norm == 'group':
                return nn.GroupNorm(4, channels, norm_eps, affine=False)
            return nn.Identity()

        self.shared = shared
        self.norms = nn.ModuleList(make() for _ in range(1 if shared else num_levels))

    def forward(self, features: list[Tensor], masks: list[Tensor]) -> list[Tensor]:
        """Features ``(B, C, T_l)`` of each level, normalised."""
        norms = list(self.norms) * len(features) if self.shared else self.norms
        return [norm(x) for norm, x in zip(norms, features)]
