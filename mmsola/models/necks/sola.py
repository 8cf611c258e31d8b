"""SoLa: the light network that lands frozen snippet features softly in a localizer."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmsola.messages.argument_checks import check_choice
from mmsola.models.checkpoint_file import CheckpointError, MissingCheckpoint
from mmsola.models.layers.channel_statistics import SCALES, ChannelStatistics, on_unit_length
from mmsola.models.necks.sola_checkpoint import (
    architecture_of,
    holds_statistics,
    read_sola_weights,
)
from mmsola.models.necks.sola_dilations import check_dilations, read_dilations


@MODELS.register_module()
class SoLa(BaseModule):
    """Soft-Landing module, ``y = x + tanh(alpha) * f(x)`` (SoLa, CVPR 2023).

    ``f`` is Conv1d(C -> H) - ReLU - Conv1d(H -> H) - ReLU - Conv1d(H -> C, k=1), all with "same"
    padding. ``alpha`` is one learnable scalar that starts at 0, so that the untrained module is
    exactly the identity. Parameter names are those of the authors' published networks.

    Loading is strict on every way in: weights that do not fit raise, whatever MMEngine's ``strict``
    says. A checkpoint without any SoLa leaves it alone: what is loaded or trained stays as it is,
    and a frozen module that nothing was loaded into stops the first forward.

    With ``standardize`` the module computes on ``z = (x - mean) / std`` instead: statistics of each
    channel over the training features, which ``build_runner`` has taken before the first step,
    and which are stored and loaded with the weights. The output is ``z + tanh(alpha) * f(z)`` on
    the scale that is asked for.

    Args:
        in_channels: Channels C of the snippet features, in and out.
        hidden_channels: Channels H inside.
        kernel_sizes: Kernel sizes (odd, in snippets) of the first two convolutions.
        dilations: Their dilations (in snippets). A config may say ``reach_sec`` instead, how far
            to either side an output sees; see ``mmsola.engine.seconds``.
        frozen: Keep the module out of training: its weights become buffers, in the state dict but
            with no gradient and in no optimizer, and it stays in eval mode. Must be loaded.
        standardize: None computes on features as they are. ``dict(scale=...)`` standardises them,
            and ``scale`` is that of the output: ``'input'`` puts it back on scale and offset of the
            features, ``'unit_variance'`` (the default) leaves it, ``'unit_length'`` divides each
            snippet by its length.
        init_cfg: ``dict(type='Pretrained', checkpoint=..., prefix=...)`` loads strictly: a
            checkpoint that does not fill every weight is an error. Without ``prefix`` it is found.

    Shapes:
        Input and output ``(B, C, T)``, T in snippets.

    Examples:
        >>> neck = SoLa(in_channels=8, hidden_channels=4)
        >>> x = torch.rand(2, 8, 30)
        >>> torch.equal(neck(x), x)
        True
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 512,
        kernel_sizes: Sequence[int] = (5, 1),
        dilations: Sequence[int] = (1, 1),
        frozen: bool = False,
        init_cfg: dict | None = None,
        standardize: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        for key, values in (('kernel_sizes', kernel_sizes), ('dilations', dilations)):
            if len(values) != 2 or min(values) < 1:
                raise ValueError(f'SoLa: {key} takes two positive numbers, got {tuple(values)}.')
        if any(size % 2 == 0 for size in kernel_sizes):
            raise ValueError(
                f'SoLa: kernel_sizes must be odd, got {tuple(kernel_sizes)}; an even kernel '
                'would shift the features by half a snippet.'
            )
        self.in_channels = in_channels
        self.frozen = frozen
        self._loaded = False
        # why a Pretrained checkpoint is not loaded; None if it is, or if there is none
        self._lacks: str | None = None
        #: A missing Pretrained checkpoint stops the first forward and not ``init_weights``: that of
        #: the localizer, which MMEngine loads after ``init_weights``, may hold this module.
        self.may_be_loaded_later = False
        self.alpha = nn.Parameter(torch.zeros(1))
        conv1, conv2 = (
            nn.Conv1d(channels, hidden_channels, size, padding='same', dilation=dilation)
            for channels, size, dilation in zip(
                (in_channels, hidden_channels), kernel_sizes, dilations
            )
        )
        self.conv_network = nn.Sequential(
            conv1, nn.ReLU(), conv2, nn.ReLU(), nn.Conv1d(hidden_channels, in_channels, 1)
        )
        # no attribute of a module's kind without it: the state dict stays the published one
        self.standardize = None if standardize is None else ChannelStatistics(in_channels)
        self.scale = dict(standardize or {}).pop('scale', 'unit_variance')
        check_choice(self, 'standardize scale', self.scale, SCALES)
        unknown = sorted(set(standardize or {}) - {'scale'})
        if unknown:
            raise ValueError(f'SoLa: standardize takes scale=..., found {unknown} besides.')
        if frozen:
            _turn_parameters_into_buffers(self)
            self.eval()

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: str,
        prefix: str | None = None,
        dilations: Sequence[int] | None = None,
        frozen: bool = True,
        scale: str = 'unit_variance',
    ) -> SoLa:
        """Build the module that a checkpoint holds; its widths are read off the weights.

        Weights do not show dilations. A training of mmsola's writes them beside the weights; for
        older checkpoints they must be given where they are not 1. The ``scale`` of the output of a
        module that standardises its input is in no checkpoint.
        """
        weights = read_sola_weights(checkpoint, prefix)
        declared = read_dilations(checkpoint, prefix)
        neck = cls(
            **architecture_of(weights),
            dilations=dilations or declared or (1, 1),
            frozen=frozen,
            standardize={'scale': scale} if holds_statistics(weights) else None,
        )
        check_dilations(checkpoint, declared, neck.conv_network)
        neck.load_state_dict(weights)
        return neck

    @property
    def gate(self) -> Tensor:
        """tanh(alpha), shape (1,): how far the module is opened, in (-1, 1)."""
        return torch.tanh(self.alpha)

    @property
    def reach(self) -> int:
        """How many snippets to either side an output depends on."""
        return sum(_reach(self.conv_network[i]) for i in (0, 2))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Transform snippet features.

        Args:
            x: ``(B, C, T)``.
            mask: ``(B, T)``, True where a snippet is real. Padding then never leaks into a short
                sequence of a padded batch: the result equals the sequence alone, zeros after it.

        Returns:
            ``(B, C, T)``.

        Raises:
            ValueError: The channels of ``x`` are not ``in_channels``, or the module is frozen and
                nothing was ever loaded into it.
            CheckpointError: Its Pretrained checkpoint was missing, and no other one held it.
        """
        self._check_input(x)
        if self._lacks is not None and not self._loaded:
            raise CheckpointError(self._lacks)
        if self.frozen and not self._loaded:
            raise ValueError(
                'SoLa: frozen, but no weights were loaded: it would be the identity for good. Set '
                "init_cfg=dict(type='Pretrained', checkpoint=...) to a checkpoint of SoLa "
                'pretraining, or frozen=False to train it along.'
            )
        padding = None if mask is None else ~mask.unsqueeze(1)
        z = self.compared(x, padding)
        y = self._on_scale(x, z, self.gate * self._change(z, padding))
        return y if padding is None else y.masked_fill(padding, 0)

    def compared(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """What the module computes on: ``x`` ``(B, C, T)``, standardised where it standardises.

        ``padding`` ``(B, 1, T)`` becomes zeros.
        """
        if self.standardize is not None:
            return self.standardize.standardized(x, padding)
        return x if padding is None else x.masked_fill(padding, 0)

    def rescaled(self, x: Tensor) -> Tensor:
        """``x`` ``(B, C, T)`` on the scale of the output: that of the module at gate 0."""
        z = self.compared(x)
        return self._on_scale(x, z, torch.zeros_like(z))

    def change_at(self, x: Tensor, start: int, step: int, num: int) -> Tensor:
        """``tanh(alpha) * f(x)`` at ``num`` positions ``start, start + step, ...`` only.

        Equals ``(forward(x) - x)[..., start::step][..., :num]`` but computes nothing else, which
        is what makes a training step cheap: 8 of 23 positions with the published recipe. With
        ``standardize``, x is :meth:`compared`: standardised, whatever the output's scale.

        Args:
            x: ``(B, C, T)``.
            start: First position, in snippets.
            step: Distance between positions, in snippets.
            num: Number of positions.

        Returns:
            ``(B, C, num)``.
        """
        self._check_input(x)
        num_snippets, last = x.shape[-1], start + step * (num - 1)
        if start < 0 or last >= num_snippets:
            raise ValueError(
                f'SoLa: positions {start} to {last} were asked of a sequence of {num_snippets} '
                'snippets; lengthen `window` or lower `start`, `step` or `num_gathered`.'
            )
        conv1, relu, conv2, _, conv3 = self.conv_network
        reach1, reach2 = _reach(conv1), _reach(conv2)
        # A second convolution of width 1 needs the hidden units at the gathered positions only;
        # a wider one needs their neighbours too, so the striding moves behind it.
        stride1, stride2 = (step, 1) if reach2 == 0 else (1, step)
        first, stop = start - reach2, last + 1 + reach2
        z = self.compared(x)
        seen = _in_precision_of_products(_cut(z.transpose(1, 2), first - reach1, stop + reach1))
        hidden = relu(_conv(conv1, seen, stride1))
        if reach2:
            position = torch.arange(first, stop, device=x.device)
            inside = (position >= 0) & (position < num_snippets)
            hidden = hidden * inside[:, None].to(hidden.dtype)
        change = _conv(conv3, relu(_conv(conv2, hidden, stride2)), 1)
        return (self.gate * change).transpose(1, 2)

    def _change(self, z: Tensor, padding: Tensor | None) -> Tensor:
        """``f(z)``."""
        if padding is None:
            return self.conv_network(z)
        conv1, relu, conv2, _, conv3 = self.conv_network
        # Biases make hidden units of padding nonzero: each wide convolution needs a fresh mask.
        hidden = relu(conv1(z)).masked_fill(padding, 0)
        return conv3(relu(conv2(hidden)))

    def _on_scale(self, x: Tensor, z: Tensor, change: Tensor) -> Tensor:
        """The output, of the input, of what is computed on, and of its change."""
        if self.standardize is None:
            return z + change
        if self.scale == 'input':  # not back from z: a shut gate is exactly the identity
            return x + self.standardize.divisor * change
        return on_unit_length(z + change) if self.scale == 'unit_length' else z + change

    def train(self, mode: bool = True) -> SoLa:
        """Switch the mode, except that a frozen module stays in eval mode."""
        return super().train(mode and not self.frozen)

    def init_weights(self) -> None:
        """Load a pretrained module strictly, else leave PyTorch's initialisation."""
        cfg = self.init_cfg
        if isinstance(cfg, dict) and cfg.get('type') == 'Pretrained':
            try:
                weights = read_sola_weights(cfg['checkpoint'], cfg.get('prefix'))
            except MissingCheckpoint as error:
                if not self.may_be_loaded_later:
                    raise
                self._lacks = str(error)
                return
            self._check_weights(weights, cfg['checkpoint'])
            declared = read_dilations(cfg['checkpoint'], cfg.get('prefix'))
            check_dilations(cfg['checkpoint'], declared, self.conv_network)
            self.load_state_dict(weights)
            self._is_init = True
            gate = self.gate.item()
            print_log(
                f'SoLa: loaded {cfg["checkpoint"]}, tanh(alpha) = {gate:.4f}'
                + (': an untrained module, which changes nothing.' if gate == 0 else '.'),
                'current',
                logging.WARNING if gate == 0 else logging.INFO,
            )
        else:
            super().init_weights()

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs) -> None:
        # Every way into the module ends here. MMEngine loads with strict=False, where a checkpoint
        # that does not fit leaves alpha = 0: an identity that looks like a working run.
        own = {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}
        # A checkpoint without any SoLa may be loaded into the rest of the model, and into the copy
        # that EMAHook makes of the model before anything is loaded.
        if own:
            self._check_weights(own, f'prefix {prefix!r}')
            self._loaded = True
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _check_weights(self, weights: dict[str, Tensor], source: str) -> None:
        expected = {k: tuple(v.shape) for k, v in self.state_dict().items()}
        found = {k: tuple(v.shape) for k, v in weights.items()}
        if holds_statistics(found) != holds_statistics(expected):
            raise ValueError(
                f'SoLa: the weights of {source} do not fit.\n'
                + (
                    '  expected: a module that computes on features as they are\n'
                    '  found:    one with statistics to standardise them by\n'
                    "  fix: set standardize=dict(scale='input'), 'unit_variance' or 'unit_length'"
                    if holds_statistics(found)
                    else '  expected: statistics to standardise features by (standardize)\n'
                    '  found:    a module that computes on features as they are\n'
                    '  fix: leave standardize out, or name a checkpoint of a pretraining with it'
                )
            )
        if expected != found:
            raise ValueError(
                f'SoLa: the weights of {source} do not fit.\n'
                f'  expected: {expected}\n  found:    {found or "no key at all"}\n'
                'Set in_channels, hidden_channels and kernel_sizes to those of the checkpoint, or '
                'name the checkpoint and prefix that hold this module.'
            )

    def _check_input(self, x: Tensor) -> None:
        if x.ndim != 3 or x.shape[1] != self.in_channels:
            raise ValueError(
                f'SoLa: expected features (B, C={self.in_channels}, T), found {tuple(x.shape)}; '
                'set in_channels to the channels of your features.'
            )


