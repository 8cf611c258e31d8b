"""Graph convolution over snippets: each sees its neighbours in time and those that look alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GCNeXt(nn.Module):
    """G-TAD's block: a path along time and one along similar snippets, added to the input.

    ``relu(temporal + x + semantic)``. The temporal path is a grouped convolution of three taps in a
    bottleneck. The semantic one has an edge from each snippet to each of its nearest neighbours,
    ``(neighbour; self)``, passes all edges, and takes their greatest value.

    Args:
        channels: C, in and out.
        width: Channels of both bottlenecks.
        groups: Of the convolutions in the middle of them.
        num_neighbours: K, itself included.

    Source: Xu et al., G-TAD, CVPR 2020, section 3.2; the parameters' names are the authors'.

    Examples:
        >>> block = GCNeXt(channels=8, width=4, groups=2)
        >>> block(torch.rand(2, 8, 10)).shape
        torch.Size([2, 8, 10])
    """

    def __init__(
        self, channels: int = 256, width: int = 128, groups: int = 32, num_neighbours: int = 3
    ) -> None:
        super().__init__()
        self.num_neighbours = num_neighbours
        self.tconvs = nn.Sequential(
            nn.Conv1d(channels, width, 1),
            nn.ReLU(inplace=True),
            nn.Conv1d(width, width, 3, padding=1, groups=groups),
            nn.ReLU(inplace=True),
            nn.Conv1d(width, channels, 1),
        )
        self.sconvs = nn.Sequential(
            nn.Conv2d(2 * channels, width, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1, groups=groups),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, channels, 1),
        )

    def forward(self, x: Tensor, neighbours: Tensor | None = None) -> Tensor:
        """Apply to ``(B, C, T)``.

        Args:
            neighbours: ``(B, T, K)`` of :func:`nearest_neighbours`; found here where not given.
        """
        if neighbours is None:
            neighbours = nearest_neighbours(x, self.num_neighbours)
        # The first convolution is of width 1 and sees (neighbour; self): its weights go first, on
        # T snippets instead of T * K edges.
        first = self.sconvs[0]
        of_neighbour, of_self = first.weight[..., 0].chunk(2, dim=1)  # (width, C, 1) each
        edges = at_neighbours(nn.functional.conv1d(x, of_neighbour), neighbours)  # (B, w, T, K)
        edges = edges + nn.functional.conv1d(x, of_self, first.bias)[..., None]
        semantic = self.sconvs[1:](edges).max(dim=-1).values  # (B, C, T)
        return torch.relu(self.tconvs(x) + x + semantic)


def nearest_neighbours(x: Tensor, num_neighbours: int) -> Tensor:
    """Indices ``(B, T, K)`` of the nearest columns of ``(B, C, T)`` to each one, itself included.

    By Euclidean distance, nearest first; no gradient passes.
    """
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        x = x.to(torch.promote_types(x.dtype, torch.float32))  # half is too coarse to rank by
        squared = x.square().sum(dim=1, keepdim=True)  # (B, 1, T)
        # less what is the same for all that a snippet is compared with, its own norm
        nearness = 2 * x.transpose(1, 2) @ x - squared  # (B, T, T)
        return nearness.topk(num_neighbours, dim=-1).indices


def at_neighbours(x: Tensor, neighbours: Tensor) -> Tensor:
    """Columns of ``(B, C, T)`` at neighbours ``(B, T, K)``; ``(B, C, T, K)``."""
    index = neighbours.flatten(1)[:, None].expand(-1, x.shape[1], -1)  # (B, C, T * K)
    return x.gather(2, index).unflatten(2, neighbours.shape[1:])
