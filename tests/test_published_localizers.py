"""The numbers of the published one-stage localizers, on small random tensors.

``data/actionformer_reference.npz`` and ``temporalmaxer_reference.npz`` were written by the authors'
code, ``tridet_reference.npz`` by OpenTAD's port: initial weights under the authors' names, inputs,
what each level puts out, targets, three steps of AdamW, and predictions with the final weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData
from torch.testing import assert_close

import mmsola  # noqa: F401
from mmsola.models.localizers.published_names import fitted, renamed

DATA = Path(__file__).parent / 'data'
RANGES = [(0, 4), (4, 8), (8, 10000)]
WIDER_RANGES = [(0, 4), (2, 8), (4, 10000)]
SIZE = dict(feat_dim=12, channels=16, num_levels=3, max_snippets=48)
TRANSFORMER = dict(num_stem=1, num_heads=2, window=5, drop_path=0.0)


def model_of(kind, num_classes=3, **parts):
    head = {'ranges': RANGES, **parts.pop('head', {})}
    return dict(type=kind, num_classes=num_classes, **SIZE, head=head, **parts)


CASES = {
    'actionformer.main': model_of(
        'ActionFormer', embedding=dict(num_convs=1), backbone=TRANSFORMER
    ),
    'actionformer.abs_pe': model_of(
        'ActionFormer',
        num_classes=2,
        embedding=dict(num_convs=2, positions=True),
        backbone={**TRANSFORMER, 'window': [5, 5, -1], 'drop_path': 0.1},
        head=dict(
            ranges=WIDER_RANGES,
            label_smoothing=0.1,
            loss_weight=2.0,
            init_loss_norm=200.0,
        ),
        test_cfg=dict(top_k=20),
    ),
    'actionformer.conv': model_of(
        'ActionFormer',
        embedding=dict(num_convs=1),
        backbone=dict(type='ConvPyramid', num_stem=1),
        pyramid=dict(type='FeaturePyramid'),
        head=dict(loss_weight=-1.0, assigner=dict(type='CenterAssigner', radius=None)),
    ),
    'actionformer.rel_pe': model_of(
        'ActionFormer',
        embedding=dict(in_channels=[8, 4], split_channels=[10, 6], num_convs=1),
        backbone={**TRANSFORMER, 'relative_bias': True},
    ),
    'temporalmaxer.main': model_of('TemporalMaxer'),
    'temporalmaxer.layernorm': model_of(
        'TemporalMaxer',
        pyramid=dict(norm='layer', shared=True),
        head=dict(ranges=WIDER_RANGES, assigner=dict(keep_percent=0.5, confuse_weight=0.1)),
    ),
    'tridet.main': model_of(
        'TriDet',
        embedding=dict(num_convs=1, noise=0.0),
        backbone=dict(num_stem=1, mlp_channels=24, k=5),
        head=dict(num_bins=4),
    ),
    'tridet.anet_like': model_of(
        'TriDet',
        num_classes=1,
        embedding=dict(num_convs=1, noise=0.0, positions=True),
        backbone=dict(num_stem=1, mlp_channels=24, window=5, k=1.3),
        head=dict(
            ranges=WIDER_RANGES,
            num_bins=6,
            boundary_kernel_size=1,
            iou_power=1.0,
            label_smoothing=0.1,
        ),
    ),
}
ALL = pytest.mark.parametrize('case', CASES)
# Their gradients are zero but for rounding, which AdamW blows up.
ROUNDING = ('attention.key.bias', 'attention.key_norm.bias', 'head.end.out.bias')


@pytest.fixture(scope='module')
def references():
    found = {}
    for method in ('actionformer', 'temporalmaxer', 'tridet'):
        with np.load(DATA / f'{method}_reference.npz') as file:
            found[method] = {key: file[key] for key in file.files}
    return found


class Reference:
    """The numbers of one case."""

    def __init__(self, references, case):
        method, self.case = case.split('.')
        self.numbers = references[method]

    def __getitem__(self, key):
        value = self.numbers.get(f'{self.case}.{key}', self.numbers.get(key))
        return torch.from_numpy(np.asarray(value))

    def __contains__(self, key):
        return f'{self.case}.{key}' in self.numbers

    def under(self, prefix):
        prefix = f'{self.case}.{prefix}.'
        return {
            key.removeprefix(prefix): torch.from_numpy(np.asarray(value))
            for key, value in self.numbers.items()
            if key.startswith(prefix) and value.dtype.kind != 'U'
        }

    def parameters(self, group, model):
        expected = dict(model.named_parameters())
        found = renamed(self.under(group))
        if group == 'grad':  # what has none is not stored
            expected = {k: v for k, v in expected.items() if k in found}
        return fitted(found, expected, group)


@pytest.fixture
def reference(references, case):
    return Reference(references, case)


@pytest.fixture
def model(case, reference):
    """With the authors' initial weights, in the double precision that they were run in."""
    model = MODELS.build(CASES[case])
    missing = model.load_state_dict(reference.parameters('init', model), strict=False).missing_keys
    assert missing == ['head.running_norm']
    model = model.double()
    # the random part was switched off
    for module in model.modules():
        if hasattr(module, 'drop_prob'):
            module.drop_prob = 0.0
    return model


