"""Published checkpoints load under their own names: safely, and all or nothing."""

from __future__ import annotations

import mmsola  # noqa: F401  before MMAction2, which it makes work

# isort: split
import re

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from test_published_localizers import CASES, DATA

from mmsola.apis.published_localizer import convert_published
from mmsola.models.checkpoint_file import CheckpointError, class_names_in, read_checkpoint
from mmsola.models.localizers.published_names import PublishedNameError

ALL = pytest.mark.parametrize('case', CASES)


def published(case, group):
    """Weights under the names of the code that wrote them."""
    method, name = case.split('.')
    prefix = f'{name}.{group}.'
    with np.load(DATA / f'{method}_reference.npz') as file:
        return {
            key.removeprefix(prefix): torch.from_numpy(np.asarray(file[key]))
            for key in file.files
            if key.startswith(prefix)
        }


def config_of(case):
    return Config(dict(model=dict(CASES[case], _scope_='mmaction')))


def write(path, average, last=None):
    """As the authors' code does, with what DataParallel puts before each name."""
    content = {'epoch': 34, 'optimizer': {}, 'scheduler': {}}
    for key, weights in (('state_dict_ema', average), ('state_dict', last)):
        if weights is not None:
            content[key] = {f'module.{name}': value for name, value in weights.items()}
    torch.save(content, path)
    return path


@ALL
def test_a_checkpoint_under_the_published_names_becomes_ours(case, tmp_path):
    source = write(
        tmp_path / 'epoch_034.pth.tar', published(case, 'final'), published(case, 'init')
    )
    parts = {}
    for weights in ('average', 'last'):
        out = tmp_path / f'{weights}.pth'
        convert_published(config_of(case), source, out, weights)
        model = MODELS.build(CASES[case])
        model.load_state_dict(torch.load(out, weights_only=True)['state_dict'])
        parts[weights] = model.head.classification.out.weight.detach()
    assert not torch.equal(parts['average'], parts['last'])


def test_actionformer_of_opentad_has_names_of_its_own(tmp_path):
    case = 'actionformer.main'
    theirs = published(case, 'final')
    for ours, opentad in (
        ('backbone.embd.', 'projection.embed.'),
        ('backbone.embd_norm.0', 'projection.embed.0.norm'),
        ('backbone.', 'projection.'),
        ('cls_head.head.', 'rpn_head.cls_convs.'),
        ('reg_head.head.', 'rpn_head.reg_convs.'),
        ('cls_head.cls_head.conv', 'rpn_head.cls_head'),
        ('reg_head.offset_head.conv', 'rpn_head.reg_head'),
        ('reg_head.scale', 'rpn_head.scale'),
    ):
        theirs = {re.sub(f'^{re.escape(ours)}', opentad, k): v for k, v in theirs.items()}
    theirs = {
        re.sub(r'^(cls|reg)_head\.norm\.(\d)', r'rpn_head.\1_convs.\2.norm', k): v.squeeze()
        if 'norm' in k or '.ln' in k
        else v
        for k, v in theirs.items()
    }
    one, other = tmp_path / 'one.pth', tmp_path / 'other.pth'
    convert_published(config_of(case), write(tmp_path / 'a', published(case, 'final')), one)
    convert_published(config_of(case), write(tmp_path / 'b', theirs), other)
    weights, same = (torch.load(path)['state_dict'] for path in (one, other))
    assert all(torch.equal(weights[key], same[key]) for key in weights)


def test_the_names_of_the_classes_go_with_it(tmp_path):
    case = 'actionformer.main'
    source = write(tmp_path / 'source.pth', published(case, 'final'))
    convert_published(config_of(case), source, tmp_path / 'out.pth', class_names=['a', 'b', 'c'])
    out = tmp_path / 'out.pth'
    assert class_names_in(out, read_checkpoint(out)) == ('a', 'b', 'c')
    with pytest.raises(ValueError, match=r'2 classes \(.a., .b.\), but num_classes=3'):
        convert_published(config_of(case), source, tmp_path / 'x.pth', class_names=['a', 'b'])


def test_a_shared_norm_may_stand_once_a_level_if_it_is_one(tmp_path):
    case = 'temporalmaxer.layernorm'
    weights = published(case, 'final')
    for level in (1, 2):
        for part in ('weight', 'bias'):
            shared = weights[f'neck.fpn_norms.0.{part}'].clone()
            weights[f'neck.fpn_norms.{level}.{part}'] = shared
    convert_published(config_of(case), write(tmp_path / 'a.pth', weights), tmp_path / 'out.pth')
    weights['neck.fpn_norms.2.bias'] += 1
    with pytest.raises(PublishedNameError, match='norms of their own'):
        convert_published(config_of(case), write(tmp_path / 'b.pth', weights), tmp_path / 'out.pth')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda w: w.pop('reg_head.offset_head.conv.bias'), 'lacks head.regression.out.bias'),
        (lambda w: w.update(other=torch.zeros(2)), 'has other, which the config has not'),
        (
            lambda w: w.update({'cls_head.cls_head.conv.bias': torch.zeros(4)}),
            r'has head.classification.out.bias \(4,\), expected \(3,\)',
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_written(change, message, tmp_path):
    weights = published('actionformer.main', 'final')
    change(weights)
    source, out = write(tmp_path / 'source.pth', weights), tmp_path / 'out.pth'
    with pytest.raises(PublishedNameError, match=message):
        convert_published(config_of('actionformer.main'), source, out)
    assert not out.exists()


def test_weights_that_are_not_there_are_not_replaced_by_others(tmp_path):
    source = write(tmp_path / 'source.pth', None, published('actionformer.main', 'final'))
    with pytest.raises(CheckpointError, match=r"holds no state_dict_ema(?s:.*)weights='last'"):
        convert_published(config_of('actionformer.main'), source, tmp_path / 'out.pth')


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return print, ('attacked',)

    torch.save({'state_dict_ema': Attack()}, tmp_path / 'attack.pth')
    with pytest.raises(CheckpointError, match='not a checkpoint that can be read safely'):
        convert_published(
            config_of('actionformer.main'), tmp_path / 'attack.pth', tmp_path / 'out.pth'
        )