def _turn_parameters_into_buffers(module: nn.Module) -> None:
    # `requires_grad = False` alone would leave them in every optimizer MMEngine builds.
    for child in module.modules():
        for name, parameter in list(child.named_parameters(recurse=False)):
            delattr(child, name)
            child.register_buffer(name, parameter.detach())


def _reach(conv: nn.Module) -> int:
    """Snippets to either side that one output of an odd convolution sees."""
    assert isinstance(conv, nn.Conv1d)
    return (conv.kernel_size[0] - 1) * conv.dilation[0] // 2


def _conv(conv: nn.Conv1d, x: Tensor, stride: int) -> Tensor:
    """The convolution of ``(B, T, C)`` without its padding, at every ``stride``-th position.

    As one matrix product over what each position sees: for the few positions of a window that is
    several times as fast as PyTorch's convolution.
    """
    (size,), (dilation,) = conv.kernel_size, conv.dilation
    if size == 1:
        return F.linear(x[:, ::stride], conv.weight.squeeze(-1), conv.bias)
    seen = x.unfold(1, (size - 1) * dilation + 1, stride)[..., ::dilation]
    return F.linear(
        seen.transpose(2, 3).flatten(2), conv.weight.transpose(1, 2).flatten(1), conv.bias
    )


def _in_precision_of_products(x: Tensor) -> Tensor:
    """``x`` as autocast would hand it to a matrix product, before it is unfolded to many copies."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


def _cut(x: Tensor, start: int, stop: int) -> Tensor:
    """``x[:, start:stop]`` where positions outside of the sequence are zeros."""
    num_snippets = x.shape[1]
    inside = x[:, max(start, 0) : min(stop, num_snippets)]
    return F.pad(inside, (0, 0, max(-start, 0), max(stop - num_snippets, 0)))
