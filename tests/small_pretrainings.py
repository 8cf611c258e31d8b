"""Pretrainings that are small enough for a test."""

import torch
from mmaction.registry import MODELS

from mmsola.models import SoLa


def without_validation(cfg):
    """The config of a run, which now validates and tests nothing."""
    for split in ('val', 'test'):
        for part in ('cfg', 'dataloader', 'evaluator'):
            cfg[f'{split}_{part}'] = None
    return cfg


def pretraining_model(**settings):
    """Of features of 6 channels; always the same weights."""
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='SoLaPretrainer',
            neck=dict(type='SoLa', in_channels=6, hidden_channels=4),
            head=dict(type='SimilarityMatchingHead', in_channels=6, predictor_channels=4),
            **settings,
        )
    )


def sola_checkpoint(folder, channels):
    """Of SoLa pretraining, with an open gate."""
    torch.manual_seed(1)
    weights = SoLa(channels, hidden_channels=4).state_dict()
    weights['alpha'].fill_(0.6)
    torch.save({'state_dict': {f'neck.{k}': v for k, v in weights.items()}}, folder / 'sola.pth')
    return str(folder / 'sola.pth')
