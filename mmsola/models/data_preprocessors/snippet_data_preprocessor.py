"""Stack snippet feature sequences of different length into a masked batch."""

from __future__ import annotations

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseDataPreprocessor
from torch.nn.utils.rnn import pad_sequence


@MODELS.register_module()
class SnippetDataPreprocessor(BaseDataPreprocessor):
    """Stack sequences ``(C, T_i)`` to ``(B, C, T)``, padded with zeros where they differ.

    ``mask`` ``(B, T)`` is True where a snippet is real, and None where nothing was padded.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Batch ``inputs``, add ``mask`` and move everything to the model's device."""
        data = self.cast_data(data)
        sequences = data['inputs']
        lengths = [sequence.shape[-1] for sequence in sequences]
        if len(set(lengths)) == 1:
            inputs, mask = torch.stack(list(sequences)), None
        else:
            padded = pad_sequence([s.transpose(0, 1) for s in sequences], batch_first=True)
            inputs = padded.transpose(1, 2).contiguous()
            position = torch.arange(max(lengths), device=inputs.device)
            mask = position < torch.tensor(lengths, device=inputs.device)[:, None]
        return {'inputs': inputs, 'data_samples': data.get('data_samples'), 'mask': mask}
