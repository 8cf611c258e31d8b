"""BMN's sampling layer and the 3-D convolution behind it, at a fraction of their cost."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

_BLOCK_CHANNELS = 256  # 3,200 rows of it are 3 MB


class BoundaryMatching:
    """What ``relu(conv3d(x @ sample_mask))`` of MMAction2's BMN computes, without the huge middle.

    The stock layer samples every one of T x T proposals at N points and convolves the N points to
    one: (C, N, T, T) numbers a video. Both steps are linear, so the convolution's weights can go
    first, on T positions, and the sampling after; sampling is sparse, and half of the proposals
    (those that end after the video) sample nothing at all, so they share one column, the bias.

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
        time, point, proposal = shares.nonzero(as_tuple=True)
        used, column = torch.unique(proposal, return_inverse=True)
        self.num_columns = len(used) + 1
        #: Column of each proposal of the T x T map; the last one is that of proposals without any.
        self.column_of = torch.full((temporal_dim**2,), len(used), device=proposal.device)
        self.column_of[used] = torch.arange(len(used), device=proposal.device)
        share = shares[time, point, proposal]
        row, size = point * temporal_dim + time, num_samples * temporal_dim
        self.sampling = _csr(column, row, share, (self.num_columns, size))
        self.sampling_transposed = _csr(row, column, share, (size, self.num_columns))

    def __call__(self, x: Tensor, conv: nn.Conv3d) -> Tensor:
        """Apply to ``x`` ``(B, C, T)`` before any activation.

        Returns:
            ``(blocks, B, columns, O / blocks)``, the output channels in blocks.
        """
        batch_size, channels, num_positions = x.shape
        out_channels, num_samples = conv.weight.shape[0], conv.weight.shape[2]
        width = next(w for w in (_BLOCK_CHANNELS, out_channels) if out_channels % w == 0)
        with torch.autocast(x.device.type, enabled=False):
            # w = width, K = O / w blocks, P = columns
            weight = conv.weight.to(self.dtype).reshape(out_channels, channels, num_samples)
            weight = weight.permute(1, 2, 0)  # (O, C, N) -> (C, N, O)
            weight = weight.reshape(channels, num_samples * out_channels)  # (C, N * O)
            rows = x.to(self.dtype).transpose(1, 2).reshape(-1, channels)  # (B * T, C)
            mixed = rows @ weight  # (B * T, N * O)
            mixed = mixed.reshape(batch_size, num_positions, num_samples, -1, width)
            mixed = mixed.permute(3, 0, 2, 1, 4)  # (B, T, N, K, w) -> (K, B, N, T, w)
            mixed = mixed.reshape(-1, num_samples * num_positions, width)  # (K * B, N * T, w)
            sampled = _SparseProduct.apply(mixed, self.sampling, self.sampling_transposed)
            sampled = sampled.unflatten(0, (-1, batch_size))  # (K * B, P, w) -> (K, B, P, w)
            if conv.bias is not None:
                bias = conv.bias.to(self.dtype).reshape(-1, 1, 1, width)  # (K, 1, 1, w)
                sampled = sampled + bias
            is_half = conv.weight.dtype.itemsize < 4  # of the model itself, not of autocast
            return sampled.to(conv.weight.dtype) if is_half else sampled

    def to_map(self, columns: Tensor) -> Tensor:
        """Lay columns ``(B, columns, O)`` out as the map ``(B, O, T, T)`` over length and start."""
        spread = columns.index_select(1, self.column_of).transpose(1, 2)  # (B, O, T * T)
        return spread.unflatten(-1, (self.temporal_dim, self.temporal_dim))  # (B, O, T, T)


def computed_in(dtype: torch.dtype) -> torch.dtype:
    """The precision of the products for weights of ``dtype``."""
    return torch.promote_types(dtype, torch.float32)


def _csr(row: Tensor, column: Tensor, value: Tensor, size: tuple[int, int]) -> Tensor:
    coo = torch.sparse_coo_tensor(
        torch.stack([row, column]), value, size, check_invariants=True
    ).coalesce()
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Sparse CSR tensor support is in beta')
        return coo.to_sparse_csr()


class _SparseProduct(torch.autograd.Function):
    """``sampling @ block`` of each block, for a fixed sampling whose transpose is at hand.

    Blocks ``(N, rows, channels)`` that fit into a processor's cache take a third of the time of one
    wide product, whose rows are fetched from memory again for every proposal that they are part of.
    """

    @staticmethod
    def forward(ctx, blocks: Tensor, sampling: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return _products(sampling, blocks)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        return _products(ctx.transposed, grad.contiguous()), None, None


def _products(matrix: Tensor, blocks: Tensor) -> Tensor:
    product = blocks.new_empty(len(blocks), len(matrix), blocks.shape[-1])
    for out, block in zip(product, blocks):
        torch.mm(matrix, block, out=out)
    return product
