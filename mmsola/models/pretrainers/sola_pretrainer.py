"""What mmsola train trains without labels: SoLa under Similarity Matching."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModel
from torch import Tensor


@MODELS.register_module()
class SoLaPretrainer(BaseModel):
    """Train a SoLa module so that its output's self-similarity follows the frame interval.

    Training takes windows of consecutive snippets and computes the module at the gathered
    positions only. Prediction runs whole sequences through it.

    With several steps, each window is compared at each of them, and the loss is their mean. The
    target counts intervals in units of the smallest step at all of them. So it stays one function
    of the interval in time: two snippets that lie 8 apart get the same target whether step 2 or
    step 8 gathered them. If each step counted in its own units, one pair would be taught two
    similarities. Larger steps thus teach what is far apart, where the target is near 0.5; a larger
    ``coef`` of the loss reaches further. The positions of smaller steps lie in the middle of those
    of the largest.

    Args:
        neck: Config of the module, ``type='SoLa'``.
        head: Config of the head, ``type='SimilarityMatchingHead'``.
        start: First gathered position in a window, in snippets.
        step: Distance between gathered positions, in snippets; several, such as ``(2, 4, 8)``,
            compare at each of them.
        num_gathered: How many are gathered, at each step.
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
        >>> several = SoLaPretrainer(neck, head, step=(1, 2))
        >>> [several.positions(step) for step in several.steps]
        [range(7, 15), range(4, 19, 2)]
    """

    def __init__(
        self,
        neck: dict,
        head: dict,
        start: int = 4,
        step: int | Sequence[int] = 2,
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
        self.steps = (step,) if isinstance(step, int) else tuple(step)
        self.num_gathered = num_gathered
        if self.head.in_channels != self.neck.in_channels:
            raise ValueError(
                f'SoLaPretrainer: head.in_channels is {self.head.in_channels}, but the neck puts '
                f'out {self.neck.in_channels} channels; set both to those of the features.'
            )
        if num_gathered < 2 or not self.steps or min(self.steps) < 1:
            raise ValueError(
                'SoLaPretrainer: similarity needs num_gathered >= 2 and step >= 1, got '
                f'num_gathered={num_gathered}, step={step}.'
            )
        if len(set(self.steps)) < len(self.steps):
            raise ValueError(f'SoLaPretrainer: expected different steps, got step={step}.')
        #: Interval of two neighbours at each step, in units of the smallest one.
        self.intervals = tuple(each / min(self.steps) for each in self.steps)
        if start < self.neck.reach:
            raise ValueError(
                f'SoLaPretrainer: the module sees {self.neck.reach} snippets to either side, but '
                f'start={start}: the padding of its convolutions would be gathered. Set start '
                f'and the margin after the last position to at least {self.neck.reach}.'
            )
        # of the class, not of this model: a copy must take its own weights
        self._compare = type(self)._gather_and_compare
        self.compiled = compile is not False
        if compile is not False:
            options = {} if compile is True else dict(compile)
            # windows of a training are of one length; as a variable, a view of them fails
            self._compare = torch.compile(self._compare, **{'dynamic': False, **options})

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
        last, window = self.positions(max(self.steps))[-1], windows.shape[-1]
        if last + self.neck.reach >= window:
            raise ValueError(
                f'SoLaPretrainer: windows of {window} snippets, but position {last} is gathered '
                f'and sees {self.neck.reach} further; set window to at least '
                f'{last + self.neck.reach + 1}.'
            )
        return self._compare(self, windows)

    def positions(self, step: int) -> range:
        """The positions in a window that are gathered at a step, in snippets."""
        spared = (max(self.steps) - step) * (self.num_gathered - 1) // 2
        first = self.start + spared
        return range(first, first + step * (self.num_gathered - 1) + 1, step)

    def _gather_and_compare(self, windows: Tensor) -> dict[str, Tensor]:
        reports = [
            self._compare_at(windows, step, interval)
            for step, interval in zip(self.steps, self.intervals)
        ]
        if len(reports) == 1:
            return reports[0]
        return {key: torch.stack([report[key] for report in reports]).mean() for key in reports[0]}

    def _compare_at(self, windows: Tensor, step: int, interval: float) -> dict[str, Tensor]:
        positions = self.positions(step)
        change = self.neck.change_at(windows, positions.start, step, self.num_gathered)
        # in the space that the module computes in, whatever the scale of its output
        gathered = self.neck.compared(windows[..., positions.start : positions.stop : step])
        return {
            **self.head.loss(gathered + change, interval),
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
