"""Attention of each step to its neighbours, at a cost of O(T w) and not of O(T^2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def local_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    reach: int,
    bias: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Each step attends to real steps at most ``reach`` away.

    The sequence is cut into blocks; a block of queries sees the keys of its block and ``reach``
    more on either side, so time and memory grow with T alone. What stands in the steps that the
    mask leaves out is never seen; what they get themselves is a number without meaning.

    Args:
        query: ``(B, H, T, D)``; and ``key`` and ``value``.
        mask: ``(B, T)``, True where a step is real.
        reach: Steps to each side.
        bias: ``(H, 2 * reach + 1)``, added to the logits; the first is the farthest left.
        dropout: Share of the attention weights that are dropped.

    Returns:
        ``(B, H, T, D)``.

    Source: the arithmetic of ActionFormer's ``LocalMaskedMHCA``.
    """
    num_batch, num_heads, num_steps, dim = query.shape
    block = _block_length(num_steps, reach)
    num_blocks = -(-num_steps // block)
    behind = num_blocks * block - num_steps

    queries = F.pad(query, (0, 0, 0, behind)).unflatten(2, (num_blocks, block))  # B x H x N x n x D
    # B x H x N x (n + 2r) x D
    keys, values = (
        F.pad(x, (0, 0, reach, reach + behind)).unfold(2, block + 2 * reach, block).transpose(3, 4)
        for x in (key, value)
    )
    real = F.pad(mask, (reach, reach + behind)).unfold(1, block + 2 * reach, block)  # B x N x n+2r
    row = torch.arange(block, device=query.device)[:, None]
    distance = torch.arange(block + 2 * reach, device=query.device) - row  # 0 .. 2r in the band
    in_band = (distance >= 0) & (distance <= 2 * reach)
    # a step outside of the sequence sees itself: a row of nothing would be NaN
    allowed = in_band & real[:, :, None] | (distance == reach)  # B x N x n x (n + 2r)
    if bias is None:
        added = allowed[:, :, None]  # B x N x 1 x n x (n + 2r)
    else:
        of_pair = bias[:, distance.clamp(0, 2 * reach)]  # H x n x (n + 2r)
        added = torch.where(allowed[:, :, None], of_pair, -torch.inf)  # B x N x H x n x (n + 2r)

    def joined(x: Tensor) -> Tensor:  # B x H x N x n x D to BN x H x n x D
        return x.transpose(1, 2).flatten(0, 1)

    out = F.scaled_dot_product_attention(
        joined(queries), joined(keys), joined(values), added.flatten(0, 1), dropout
    )
    out = out.unflatten(0, (num_batch, num_blocks)).transpose(1, 2)  # B x H x N x n x D
    return out.flatten(2, 3)[:, :, :num_steps]


def full_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float = 0.0
) -> Tensor:
    """Each step attends to every real one; shapes as in :func:`local_attention`."""
    return F.scaled_dot_product_attention(query, key, value, mask[:, None, None], dropout)


def _block_length(num_steps: int, reach: int) -> int:
    """A short block computes less outside of the band, a long one makes fewer products."""
    return max(1, min(num_steps, max(16, 2 * reach)))
