"""What mmsola train trains without labels: SoLa under Similarity Matching."""

from __future__ import annotations

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModel
from torch import Tensor


@MODELS.register_module()
class SoLaPretrainer(BaseModel):
    """Train a SoLa module so that its output's self-similarity follows the frame interval.

    Training takes windows of consecutive snippets and computes the module at the gathered
    positions only. Prediction runs whole sequences through it.

    Args:
        neck: Config of the module, ``type='SoLa'``.
        head: Config of the head, ``type='SimilarityMatchingHead'``.
        start: First gathered position in a window, in snippets.
        step: Distance between gathered positions, in snippets.
        num_gathered: How many are gathered.
        data_preprocessor: Stacks sequences to ``(B, C, T)``.
        compile: Compile the loss: True, or arguments of ``torch.compile`` such as
            ``dict(mode='reduce-overhead')``. Needs a compiler; equal up to rounding.

    Raises:
        ValueError: ``start`` lies closer to the window's edge than the module reaches, so that
            the padding of its convolutions would be gathered.

    Examples:
        >>> import torch
        >>> neck = dict(type='SoLa', in_channels=8, hidden_channels=4)
        >>> head = dict(type='SimilarityMatchingHead', in_channels=8, predictor_channels=4)
        >>> sorted(SoLaPretrainer(neck, head)(torch.rand(4, 8, 23), mode='loss'))
        ['kl', 'loss', 'modulation', 'tanh_alpha']
    """

    def __init__(
        self,
        neck: dict,
        head: dict,
        start: int = 4,
        step: int = 2,
        num_gathered: int = 8,
        data_preprocessor: dict | None = None,
        compile: bool | dict = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            MODELS.build(data_preprocessor or {'type': 'SnippetDataPreprocessor'}), init_cfg
        )
        self.neck = MODELS.build(neck)
        self.head = MODELS.build(head)
        self.start = start
        self.step = step
        self.num_gathered = num_gathered
        if self.head.in_channels != self.neck.in_channels:
            raise ValueError(
                f'SoLaPretrainer: head.in_channels is {self.head.in_channels}, but the neck puts '
                f'out {self.neck.in_channels} channels; set both to those of the features.'
            )
        if num_gathered < 2 or step < 1:
            raise ValueError(
                'SoLaPretrainer: similarity needs num_gathered >= 2 and step >= 1, got '
                f'num_gathered={num_gathered}, step={step}.'
            )
        if start < self.neck.reach:
            raise ValueError(
                f'SoLaPretrainer: the module sees {self.neck.reach} snippets to either side, but '
                f'start={start}: the padding of its convolutions would be gathered. Set start '
                f'and the margin after the last position to at least {self.neck.reach}.'
            )
        # of the class, not of this model: a copy must take its own weights
        self._compare = type(self)._gather_and_compare
        if compile is not False:
            self._compare = torch.compile(
                self._compare, **({} if compile is True else dict(compile))
            )

    def forward(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        mask: Tensor | None = None,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list | Tensor:
        """MMEngine's three modes over ``inputs`` ``(B, C, T)`` and their mask ``(B, T)``."""
        if mode == 'loss':
            return self.loss(inputs)
        features = self.neck(inputs, mask)
        if mode == 'tensor':
            return features
        if mode == 'predict':
            return self.predict(features, data_samples or [], mask, self._equally_scaled(inputs))
        raise ValueError(f"SoLaPretrainer: mode is 'loss', 'predict' or 'tensor', got {mode!r}.")

    def loss(self, windows: Tensor) -> dict[str, Tensor]:
        """Loss, loss above its floor, tanh(alpha) and how much the module changes its input.

        Args:
            windows: ``(B, C, window)``.
        """
        last, window = self.start + self.step * (self.num_gathered - 1), windows.shape[-1]
        if last + self.neck.reach >= window:
            raise ValueError(
                f'SoLaPretrainer: windows of {window} snippets, but position {last} is gathered '
                f'and sees {self.neck.reach} further; set window to at least '
                f'{last + self.neck.reach + 1}.'
            )
        return self._compare(self, windows, last)

    def _gather_and_compare(self, windows: Tensor, last: int) -> dict[str, Tensor]:
        change = self.neck.change_at(windows, self.start, self.step, self.num_gathered)
        # in the space that the module computes in, whatever the scale of its output
        gathered = self.neck.compared(windows[..., self.start : last + 1 : self.step])
        return {
            **self.head.loss(gathered + change),
            'tanh_alpha': self.neck.gate.detach().mean(),
            'modulation': _ratio(change.detach(), gathered),
        }

    def _equally_scaled(self, inputs: Tensor) -> Tensor | None:
        """The control of a module whose output has another scale; None for the same scale."""
        same = self.neck.standardize is None or self.neck.scale == 'input'
        return None if same else self.neck.rescaled(inputs)

    def predict(
        self,
        features: Tensor,
        data_samples: list,
        mask: Tensor | None,
        scaled: Tensor | None = None,
    ) -> list:
        """Give each data sample its ``sola_feature`` ``(C, T)``, cut to its own length.

        And ``scaled_feature``, where what comes in is given on the scale of what goes out.
        """
        for i, sample in enumerate(data_samples):
            length = features.shape[-1] if mask is None else int(mask[i].sum())
            sample.set_field(features[i, :, :length], 'sola_feature')
            if scaled is not None:
                sample.set_field(scaled[i, :, :length], 'scaled_feature')
        return data_samples


def _ratio(change: Tensor, features: Tensor) -> Tensor:
    """How long a change ``(B, C, S)`` is in units of the features it changes, on average."""
    return (change.float().norm(dim=1) / features.norm(dim=1).clamp_min(1e-12)).mean()
