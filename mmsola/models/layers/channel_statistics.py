"""Mean and standard deviation of each channel, and features of zero mean and unit variance."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

#: Scales that features may leave on.
SCALES = ('input', 'unit_variance', 'unit_length')
#: Buffers of the module.
STATISTICS_KEYS = ('mean', 'std', 'count')


class ChannelStatistics(BaseModule):
    """Standardise features channel by channel, by statistics of the training features.

    They are buffers: filled once, by ``fill`` or a checkpoint, and never trained. A channel of
    standard deviation 0 is shifted only. Loading is strict: what does not fit raises.

    Args:
        in_channels: Channels C of the snippet features.

    Examples:
        >>> statistics = ChannelStatistics(2)
        >>> statistics.fill(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 0.0]), count=10)
        >>> statistics.standardized(torch.tensor([[[3.0], [5.0]]])).flatten().tolist()
        [1.0, 0.0]
    """

    mean: Tensor
    std: Tensor
    count: Tensor

    def __init__(self, in_channels: int, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.register_buffer('mean', torch.zeros(in_channels))
        self.register_buffer('std', torch.ones(in_channels))
        self.register_buffer('count', torch.zeros((), dtype=torch.long))  # snippets
        # of the buffer, since reading it would wait for a GPU in every step
        self._is_filled = False

    @property
    def is_filled(self) -> bool:
        """Whether there are statistics."""
        if not self._is_filled:
            self._is_filled = bool(self.count > 0)
        return self._is_filled

    @torch.no_grad()
    def fill(self, mean: Tensor, std: Tensor, count: int) -> None:
        """Take statistics ``(C,)`` of ``count`` snippets."""
        self.mean.copy_(mean)
        self.std.copy_(std)
        self.count.fill_(count)

    @property
    def divisor(self) -> Tensor:
        """The standard deviation ``(C, 1)``, 1 where it is 0."""
        return torch.where(self.std > 0, self.std, torch.ones_like(self.std))[:, None]

    def standardized(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """``(x - mean) / std`` of ``(B, C, T)``; 0 where ``padding`` ``(B, 1, T)`` is True.

        Raises:
            ValueError: Nothing was ever filled in.
        """
        if not self.is_filled:
            raise ValueError(
                'Standardize: it has no statistics of features, and raw ones would pass. Train '
                'with mmsola train (or build_runner), which takes them from the training data '
                "before the first step, or set init_cfg=dict(type='Pretrained', checkpoint=...) "
                'to a checkpoint that holds them.'
            )
        x = (x - self.mean[:, None]) / self.divisor
        return x if padding is None else x.masked_fill(padding, 0)

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs) -> None:
        # MMEngine loads with strict=False, where a misfit would leave raw features
        own = {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}
        if own:  # none at all: a checkpoint of the rest of the model
            expected = {key: tuple(value.shape) for key, value in self.state_dict().items()}
            found = {key: tuple(value.shape) for key, value in own.items()}
            if expected != found:
                raise ValueError(
                    f'Standardize: the statistics under prefix {prefix!r} do not fit.\n'
                    f'  expected: {expected}\n  found:    {found}\n'
                    '  fix: set in_channels to the channels of the checkpoint; to take statistics '
                    "out of a checkpoint of SoLa set init_cfg=dict(type='Pretrained', "
                    'checkpoint=...)'
                )
        self._is_filled = False
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def on_unit_length(x: Tensor) -> Tensor:
    """Each snippet of ``(B, C, T)`` divided by its length; zeros stay zeros."""
    return F.normalize(x, dim=1, eps=1e-12)
