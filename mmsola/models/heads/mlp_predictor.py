"""The predictor of Similarity Matching."""

from __future__ import annotations

from mmaction.registry import MODELS
from torch import nn


@MODELS.register_module()
class MLPPredictor(nn.Sequential):
    """Linear - ReLU - Linear, without batch norm: ``(..., C)`` to ``(..., C)``.

    Args:
        in_channels: Channels C. :class:`SimilarityMatchingHead` fills it in.
        hidden_channels: Width between the two linear layers.

    Source: SimSiam (CVPR 2021), whose predictor SoLa (CVPR 2023) takes over.

    Example:
        >>> import torch
        >>> MLPPredictor(in_channels=16, hidden_channels=4)(torch.rand(2, 8, 16)).shape
        torch.Size([2, 8, 16])
    """

    def __init__(self, in_channels: int, hidden_channels: int = 512) -> None:
        super().__init__(
            nn.Linear(in_channels, hidden_channels),
            nn.ReLU(),
            nn.Linear(hidden_channels, in_channels),
        )
