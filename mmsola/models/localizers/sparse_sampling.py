"""Weighted sums of sampled features, with the weights before the sampling."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

_BLOCK_CHANNELS = 256  # 3,200 rows of it are 3 MB


class SparseSampling:
    """A matrix product over features that are sampled at N points of each of P proposals.

    Sampling gives (C, N, P) numbers a video, and the product makes O of each (C, N). Both are
    linear, so the weights can go first, on T positions, and the sampling after; sampling is sparse.

    Args:
        proposal: ``(Z,)``, of each number that is not 0: which of the P proposals it is of,
        point: which of its N points,
        position: which of the T positions that looks at,
        share: and with what share. Those of the same proposal, point and position are added.
        size: P, N and T.
        dtype: Precision of the product.
    """

    def __init__(
        self,
        proposal: Tensor,
        point: Tensor,
        position: Tensor,
        share: Tensor,
        size: tuple[int, int, int],
        dtype: torch.dtype,
    ) -> None:
        num_proposals, num_points, num_positions = size
        self.dtype = dtype
        self.device = share.device
        row = point * num_positions + position
        shape = (num_proposals, num_points * num_positions)
        self.matrix = csr_matrix(proposal, row, share, shape, dtype)
        self.transposed = csr_matrix(row, proposal, share, shape[::-1], dtype)
        #: A GPU does not wait for its memory as a processor does, but for the next launch: there
        #: all videos and channels are one product.
        self.one_product = share.device.type != 'cpu'

    def __call__(
        self, features: Sequence[Tensor], weights: Sequence[Tensor], bias: Tensor | None
    ) -> Tensor:
        """Apply to features ``(B, C, T)``; the first is sampled at the first points, and so on.

        Args:
            features: One or more.
            weights: ``(O, C, N_i)`` for each of them, N together.
            bias: ``(O,)``.

        Returns:
            ``(blocks, B, P, O / blocks)``, the output channels in blocks; on a GPU one block.
        """
        batch_size, _, num_positions = features[0].shape
        with torch.autocast(features[0].device.type, enabled=False):
            mixed = torch.cat(
                [self._mixed(x, weight) for x, weight in zip(features, weights)], dim=1
            )  # (B * T, N * O)
            mixed = mixed.view(batch_size, num_positions, -1, weights[0].shape[0])
            sampled = self._at_once(mixed) if self.one_product else self._in_blocks(mixed)
            if bias is not None:
                width = sampled.shape[-1]
                sampled = sampled + bias.to(self.dtype).reshape(-1, 1, 1, width)  # (K, 1, 1, w)
            is_half = weights[0].dtype.itemsize < 4  # of the model itself, not of autocast
            return sampled.to(weights[0].dtype) if is_half else sampled

    def _in_blocks(self, mixed: Tensor) -> Tensor:
        """``(B, T, N, O)`` sampled, ``(K, B, P, w)``: K blocks of w channels."""
        batch_size, out_channels = mixed.shape[0], mixed.shape[-1]
        width = next(w for w in (_BLOCK_CHANNELS, out_channels) if out_channels % w == 0)
        blocks = mixed.unflatten(-1, (-1, width)).permute(3, 0, 2, 1, 4)  # (K, B, N, T, w)
        blocks = blocks.flatten(2, 3).flatten(0, 1)  # (K * B, N * T, w)
        sampled = sparse_product(blocks, self.matrix, self.transposed)
        return sampled.unflatten(0, (-1, batch_size))  # (K * B, P, w) -> (K, B, P, w)

    def _at_once(self, mixed: Tensor) -> Tensor:
        """``(B, T, N, O)`` sampled, ``(1, B, P, O)``."""
        batch_size = len(mixed)
        rows = mixed.permute(2, 1, 0, 3).flatten(2).flatten(0, 1)  # (N * T, B * O)
        sampled = sparse_product(rows[None], self.matrix, self.transposed)
        return sampled.unflatten(2, (batch_size, -1)).transpose(1, 2)  # (1, P, B, O) -> above

    def _mixed(self, x: Tensor, weight: Tensor) -> Tensor:
        """Features ``(B, C, T)`` as each point weighs them, ``(B * T, N_i * O)``."""
        rows = x.to(self.dtype).transpose(1, 2).reshape(-1, x.shape[1])  # (B * T, C)
        return rows @ weight.to(self.dtype).permute(1, 2, 0).flatten(1)  # (O, C, N) -> (C, N * O)


def computed_in(dtype: torch.dtype) -> torch.dtype:
    """The precision of the products for weights of ``dtype``: there is no sparse one in half."""
    return torch.promote_types(dtype, torch.float32)


def csr_matrix(
    row: Tensor, column: Tensor, value: Tensor, size: tuple[int, int], dtype: torch.dtype
) -> Tensor:
    """A sparse matrix from what is not 0 in it; values of one cell are added."""
    coo = torch.sparse_coo_tensor(
        torch.stack([row, column]), value, size, check_invariants=True
    ).coalesce()
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Sparse CSR tensor support is in beta')
        return coo.to(dtype).to_sparse_csr()


def sparse_product(blocks: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
    """``matrix @ block`` of each block ``(N, rows, channels)``, for a matrix that is a constant.

    Blocks that fit into a processor's cache take a third of the time of one wide product, whose
    rows are fetched from memory again for every proposal that they are part of.
    """
    return _SparseProduct.apply(blocks, matrix, transposed)


class _SparseProduct(torch.autograd.Function):
    """The gradient is a product with the transpose, which is at hand."""

    @staticmethod
    def forward(ctx, blocks: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return _products(matrix, blocks)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        return _products(ctx.transposed, grad.contiguous()), None, None


def _products(matrix: Tensor, blocks: Tensor) -> Tensor:
    product = blocks.new_empty(len(blocks), len(matrix), blocks.shape[-1])
    for out, block in zip(product, blocks):
        torch.mm(matrix, block, out=out)
    return product
