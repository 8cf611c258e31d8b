"""Parameters under the names of the published checkpoints, brought to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from mmsola.messages.first_few import first_few

# In this order; the left is a regular expression that a name is searched for.
_RENAMED = (
    # wrappers
    (r'^(module|model)\.', ''),
    # embedding: ActionFormer and TemporalMaxer, then OpenTAD
    (r'^backbone\.proj\.(\d+)\.conv\.', r'embedding.splits.\1.'),
    (r'^backbone\.embd\.(\d+)\.conv\.', r'embedding.convs.\1.'),
    (r'^backbone\.embd_norm\.', 'embedding.norms.'),
    (r'^projection\.proj\.(\d+)\.conv\.', r'embedding.splits.\1.'),
    (r'^projection\.embed\.(\d+)\.conv\.', r'embedding.convs.\1.'),
    (r'^projection\.embed\.(\d+)\.norm\.', r'embedding.norms.\1.'),
    # backbone
    (r'^projection\.', 'backbone.'),
    (r'^backbone\.branch\.', 'backbone.levels.'),
    (r'\.ln([12])\.', r'.norm\1.'),
    (r'\.ln\.', '.norm1.'),
    (r'\.gn\.', '.norm2.'),
    (r'\.attn\.proj\.', '.attention.project.'),
    (r'\.attn\.rel_pe$', '.attention.relative_bias'),
    (r'\.attn\.', '.attention.'),
    (r'\.drop_path_attn\.', '.drop_path_attention.'),
    (r'\.mlp\.0\.', '.expand.'),
    (r'\.mlp\.[23]\.', '.contract.'),
    (r'\.fc\.', '.instant.'),
    (r'\.global_fc\.', '.phi.'),
    (r'\.convw\.', '.narrow.'),
    (r'\.convkw\.', '.wide.'),
    # pyramid
    (r'^neck\.lateral_convs\.', 'pyramid.laterals.'),
    (r'^neck\.fpn_convs\.', 'pyramid.convs.'),
    (r'^neck\.fpn_norms\.', 'pyramid.norms.'),
    # head: ActionFormer and TemporalMaxer, then OpenTAD
    (r'^cls_head\.head\.', 'head.classification.convs.'),
    (r'^cls_head\.norm\.', 'head.classification.norms.'),
    (r'^cls_head\.cls_head\.', 'head.classification.out.'),
    (r'^reg_head\.head\.', 'head.regression.convs.'),
    (r'^reg_head\.norm\.', 'head.regression.norms.'),
    (r'^reg_head\.offset_head\.', 'head.regression.out.'),
    (r'^reg_head\.scale\.', 'rpn_head.scale.'),
    (r'^rpn_head\.cls_(start|end)_', r'rpn_head.\1_'),
    (r'^rpn_head\.cls_', 'rpn_head.classification_'),
    (r'^rpn_head\.reg_', 'rpn_head.regression_'),
    (r'^rpn_head\.(\w+)_convs\.(\d+)\.(conv|norm)\.', r'head.\1.\3s.\2.'),
    (r'^rpn_head\.(\w+)_head\.', r'head.\1.out.'),
    # a convolution is a module inside of a module there
    (r'\.conv\.(weight|bias)$', r'.\1'),
)
_SCALE = re.compile(r'^rpn_head\.scale\.(\d+)\.scale$')
# Constants that are computed from the config.
_CONSTANT = re.compile(
    r'(^|\.)(point_generator\.|prior_generator\.|pos_embed$|pos_embd$|loss_normalizer$)'
)


class PublishedNameError(ValueError):
    """A published checkpoint that does not fit a localizer."""


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of ActionFormer, TemporalMaxer or OpenTAD's TriDet under our names.

    Shapes stay, but for the scales of the levels, which are one vector here. Constants that a
    config gives (points, positions) are left out.

    Examples:
        >>> import torch
        >>> list(renamed({'module.cls_head.cls_head.conv.bias': torch.zeros(3)}))
        ['head.classification.out.bias']
    """
    found: dict[str, Tensor] = {}
    scales: dict[int, Tensor] = {}
    for name, value in weights.items():
        if _CONSTANT.search(name):
            continue
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        of_level = _SCALE.match(name)
        if of_level:
            scales[int(of_level[1])] = value
        else:
            found[name] = value
    if scales:
        found['head.level_scales'] = torch.stack(
            [scales[level].reshape(()) for level in sorted(scales)]
        )
    return found


def fitted(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    """Renamed weights in the shapes of a model; strict.

    Args:
        weights: Of :func:`renamed`.
        expected: The model's parameters.
        source: What an error calls them.

    Raises:
        PublishedNameError: Something is missing, left over, or of another size.
    """
    weights = _without_shared_norms(dict(weights), expected, source)
    faults = [f'lacks {name}' for name in expected if name not in weights]
    faults += [f'has {name}, which the config has not' for name in weights if name not in expected]
    shaped = {}
    for name, value in weights.items():
        if name not in expected:
            continue
        wanted = expected[name].shape
        # norms are (1, C, 1) there and (C,) here: the same numbers
        if [n for n in value.shape if n != 1] != [n for n in wanted if n != 1]:
            faults.append(f'has {name} {tuple(value.shape)}, expected {tuple(wanted)}')
        else:
            shaped[name] = value.reshape(wanted)
    if faults:
        raise PublishedNameError(
            f'{source}: does not fit the model of the config\n  '
            + first_few(faults, 8, separator='\n  ')
            + '\n  fix: make the config that of the checkpoint: channels, num_levels, num_classes, '
            'the parts, and drop_path, whose scales exist only above 0'
        )
    return shaped


def _without_shared_norms(
    weights: dict[str, Tensor], expected: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    """TemporalMaxer's one norm of all levels stands in its state dict once a level."""
    for name in [n for n in weights if n.startswith('pyramid.norms.')]:
        first = re.sub(r'\.\d+\.', '.0.', name)
        if name not in expected and first in expected and first in weights:
            if not torch.equal(weights[name], weights[first]):
                raise PublishedNameError(
                    f'{source}: its levels have norms of their own\n  expected: one for all, as '
                    'the config says\n  fix: set pyramid=dict(shared=False)'
                )
            del weights[name]
    return weights
