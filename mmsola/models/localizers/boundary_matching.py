"""BMN's sampling layer and the 3-D convolution behind it, at a fraction of their cost."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmsola.models.localizers.sparse_sampling import SparseSampling, computed_in


class BoundaryMatching:
    """What ``relu(conv3d(x @ sample_mask))`` of MMAction2's BMN computes, without the huge middle.

    The stock layer samples every one of T x T proposals at N points and convolves the N points to
    one: (C, N, T, T) numbers a video. :class:`SparseSampling` applies the convolution's weights
    first. Half of the proposals (those that end after the video) sample nothing at all, so they
    share one column, the bias.

    Args:
        sample_mask: BMN's ``(T, N * T * T)``: the share of each position in each sampled point.
        num_samples: N.

    Half precision is computed in single one, since there is no sparse product in it.
    """

    def __init__(self, sample_mask: Tensor, num_samples: int) -> None:
        temporal_dim = len(sample_mask)
        self.temporal_dim = temporal_dim
        self.dtype = computed_in(sample_mask.dtype)
        shares = sample_mask.detach().to(self.dtype)
        shares = shares.reshape(temporal_dim, num_samples, -1)  # (T, N, T * T)
        position, point, proposal = shares.nonzero(as_tuple=True)
        used, column = torch.unique(proposal, return_inverse=True)
        self.num_columns = len(used) + 1
        #: Column of each proposal of the T x T map; the last one is that of proposals without any.
        self.column_of = torch.full((temporal_dim**2,), len(used), device=proposal.device)
        self.column_of[used] = torch.arange(len(used), device=proposal.device)
        share = shares[position, point, proposal]
        size = (self.num_columns, num_samples, temporal_dim)
        self.sampling = SparseSampling(column, point, position, share, size, self.dtype)

    def __call__(self, x: Tensor, conv: nn.Conv3d) -> Tensor:
        """Apply to ``x`` ``(B, C, T)`` before any activation.

        Returns:
            ``(blocks, B, columns, O / blocks)``, the output channels in blocks.
        """
        out_channels, _, num_samples = conv.weight.shape[:3]
        weight = conv.weight.reshape(out_channels, -1, num_samples)  # (O, C, N)
        return self.sampling([x], [weight], conv.bias)

    def to_map(self, columns: Tensor) -> Tensor:
        """Lay columns ``(B, columns, O)`` out as the map ``(B, O, T, T)`` over length and start."""
        spread = columns.index_select(1, self.column_of).transpose(1, 2)  # (B, O, T * T)
        return spread.unflatten(-1, (self.temporal_dim, self.temporal_dim))  # (B, O, T, T)
