"""A published checkpoint of a one-stage localizer becomes one of ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from torch import Tensor

from mmsola.atomic import replacing
from mmsola.messages.argument_checks import check_choice
from mmsola.models.checkpoint_file import CheckpointError, read_checkpoint, usable_weights
from mmsola.models.localizers import OneStageLocalizer
from mmsola.models.localizers.published_names import fitted, renamed
from mmsola.version import provenance

#: Where the toolboxes keep their weights: averaged ones, which are those they test, and the last.
_GROUPS = {'average': 'state_dict_ema', 'last': 'state_dict'}


def convert_published(
    cfg: Config,
    checkpoint: str | Path,
    out: str | Path,
    weights: str = 'average',
    class_names: Sequence[str] | None = None,
) -> int:
    """Write the weights of ActionFormer's, TemporalMaxer's or OpenTAD's checkpoint under our names.

    Nothing in the file is executed. All parameters of the config's model must be there, and no
    others; its neck is left out of that.

    Args:
        cfg: A config whose ``model`` is that of the checkpoint.
        checkpoint: Of the authors' code, with or without ``module.`` before each name.
        out: Where to write it, as ``load_from`` and ``mmsola test`` take it.
        weights: ``'average'`` takes the moving average, ``'last'`` the weights of the last step.
        class_names: Names of the classes, in the order of that training.

    Returns:
        How many parameters were written.

    Raises:
        CheckpointError: It cannot be read, or holds no such weights.
        PublishedNameError: It does not fit the model.
        ValueError: The model is no one-stage localizer, or has not as many classes as names.
    """
    path = Path(checkpoint)
    model = MODELS.build(
        {key: value for key, value in cfg.model.items() if key not in ('neck', 'neck_feeds')}
    )
    if not isinstance(model, OneStageLocalizer):
        raise ValueError(
            f'the config has a {type(model).__name__}\n  expected: ActionFormer, TemporalMaxer or '
            'TriDet\n  fix: name the config of such a localizer'
        )
    if class_names is not None:
        model.name_classes(class_names, 'the class names')
    found = fitted(renamed(_weights(path, weights)), dict(model.named_parameters()), str(path))
    meta: dict[str, Any] = {'published': path.name, **provenance()}
    if model.class_names is not None:
        meta['dataset_meta'] = {'classes': list(model.class_names)}
    buffers = dict(model.named_buffers())
    state = {key: found.get(key, buffers.get(key)) for key in model.state_dict()}
    with replacing(out) as partial:
        torch.save({'state_dict': state, 'meta': meta}, partial)
    return sum(value.numel() for value in found.values())


def _weights(path: Path, which: str) -> dict[str, Tensor]:
    content = read_checkpoint(path)
    check_choice('convert_published', 'weights', which, tuple(_GROUPS))
    if not isinstance(content, dict):
        raise CheckpointError(f'{path}: expected a checkpoint, found {type(content).__name__}.')
    group: Any = content
    if 'state_dict' in content or 'state_dict_ema' in content:
        group = content.get(_GROUPS[which])
        if not isinstance(group, dict):
            others = [name for name, key in _GROUPS.items() if key in content]
            raise CheckpointError(
                f'{path}: holds no {_GROUPS[which]}\n  expected: the weights that were asked for\n'
                f'  fix: take weights={others[0]!r}'
            )
    return usable_weights(path, group)
