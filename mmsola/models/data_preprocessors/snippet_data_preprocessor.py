"""Stack snippet feature sequences of different length into a masked batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseDataPreprocessor
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@MODELS.register_module()
class SnippetDataPreprocessor(BaseDataPreprocessor):
    """Stack sequences ``(C, T_i)`` to ``(B, C, T)``, padded with zeros where they differ.

    ``mask`` ``(B, T)`` is True where a snippet is real, and None where nothing was padded.

    Examples:
        >>> batch = SnippetDataPreprocessor()({'inputs': [torch.rand(4, 2), torch.rand(4, 3)]})
        >>> batch['inputs'].shape
        torch.Size([2, 4, 3])
        >>> batch['mask']
        tensor([[ True,  True, False],
                [ True,  True,  True]])
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Batch ``inputs``, add ``mask`` and move everything to the model's device."""
        data = self.cast_data(data)
        inputs, mask = stack_sequences(data['inputs'])
        return {'inputs': inputs, 'data_samples': data.get('data_samples'), 'mask': mask}


def stack_sequences(sequences: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """``(C, T_i)`` to ``(B, C, T)`` and its mask ``(B, T)``, None where nothing was padded."""
    if len(sequences) == 1 and sequences[0].ndim == 3:  # a feature bank's batch is one already
        return sequences[0], None
    lengths = [sequence.shape[-1] for sequence in sequences]
    if len(set(lengths)) == 1:
        return torch.stack(list(sequences)), None
    padded = pad_sequence([s.transpose(0, 1) for s in sequences], batch_first=True)
    inputs = padded.transpose(1, 2).contiguous()
    position = torch.arange(max(lengths), device=inputs.device)
    return inputs, position < torch.tensor(lengths, device=inputs.device)[:, None]