def batch_of(reference):
    samples = []
    for i in range(2):
        sample = ActionDataSample()
        labels = reference[f'shared.labels.v{i}']
        if reference.case in ('abs_pe', 'anet_like'):
            labels = labels % (2 if reference.case == 'abs_pe' else 1)
        sample.gt_instances = InstanceData(
            gt_segments=reference[f'shared.segments.v{i}'], gt_labels=labels
        )
        samples.append(sample)
    inputs = [reference[f'shared.feats.T{length}'].double() for length in (48, 31)]
    return inputs, samples


def assert_near(found, expected, tolerance=1e-5):
    assert_close(found.double(), expected.double(), rtol=tolerance, atol=tolerance)


# --- networks -------------------------------------------------------------------------------------


def stored_levels(reference, group, key):
    """``(B, C, T_l)`` of each level."""
    return [reference[f'{group}.{key}.l{level}'] for level in range(3)]


@ALL
def test_each_level_has_the_published_features(case, reference, model):
    batch, mask = model._padded(batch_of(reference)[0])
    is_tridet = case.startswith('tridet')
    features, masks = model.backbone(model.embedding(batch, mask), mask)
    backbone, pyramid = ('proj', 'neck') if is_tridet else ('backbone', 'fpn')
    for level, expected in enumerate(stored_levels(reference, 'train', backbone)):
        assert_near(features[level], expected)
        assert torch.equal(masks[level][:, 0], reference[f'train.mask.l{level}'].bool())
    for found, expected in zip(
        model.pyramid(features, masks), stored_levels(reference, 'train', pyramid)
    ):
        assert_near(found, expected)


@ALL
def test_the_head_has_the_published_outputs(case, reference, model):
    features, masks = model.extract(*model._padded(batch_of(reference)[0]))
    found = model.head(features, masks)
    logits = stored_levels(reference, 'train', 'cls_logits')
    if case.startswith('tridet'):
        assert_near(found.logits, torch.cat(logits, 2).transpose(1, 2))
        assert_near(found.offsets, reference['train.decoded_offsets'])
    else:
        assert_near(found.logits, torch.cat(logits, 1))
        assert_near(found.offsets, torch.cat(stored_levels(reference, 'train', 'offsets'), 1))
    points = torch.cat(stored_levels(reference, 'train', 'points'))
    assert torch.equal(model.head.points(masks), points)


@ALL
def test_points_learn_what_they_learn_in_the_original(case, reference, model):
    inputs, samples = batch_of(reference)
    features, masks = model.extract(*model._padded(inputs))
    found = model.head.targets(
        model.head(features, masks),
        model.head.points(masks),
        torch.cat(masks, 2)[:, 0],
        [sample.gt_instances.gt_segments for sample in samples],
        [sample.gt_instances.gt_labels for sample in samples],
    )
    for i, valid in enumerate(torch.cat(masks, 2)[:, 0]):
        classes, offsets, weights = (column[i] for column in found)
        expected = reference[f'train.gt_cls.v{i}']
        assert torch.equal(classes, expected)
        positive = (expected.sum(1) > 0) & valid
        assert_near(offsets[positive], reference[f'train.gt_offset.v{i}'][positive])
        if f'train.weight.v{i}' in reference:
            assert_near(weights[valid], reference[f'train.weight.v{i}'][valid])


