"""From gathered snippet features to their temporal self-similarity."""

from __future__ import annotations

import logging

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn


@MODELS.register_module()
class SimilarityMatchingHead(BaseModule):
    """Normalise, predict, stop the gradient, compare (SimSiam's scheme; SoLa, CVPR 2023).

    ``z = normalise(project(x))``, ``p = predictor(z)``,
    ``cosine[i, j] = <stop_gradient(z_i), p_j> / (|z_i| |p_j|)``.

    Args:
        in_channels: Channels C of what is compared.
        predictor_channels: Short for ``predictor=dict(hidden_channels=...)``.
        num_projection_layers: 0 (identity, the published HACS recipe) to 3 linear layers.
        projection_channels: Width of the projection; None keeps C. Without layers, a warning says
            that it changes nothing.
        loss: Config of the loss on the cosine matrix.
        predictor: Config of the predictor, which keeps the channels; by default
            ``dict(type='MLPPredictor', hidden_channels=512)``.

    Raises:
        ValueError: ``num_projection_layers`` is not 0, 1, 2 or 3; the predictor has two widths.

    Examples:
        >>> import torch
        >>> head = SimilarityMatchingHead(in_channels=8, predictor_channels=4)
        >>> head(torch.rand(2, 8, 5)).shape
        torch.Size([2, 5, 5])
        >>> sorted(head.loss(torch.rand(2, 8, 5)))
        ['kl', 'loss']
    """

    def __init__(
        self,
        in_channels: int,
        predictor_channels: int | None = None,
        num_projection_layers: int = 0,
        projection_channels: int | None = None,
        loss: dict | None = None,
        init_cfg: dict | None = None,
        predictor: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_projection_layers not in range(4):
            raise ValueError(
                'SimilarityMatchingHead: num_projection_layers is 0, 1, 2 or 3, got '
                f'{num_projection_layers}.'
            )
        if num_projection_layers == 0 and projection_channels not in (None, in_channels):
            print_log(
                f'SimilarityMatchingHead: projection_channels={projection_channels} changes '
                'nothing, since there is no projection (num_projection_layers=0); set the layers, '
                'or leave the width out.',
                'current',
                logging.WARNING,
            )
        self.in_channels = in_channels
        width = projection_channels or in_channels
        widths = [in_channels] + [width] * num_projection_layers
        self.project = _mlp(widths)
        predictor = {'type': 'MLPPredictor', 'in_channels': widths[-1], **(predictor or {})}
        if predictor_channels is not None:
            predictor.setdefault('hidden_channels', predictor_channels)
            if predictor['hidden_channels'] != predictor_channels:
                raise ValueError(
                    'SimilarityMatchingHead: predictor.hidden_channels is '
                    f'{predictor["hidden_channels"]}, predictor_channels is {predictor_channels}; '
                    'set one of them, or both to the same.'
                )
        self.predictor = MODELS.build(predictor)
        self.loss_module = MODELS.build(loss or {'type': 'SimilarityMatchingLoss'})

    def forward(self, x: Tensor) -> Tensor:
        """Cosine similarity ``(B, S, S)`` of gathered features ``(B, C, S)``."""
        z = F.normalize(self.project(x.transpose(1, 2)).float(), dim=-1)  # B x S x C
        p = self.predictor(z).float()
        with torch.autocast(x.device.type, enabled=False):
            return z.detach() @ F.normalize(p, dim=-1).transpose(1, 2)

    def loss(self, x: Tensor, interval: float = 1.0) -> dict[str, Tensor]:
        """``loss`` and ``kl``, the loss above its floor.

        Args:
            x: Gathered features ``(B, C, S)``.
            interval: Interval of two neighbours, in the unit of the loss's target.
        """
        loss = self.loss_module(self(x), interval)
        floor = self.loss_module.floor(x.shape[-1], x.device, interval)
        return {'loss': loss, 'kl': loss.detach() - floor}


def _mlp(widths: list[int]) -> nn.Sequential:
    """Linear layers with ReLU between them; the identity for a single width."""
    layers: list[nn.Module] = []
    for i, (width_in, width_out) in enumerate(zip(widths, widths[1:])):
        layers += [nn.ReLU()] * bool(i) + [nn.Linear(width_in, width_out)]
    return nn.Sequential(*layers)
