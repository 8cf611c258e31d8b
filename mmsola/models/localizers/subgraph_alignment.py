"""G-TAD's alignment: each proposal's stretch of snippets, wider than itself, as equal bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mmsola.models.localizers.sparse_sampling import (
    SparseSampling,
    computed_in,
    csr_matrix,
    sparse_product,
)

#: Widths of the stretch of a proposal of L snippets.
ROI_WIDTHS = ('2L-1', '2L')


class SubgraphAlignment:
    """Samples the sub-graph of every proposal, for the map over duration D and start T.

    The published layers pool each of D x T stretches to N bins of C channels and mix the C * N
    numbers by a convolution of width 1: (C * N, D, T) numbers a video. Here the convolution's
    weights go first, see :class:`SparseSampling`. All proposals that end after the sequence look at
    the same stretch, so they share one column.

    Args:
        temporal_dim: T.
        max_duration: D.
        bins: Number of bins of each feature map that is pooled.
        samples_per_bin: 0 takes as many as a bin is wide, rounded up.
        roi_width: See :func:`stretches`.
        like: Its device and precision are used; half precision is computed in single one.
    """

    def __init__(
        self,
        temporal_dim: int,
        max_duration: int,
        bins: Sequence[int],
        samples_per_bin: int,
        roi_width: str,
        like: Tensor,
    ) -> None:
        self.temporal_dim, self.max_duration, self.bins = temporal_dim, max_duration, tuple(bins)
        self.dtype, self.device = computed_in(like.dtype), like.device
        self._rois, column_of = stretches(temporal_dim, max_duration, roi_width)
        self._samples_per_bin = samples_per_bin
        #: Column of each proposal of the D x T map.
        self.column_of = torch.from_numpy(column_of).to(like.device)
        self.num_columns = len(self._rois)
        self._pooling: list[tuple[Tensor, Tensor]] | None = None  # for pool() alone
        parts = [self._shares(num_bins) for num_bins in self.bins]
        first = np.cumsum([0, *self.bins])  # the first point of each feature map
        column, position, share = (torch.cat([part[i] for part in parts]) for i in (0, 2, 3))
        point = torch.cat([part[1] + int(offset) for part, offset in zip(parts, first)])
        size = (self.num_columns, int(first[-1]), temporal_dim)
        self.sampling = SparseSampling(column, point, position, share, size, self.dtype)

    def __call__(self, features: Sequence[Tensor], conv: nn.Conv2d) -> Tensor:
        """What ``conv`` of width 1 makes of the pooled features, before any activation.

        Args:
            features: ``(B, C, T)`` for each of ``bins``.
            conv: Its input channels are ``(C, N)``, the bins of the feature maps side by side.

        Returns:
            ``(blocks, B, columns, O / blocks)``, the output channels in blocks.
        """
        weight = conv.weight.flatten(1).unflatten(1, (-1, sum(self.bins)))  # (O, C, N)
        return self.sampling(features, weight.split(self.bins, dim=2), conv.bias)

    def pool(self, features: Sequence[Tensor]) -> Tensor:
        """The published layer: the map ``(B, C * N, D, T)`` of pooled features."""
        if self._pooling is None:
            with torch.inference_mode(False):
                self._pooling = [self._pooling_of(num_bins) for num_bins in self.bins]
        pooled = []
        for x, num_bins, matrices in zip(features, self.bins, self._pooling):
            with torch.autocast(x.device.type, enabled=False):
                rows = x.to(self.dtype).transpose(1, 2).contiguous()  # (B, T, C)
                bins = sparse_product(rows, *matrices)  # (B, P * N, C)
            pooled.append(bins.unflatten(1, (-1, num_bins)).to(x.dtype))  # (B, P, N, C)
        columns = torch.cat(pooled, dim=2)
        return self.to_map(columns.transpose(2, 3).flatten(2))  # (B, P, C * N)

    def to_map(self, columns: Tensor) -> Tensor:
        """Lay columns ``(B, columns, O)`` out as the map ``(B, O, D, T)``."""
        spread = columns.index_select(1, self.column_of).transpose(1, 2)  # (B, O, D * T)
        return spread.unflatten(-1, (self.max_duration, self.temporal_dim))

    def _shares(self, num_bins: int) -> list[Tensor]:
        """Column, bin, position and share of all that is sampled."""
        shares = pooling_shares(self._rois, num_bins, self.temporal_dim, self._samples_per_bin)
        return [torch.from_numpy(x).to(self.device) for x in shares]

    def _pooling_of(self, num_bins: int) -> tuple[Tensor, Tensor]:
        """The matrix that pools to so many bins, ``(P * N, T)``, and its transpose."""
        column, point, position, share = self._shares(num_bins)
        row, shape = column * num_bins + point, (self.num_columns * num_bins, self.temporal_dim)
        return (
            csr_matrix(row, position, share, shape, self.dtype),
            csr_matrix(position, row, share, shape[::-1], self.dtype),
        )


def stretches(
    temporal_dim: int, max_duration: int, roi_width: str
) -> tuple[np.ndarray, np.ndarray]:
    """The stretch that is pooled for each proposal: itself and half of its length on either side.

    Args:
        temporal_dim: T.
        max_duration: D.
        roi_width: For a proposal of L snippets from s: ``'2L-1'`` ends at its last snippet plus
            L / 2, as in the authors' code; ``'2L'`` at the snippet after it plus L / 2, as in
            OpenTAD. Both begin at s - L / 2.

    Returns:
        ``(P, 2)`` of start and end in snippets, the last one of proposals that end after the
        sequence; and ``(D * T,)``, which of them each proposal looks at.
    """
    length, start = np.indices((max_duration, temporal_dim)).reshape(2, -1)
    length = length + 1
    inside = start + length <= temporal_dim
    end = start + length - (1 if roi_width == '2L-1' else 0)
    rois = np.stack([start - length / 2, end + length / 2], axis=1)[inside]
    column_of = np.full(len(start), len(rois))
    column_of[inside] = np.arange(len(rois))
    return np.concatenate([rois, np.zeros((1, 2))]), column_of


def pooling_shares(
    rois: np.ndarray, num_bins: int, num_positions: int, samples_per_bin: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How much each position counts in each bin of stretches ``(P, 2)``, a sparse matrix.

    A stretch is at least one snippet wide. A bin is the mean of evenly spaced samples, each between
    two neighbouring positions. The first and the last position continue for one snippet to the
    outside; further outside a sample is 0.

    Returns:
        Stretch, bin, position and share of each sample's two positions, ``(Z,)`` each. One position
        may be there several times.
    """
    start, width = rois[:, 0], np.maximum(rois[:, 1] - rois[:, 0], 1.0)
    number = np.ceil(width / num_bins).astype(int)
    if samples_per_bin > 0:
        number = np.full(len(rois), samples_per_bin)
    sample = np.arange(number.max())
    bin_width = width / num_bins
    at = (
        start[:, None, None]
        + np.arange(num_bins)[:, None] * bin_width[:, None, None]
        + (sample + 0.5) * (bin_width / number)[:, None, None]
    )  # (P, N, samples)
    counts = (sample < number[:, None, None]) & (at >= -1) & (at <= num_positions)
    roi, point, _ = counts.nonzero()
    at = np.clip(at[counts], 0, num_positions - 1)
    before = at.astype(int)
    after = np.minimum(before + 1, num_positions - 1)
    nearness = at - before  # to the position after it
    each = 1 / number[roi]
    return (
        np.concatenate([roi, roi]),
        np.concatenate([point, point]),
        np.concatenate([before, after]),
        np.concatenate([(1 - nearness) * each, nearness * each]),
    )