@ALL
def test_three_steps_of_adamw_are_the_published_ones(case, reference, model):
    """Losses, their running norm, gradients, their length, and the weights at the end."""
    inputs, samples = batch_of(reference)
    key = 'losses_cls_reg_total' if case.startswith('tridet') else 'losses'
    losses, norms = reference[f'train.{key}'], reference['train.loss_normalizer']
    lengths = reference['train.grad_norm_before_clip']
    settings = 'lr_wd_clip' if case.startswith('tridet') else 'lr_wd_clip_emadecay'
    lr, decay, clip = reference[f'train.hparams_{settings}'][:3].tolist()
    plain = {name for name, _ in model.named_parameters() if is_decayed(name)}
    optimizer = torch.optim.AdamW(
        [
            dict(params=[p for n, p in model.named_parameters() if n in plain], weight_decay=decay),
            dict(params=[p for n, p in model.named_parameters() if n not in plain], weight_decay=0),
        ],
        lr=lr,
    )
    model.head.running_norm.fill_(norms[0])
    for step in range(3):
        found = model(inputs, samples, mode='loss')
        total = found['loss_cls'] + found['loss_reg']
        assert_near(torch.stack([found['loss_cls'], total]), losses[step, [0, 2]])
        if model.head.loss_weight > 0:  # else it is made as large as that on classes
            assert_near(found['loss_reg'] / model.head.loss_weight, losses[step, 1])
        assert_near(model.head.running_norm, norms[step + 1])
        optimizer.zero_grad()
        total.backward()
        if step == 0:
            gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
            for name, expected in reference.parameters('grad', model).items():
                assert_near(gradients[name], expected)
        length = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        assert_near(length, lengths[step])
        optimizer.step()
    final = reference.parameters('final', model)
    for name, parameter in model.named_parameters():
        if not name.endswith(ROUNDING):
            assert_near(parameter.detach(), final[name])


def is_decayed(name):
    return not any(part in name for part in ('norm', 'bias', 'scale'))


# --- predictions ----------------------------------------------------------------------------------


def predicted(case, reference, length, nms):
    """What the whole localizer says of a video, with the weights after three steps."""
    cfg = {**CASES[case]}
    cfg['test_cfg'] = {**cfg.get('test_cfg', {}), 'nms': nms}
    model = MODELS.build(cfg)
    model.load_state_dict(reference.parameters('final', model), strict=False)
    sample = ActionDataSample()
    key = f'eval{length}.meta'
    if case.startswith('tridet'):
        fps, stride, first, duration = reference[f'{key}.fps_stride_offsetframes_duration'].tolist()
    else:
        fps, stride, window, duration = reference[f'{key}.fps_stride_numframes_duration'].tolist()
        first = window / 2
    sample.set_metainfo(dict(grid_sec=(first / fps, stride / fps), covered_sec=(0, duration)))
    (result,) = model.eval()([reference[f'shared.feats.T{length}']], [sample], mode='predict')
    columns = ('segment', 'score', 'label')
    rows = [[p[column] for column in columns] for p in result['proposal_list']]
    segments, scores, labels = zip(*rows)
    return torch.tensor(segments), torch.tensor(scores), [int(label) for label in labels]


SOFT = dict(sigma=0.5, min_score=0.001, max_segments=200)
VOTED = dict(per_class=False, voting_tiou=0.7)


@pytest.mark.parametrize('length', [48, 31, 70])
@pytest.mark.parametrize(
    ('case', 'rule', 'nms'),
    [
        ('actionformer.main', 'soft_multiclass', SOFT),
        ('actionformer.main', 'soft_agnostic_vote', {**SOFT, **VOTED}),
        ('temporalmaxer.main', 'soft_multiclass', SOFT),
        ('temporalmaxer.main', 'soft_agnostic_vote', {**SOFT, **VOTED}),
    ],
)
def test_predictions_are_the_published_ones_in_single_precision(
    case, rule, nms, length, references
):
    """Shorter than the training's sequences, as long, and longer."""
    reference = Reference(references, case)
    segments, scores, labels = predicted(case, reference, length, nms)
    expected = f'eval{length}.{rule}'
    assert labels == reference[f'{expected}.labels'].tolist()
    assert_near(segments, reference[f'{expected}.segments_seconds'], 2e-5)
    assert_near(scores, reference[f'{expected}.scores'])
