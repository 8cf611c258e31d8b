"""A localizer with the weights of its checkpoint, all of them."""

from __future__ import annotations

import copy
from typing import Any

from mmaction.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torch import nn

from mmsola.apis.inference_inputs import InferenceError
from mmsola.engine.launch import check_neck
from mmsola.models.checkpoint_file import (
    CheckpointError,
    class_names_in,
    misfits,
    read_checkpoint,
    state_dict_in,
    the_one_file,
)
from mmsola.models.localizers import OneStageLocalizer, SnippetNeckMixin
from mmsola.models.necks.nested_necks import check_dilations_in


def load_localizer(cfg: Any, weights: str, device: str = 'cpu') -> nn.Module:
    """The localizer of a config in eval mode, with its weights and the names of its classes.

    Args:
        cfg: The whole config.
        weights: The checkpoint, or a pattern that one file matches.
        device: Where it runs.

    Raises:
        CheckpointError: The checkpoint cannot be read, or does not fit the config.
        InferenceError: The config is of no localizer.
    """
    model = _build(cfg, weights)
    file = the_one_file(weights)
    content = read_checkpoint(file)
    state = state_dict_in(file, content)
    problems = misfits(model.state_dict(), state, left_over=('',))
    if problems:
        raise CheckpointError(
            f'{file}: does not fit {getattr(cfg, "filename", "the config")}\n{problems}'
            '  expected: the weights of this very localizer, and of its neck\n'
            '  fix: name the checkpoint that was trained with this config'
        )
    check_dilations_in(model, file, content)
    model.load_state_dict(state)
    names = class_names_in(file, content)
    if isinstance(model, OneStageLocalizer) and names is not None:
        model.name_classes(names, str(file))
    return model.to(device).eval()


def _build(cfg: Any, weights: str) -> nn.Module:
    init_default_scope('mmaction')
    model_cfg = copy.deepcopy(cfg.get('model') or ConfigDict(type=None))
    if model_cfg.get('neck') is not None:
        model_cfg.neck.pop('init_cfg', None)  # its weights are in the localizer's checkpoint
    model = MODELS.build(model_cfg)
    if not isinstance(model, SnippetNeckMixin):
        raise InferenceError(
            f'model is a {model_cfg.type}; expected a localizer of snippet features, such as '
            'BMN, or a class of your own derived from SnippetNeckMixin.'
        )
    check_neck(ConfigDict(model=model_cfg, load_from=weights), model)
    return model
