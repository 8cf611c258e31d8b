"""Standardize: snippet features of zero mean and unit variance in each channel."""

from __future__ import annotations

from mmaction.registry import MODELS
from mmengine.logging import print_log
from torch import Tensor

from mmsola.messages.argument_checks import ArgumentError, check_choice
from mmsola.models.checkpoint_file import CheckpointError, MissingCheckpoint
from mmsola.models.layers.channel_statistics import ChannelStatistics, on_unit_length
from mmsola.models.necks.statistics_checkpoint import read_statistics


@MODELS.register_module()
class Standardize(ChannelStatistics):
    """Subtract each channel's mean and divide by its standard deviation.

    The statistics are those of the training features. ``build_runner`` has them taken in one pass
    before the first step, unless a checkpoint held them; they are buffers and are stored with the
    model. Without them the first forward is an error.

    Args:
        in_channels: Channels C of the snippet features, in and out.
        scale: ``'unit_variance'``, or ``'unit_length'``, which then divides each snippet by its
            length.
        init_cfg: ``dict(type='Pretrained', checkpoint=..., prefix=...)`` takes the statistics out
            of any checkpoint that holds them, such as that of a SoLa pretraining with
            ``standardize``. Without ``prefix`` they are found.

    Shapes:
        Input and output ``(B, C, T)``, T in snippets.

    Raises:
        ArgumentError: ``scale`` is another; ``'input'`` would put out what came in.

    Examples:
        >>> import torch
        >>> neck = Standardize(in_channels=1)
        >>> neck.fill(mean=torch.tensor([2.0]), std=torch.tensor([4.0]), count=3)
        >>> neck(torch.tensor([[[2.0, 6.0, 10.0]]]))
        tensor([[[0., 1., 2.]]])
    """

    def __init__(
        self, in_channels: int, scale: str = 'unit_variance', init_cfg: dict | None = None
    ) -> None:
        super().__init__(in_channels, init_cfg)
        if scale == 'input':
            raise ArgumentError(
                "Standardize: scale='input' puts out what came in; set 'unit_variance' or "
                "'unit_length', or leave the neck out. It is for SoLa(standardize=dict(...))."
            )
        check_choice(self, 'scale', scale, ('unit_variance', 'unit_length'))
        self.scale = scale
        self.may_be_loaded_later = False  # as of SoLa
        self._lacks: str | None = None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Standardise ``x`` ``(B, C, T)``; ``mask`` ``(B, T)`` is True where a snippet is real.

        Raises:
            ValueError: There are no statistics, or the channels of ``x`` are not ``in_channels``.
            CheckpointError: Its Pretrained checkpoint was missing, and no other one held them.
        """
        if x.ndim != 3 or x.shape[1] != self.in_channels:
            raise ValueError(
                f'Standardize: expected features (B, C={self.in_channels}, T), found '
                f'{tuple(x.shape)}; set in_channels to the channels of your features.'
            )
        if self._lacks is not None and not self.is_filled:
            raise CheckpointError(self._lacks)
        x = self.standardized(x, None if mask is None else ~mask.unsqueeze(1))
        return on_unit_length(x) if self.scale == 'unit_length' else x

    def init_weights(self) -> None:
        """Take the statistics of a Pretrained checkpoint."""
        cfg = self.init_cfg
        if not isinstance(cfg, dict) or cfg.get('type') != 'Pretrained':
            return super().init_weights()
        try:
            statistics = read_statistics(cfg['checkpoint'], cfg.get('prefix'))
        except MissingCheckpoint as error:
            if not self.may_be_loaded_later:
                raise
            self._lacks = str(error)
            return None
        self.load_state_dict(statistics)
        self._is_init = True
        print_log(
            f'Standardize: loaded {cfg["checkpoint"]}, statistics of {int(self.count)} snippets.',
            'current',
        )
        return None
