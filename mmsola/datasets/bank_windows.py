"""The windows of a data set's videos, from a feature bank instead of the pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.utils.data import get_worker_info

from mmsola.datasets.features.feature_bank import FeatureBank
from mmsola.datasets.transforms.loading import LoadSnippetWindow, PackSnippetInputs


class BankWindows:
    """Gathers whole batches of windows: what ``LoadSnippetWindow``, ``PackSnippetInputs`` give.

    Args:
        bank: Features of these videos, and perhaps of others.
        window: Length in snippets.
        names: The videos of a data set, in their order.
        owner: The data set's class, for messages.
    """

    def __init__(self, bank: FeatureBank, window: int, names: Sequence[str], owner: str) -> None:
        self.window = window
        self.owner = owner
        self._bank = bank
        self._rows = np.array([bank.index[name] for name in names])

    def of(self, names: Sequence[str]) -> BankWindows:
        """Those of a subset of the videos, from the same bank."""
        return BankWindows(self._bank, self.window, names, self.owner)

    @property
    def bank(self) -> FeatureBank:
        """The bank.

        Raises:
            ValueError: It lies on a GPU, which a worker of a loader cannot read.
        """
        if self._bank.on_gpu and get_worker_info():
            raise ValueError(
                f'{self.owner}: a feature bank on the GPU cannot be read by workers of a '
                'loader, and needs none; set num_workers=0 and persistent_workers=False.'
            )
        return self._bank

    def batch(self, indices: Sequence[int]) -> Tensor:
        """One window ``(B, C, window)`` for each index, drawn where the sampler drew none."""
        drawn = [getattr(index, 'window_fraction', None) for index in indices]
        fractions = [np.random.random() if fraction is None else fraction for fraction in drawn]
        rows = self._rows[np.array(indices)]
        return self.bank.windows(rows, np.array(fractions), self.window)


def window_of(pipeline: Sequence[object], owner: str) -> int:
    """Length of the windows that a pipeline draws, and a bank gathers instead.

    Raises:
        ValueError: The pipeline does anything else.
    """
    if [type(step) for step in pipeline] != [LoadSnippetWindow, PackSnippetInputs]:
        names = ', '.join(type(step).__name__ for step in pipeline) or 'nothing'
        raise ValueError(
            f'{owner}: a feature bank stands for the pipeline LoadSnippetWindow, '
            f'PackSnippetInputs; found {names}. Set bank=None to run this pipeline.'
        )
    first = pipeline[0]
    assert isinstance(first, LoadSnippetWindow)
    return first.window
