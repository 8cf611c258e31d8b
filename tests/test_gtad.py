"""G-TAD: the authors' numbers, equal arithmetic in less time, and what its arguments change.

``data/gtad_reference.npz`` was written by the authors' modules and their kernel's own text. Weights
are not in it: each tensor is drawn from a seed.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData
from small_localizers import CHANNELS, GTAD, LENGTH
from torch.testing import assert_close

from mmsola.evaluation.classified_proposals import ProposalClasses
from mmsola.messages.argument_checks import ArgumentError
from mmsola.models.layers.gcnext import GCNeXt, nearest_neighbours
from mmsola.models.localizers.proposals import ranked_proposals, subgraph_proposals
from mmsola.models.localizers.subgraph_alignment import (
    SubgraphAlignment,
    pooling_shares,
    stretches,
)
from mmsola.models.localizers.subgraph_labels import subgraph_labels
from mmsola.models.losses.subgraph_loss import (
    boundary_loss,
    proposal_classification_loss,
    proposal_regression_loss,
)
from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.structures.proposal_nms import soft_nms
from mmsola.structures.window_merging import merge_windows

EXACT = dict(rtol=1e-9, atol=1e-11)
SINGLE = dict(rtol=1e-5, atol=1e-5)
CASES = ['net16x16', 'net16x10', 'net16x16_samp1_style2']
CONTEXTS = ['none', 'last_layer', 'all_layers']


@pytest.fixture(scope='module')
def reference():
    with np.load(Path(__file__).parent / 'data' / 'gtad_reference.npz') as file:
        return dict(file)


def published(reference, case, **changes):
    """The model of a case, with its weights, in double precision."""
    length, longest, samples, style = reference[f'{case}.options_tscale_maxdur_samp_style'].tolist()
    settings = dict(
        temporal_dim=length,
        max_duration=longest,
        samples_per_bin=samples,
        context=CONTEXTS[style],
    )
    model = MODELS.build(dict(type='GTAD', feat_dim=40, **settings, **changes)).double()
    names = str(reference[f'{case}.param_names']).split('\n')
    sums, scales = reference[f'{case}.param_sums'], reference[f'{case}.param_scales']
    state = {}
    for k, (name, (_, own)) in enumerate(zip(names, model.state_dict().items())):
        drawn = np.random.default_rng(9000 + k).standard_normal(tuple(own.shape)) * scales[k]
        state[name] = torch.from_numpy(drawn.astype(np.float32)).double()
        assert np.isclose(state[name].sum().item(), sums[k])
    model.load_state_dict(state, strict=True)
    return model


def parts_of_loss(model, reference, case, draws):
    """Regression, classification, their sum, node and total, as the reference orders them."""
    of = {k: torch.from_numpy(reference[f'{case}.{k}']) for k in ('label.start', 'label.end')}
    features = torch.from_numpy(reference['net.features']).double().requires_grad_()
    confidence, start, end = model(features)
    valid = model.valid_proposals(torch.device('cpu'))
    tiou = torch.from_numpy(reference[f'{case}.label.iou_map_unmasked']) * valid
    regression = proposal_regression_loss(confidence[:, 0], tiou, draws)
    classification = proposal_classification_loss(confidence[:, 1], tiou, valid)
    node = boundary_loss(start, of['label.start']) + boundary_loss(end, of['label.end'])
    both = model.regression_weight * regression + model.classification_weight * classification
    return torch.stack([regression, classification, both, node, both + node]), features


def drawn(reference, case):
    names = [f'{case}.loss.rand_medium', f'{case}.loss.rand_low']
    return torch.from_numpy(np.stack([reference[name] for name in names]))


# --- the authors' numbers -------------------------------------------------------------------------


@pytest.mark.parametrize(('num_bins', 'samples'), [(16, 0), (4, 0), (4, 1), (4, 2)])
def test_pooling_is_the_published_kernel_forward_and_backward(reference, num_bins, samples):
    rois = reference['align.rois_batch_start_end']
    features = torch.from_numpy(reference['align.features']).requires_grad_()
    num_positions = features.shape[2]
    weights = np.zeros((len(rois), num_bins, num_positions))
    roi, point, position, share = pooling_shares(rois[:, 1:], num_bins, num_positions, samples)
    np.add.at(weights, (roi, point, position), share)
    of_rois = features[rois[:, 0].astype(int)]
    found = torch.einsum('rct,rnt->rcn', of_rois, torch.from_numpy(weights))
    name = f'align.res{num_bins}_samp{samples}'
    assert_close(found, torch.from_numpy(reference[f'{name}.out']), **EXACT)
    (found * torch.from_numpy(reference[f'{name}.upstream'])).sum().backward()
    assert_close(features.grad, torch.from_numpy(reference[f'{name}.grad_features']), **EXACT)


@pytest.mark.parametrize('fast', [True, False])
@pytest.mark.parametrize('case', CASES)
def test_the_network_puts_out_the_published_scores(reference, case, fast):
    model = published(reference, case, fast=fast)
    found = model(torch.from_numpy(reference['net.features']).double())
    for name, value in zip(('iou_map', 'start', 'end'), found):
        expected = torch.from_numpy(reference[f'{case}.{name}'])
        assert_close(value, expected, **EXACT)
        assert expected.std() > 0.01


@pytest.mark.parametrize('case', CASES)
def test_the_steps_of_the_network_are_the_published_ones(reference, case):
    model = published(reference, case)
    x = model.backbone1[:2](torch.from_numpy(reference['net.features']).double())
    neighbours = nearest_neighbours(x, 3)
    expected = torch.from_numpy(reference[f'{case}.knn_index_first_gcnext'])
    assert torch.equal(neighbours.sort(dim=2).values, expected.sort(dim=2).values)
    base = model.backbone1[2](x)
    feature = model.backbone2(base)
    for found, name in ((base, 'base'), (feature, 'gcnext')):
        assert_close(
            found[:, :8], torch.from_numpy(reference[f'{case}.{name}_feature_ch0_7']), **EXACT
        )
    if case == 'net16x16_samp1_style2':  # whose context is that of both blocks
        return
    context = torch.stack(
        [feature[b][:, rows] for b, rows in enumerate(nearest_neighbours(feature, 3))]
    )
    pooled = model._aligned_on(feature).pool([feature, context.mean(dim=-1)])
    assert pooled.shape[1] == 8192
    expected = torch.from_numpy(reference[f'{case}.goi_align_ch0_63_dur3'])
    assert_close(pooled[:, :64, 3], expected, **EXACT)


@pytest.mark.parametrize('case', CASES)
def test_labels_are_the_published_ones(reference, case):
    """The published code cuts the fraction of a frame off for the map, and not for the nodes."""
    length, skip = reference['label.temporal_scale_skip'].tolist()
    longest = reference[f'{case}.label.iou_map_unmasked'].shape[1]
    for i in range(2):
        first = reference[f'label.snippet_frames.v{i}'][0] - skip / 2
        frames = reference[f'label.gt_frames.v{i}']
        of_map, of_nodes = (
            [x[0] for x in subgraph_labels(torch.from_numpy(segments)[None], length, longest)]
            for segments in ((frames - at) / (skip * length) for at in (int(first), first))
        )
        expected = [reference[f'{case}.label.{k}'][i] for k in ('iou_map_unmasked', 'start', 'end')]
        np.testing.assert_allclose(of_map[0], expected[0], atol=1e-6)
        np.testing.assert_allclose(of_nodes[1], expected[1], atol=1e-6)
        np.testing.assert_allclose(of_nodes[2], expected[2], atol=1e-6)
        assert expected[0].max() > 0.7 and expected[1].max() > 0.5 and expected[2].max() > 0.5


@pytest.mark.parametrize('case', CASES)
def test_losses_are_the_published_ones(reference, case):
    model = published(reference, case)
    valid = model.valid_proposals(torch.device('cpu'))
    assert torch.equal(valid, torch.from_numpy(reference[f'{case}.mask']))
    losses, _ = parts_of_loss(model, reference, case, drawn(reference, case))
    expected = torch.from_numpy(reference[f'{case}.loss.reg_cls_subgraph_node_total'])
    assert_close(losses, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize('fast', [True, False])
def test_gradients_and_a_step_of_adam_are_the_published_ones(reference, fast):
    case = 'net16x16'
    model = published(reference, case, fast=fast)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-5, weight_decay=1e-4)
    losses, features = parts_of_loss(model, reference, case, drawn(reference, case))
    losses[-1].backward()
    norms = torch.stack([parameter.grad.norm() for parameter in model.parameters()])
    expected = torch.from_numpy(reference[f'{case}.grad_norm_per_param'])
    assert_close(norms, expected, rtol=1e-6, atol=1e-8)
    expected = torch.from_numpy(reference[f'{case}.grad_features'])
    assert_close(features.grad, expected, rtol=1e-6, atol=1e-8)
    total = torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
    assert_close(total.item(), float(reference[f'{case}.grad_total_norm']), rtol=1e-6, atol=0)
    optimizer.step()
    random = np.random.RandomState(8)
    draws = torch.from_numpy(np.stack([random.rand(2, 16, 16) for _ in range(2)]))
    losses, _ = parts_of_loss(model, reference, case, draws)
    expected = float(reference[f'{case}.loss.total_after_one_adam_step_npseed8'])
    assert_close(losses[-1].item(), expected, rtol=1e-6, atol=0)


def test_proposals_are_the_published_ones(reference, tmp_path):
    """Of two windows, of the video, and with the classes of it."""
    skip, alpha, length, longest = reference['post.skip_nms_thr_tscale_maxdur'].tolist()
    length, longest = int(length), int(longest)
    windows = []
    for i, offset in enumerate(reference['post.window_offsets_frames'].tolist()):
        given = reference[f'post.window{i}.proposals_xmin_xmax_clr_reg']
        confidence = np.zeros((2, longest, length))
        first = ((given[:, 0] - offset) / skip).round().astype(int)
        row = ((given[:, 1] - given[:, 0]) / skip).round().astype(int) - 1
        confidence[1, row, first], confidence[0, row, first] = given[:, 2], given[:, 3]
        # all that end before the last snippet; 300 frames are too long
        found = subgraph_proposals(confidence, longest=round(300 / skip))
        assert len(subgraph_proposals(confidence)) == len(given) >= len(found)
        found[:, :2] = found[:, :2] * length * skip + offset
        expected = reference[f'post.window{i}.softnms_score_xmin_xmax'][:, [1, 2, 0]]
        picked = soft_nms(found, alpha, 0, 0, 200)
        # the published loop never puts out the last one that is left
        picked = picked[: len(expected)]
        np.testing.assert_allclose(picked, expected, rtol=1e-9)
        windows.append(('v', LabelledSegments(picked[:, :2], [''] * len(picked), picked[:, 2])))
    merged = merge_windows(windows, alpha, 0, 200)['v']
    expected = reference['post.merged.score_xmin_xmax']
    np.testing.assert_allclose(merged.segments, expected[:, 1:], rtol=1e-9)
    np.testing.assert_allclose(merged.scores, expected[:, 0], rtol=1e-9)
    of_classes = zip(reference['post.thumos_class_ids'], reference['post.class_scores'].tolist())
    scores = {'results': {'v': {str(label): score for label, score in of_classes}}}
    (tmp_path / 'classes.json').write_text(json.dumps(scores))
    classes = ProposalClasses(str(tmp_path / 'classes.json'), top_k=2, multiply=True)
    found = classes.detections({'v': merged})['v']
    order = np.arange(400).reshape(2, 200).T.flatten()  # a proposal's classes beside each other
    assert [int(found.labels[i]) for i in order] == reference['post.result.class_id'].tolist()
    # the published ones are rounded to six digits, and to a tenth of a second
    expected = reference['post.result.score']
    np.testing.assert_allclose(found.scores[order], expected, rtol=0, atol=5.1e-7)
    fps, num_frames = reference['post.fps_numframes'].tolist()
    seconds = found.segments[order].clip(0, num_frames) / fps
    expected = reference['post.result.segment_seconds']
    np.testing.assert_allclose(seconds, expected, rtol=0, atol=0.05 + 1e-9)


# --- the same in less time ------------------------------------------------------------------------


def build(**changes):
    torch.manual_seed(0)
    return MODELS.build({**GTAD, **changes})


def sequences(number=3, length=LENGTH, seed=0):
    return torch.randn(
        number, CHANNELS, length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


@pytest.mark.parametrize('roi_width', ['2L-1', '2L'])
@pytest.mark.parametrize('context', CONTEXTS)
@pytest.mark.parametrize('kernel_size_2d', [1, 3])
def test_fast_and_plain_are_equal(roi_width, context, kernel_size_2d):
    """Scores, and gradients of inputs and weights; with bins of two sizes, and D below T."""
    changes = dict(
        roi_width=roi_width,
        context=context,
        kernel_size_2d=kernel_size_2d,
        num_inner=6,
        num_context=3,
        max_duration=11,
    )
    fast, plain = build(**changes).double(), build(**changes, fast=False).double()
    results = []
    for model in (fast, plain):
        x = sequences().requires_grad_()
        confidence, start, end = model(x)
        weight = torch.randn(confidence.shape, generator=torch.Generator().manual_seed(1))
        ((confidence * weight).sum() + start.sum() - end.sum()).backward()
        results.append([confidence, start, end, x.grad, *(p.grad for p in model.parameters())])
    for a, b in zip(*results):
        assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_the_fast_path_never_has_the_published_map():
    """A step keeps less than one map of C * N channels, of which the plain one keeps several."""
    kept = []
    for fast in (True, False):
        model = build(hidden_dim_1d=64, temporal_dim=32, max_duration=32, fast=fast).double()
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, sizes=sizes: (sizes.append(x.numel()), x)[1], lambda x: x
        ):
            model(sequences(1, 32))
        kept.append(max(sizes))
    a_map = 64 * (GTAD['num_inner'] + GTAD['num_context']) * 32 * 32
    assert kept[0] < a_map / 4 and kept[1] >= a_map


def test_edges_are_weighed_before_they_are_gathered():
    """The block by its words: (neighbour; self) of each edge, all convolved, the greatest value."""
    block, x = GCNeXt(8, 4, 2).double(), sequences()[:, :8]
    neighbours = torch.cdist(x.mT, x.mT).topk(3, largest=False).indices  # (B, T, 3)
    rows = torch.arange(len(x))[:, None, None]
    edges = torch.cat(
        [x.mT[rows, neighbours], x.mT[:, :, None].expand(-1, -1, 3, -1)], dim=-1
    ).permute(0, 3, 1, 2)  # (B, 2 * C, T, 3)
    expected = torch.relu(block.tconvs(x) + x + block.sconvs(edges).amax(dim=-1))
    assert_close(block(x), expected)


def test_proposals_are_pooled_over_twice_their_length():
    for roi_width, width in (('2L-1', 7), ('2L', 8)):
        rois, column_of = stretches(16, 10, roi_width)
        start, end = rois[column_of.reshape(10, 16)[3, 5]]  # four snippets from the fifth
        assert (start, end - start) == (3, width)
        assert (rois[column_of.reshape(10, 16)[3, 13]] == 0).all()  # it ends after the sequence
        assert (column_of == len(rois) - 1).sum() == 45


def test_a_constant_is_pooled_to_itself_where_the_stretch_is_inside():
    alignment = SubgraphAlignment(32, 8, (5,), 0, '2L', torch.empty(0, dtype=torch.float64))
    pooled = alignment.pool([torch.ones(1, 2, 32, dtype=torch.float64)])
    assert_close(pooled[..., 4:20], torch.ones_like(pooled[..., 4:20]))
    # a quarter of this one lies before the sequence, where one snippet continues the first
    assert pooled[0, :5, 7, 0].tolist() == [0, 1, 1, 1, 1]


def test_batches_of_any_size_give_what_each_video_gives_alone():
    model, x = build().double(), sequences(5)
    together = model(x)
    for i in range(5):
        assert_close([part[i : i + 1] for part in together], list(model(x[i : i + 1])))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('fast', [True, False])
def test_half_precision_is_coarse_and_nothing_else(dtype, fast):
    """Of the whole model, and of autocast."""
    model = build(fast=fast).eval()
    with torch.no_grad():
        expected = model(sequences().float())
        with torch.autocast('cpu', torch.bfloat16):
            found = [model(sequences().float())]
        found.append(model.to(dtype)(sequences().to(dtype)))
    for outputs in found:
        for a, b in zip(outputs, expected):
            assert_close(a.float(), b, rtol=0.05, atol=0.02)
    assert found[1][0].dtype == dtype


# --- losses ---------------------------------------------------------------------------------------


def test_batches_without_a_positive_give_finite_losses_and_gradients():
    score = torch.rand(2, 10, 16, requires_grad=True)
    valid = torch.ones(10, 16)
    for tiou in (torch.zeros(2, 10, 16), torch.full((2, 10, 16), 0.5), torch.ones(2, 10, 16)):
        loss = proposal_regression_loss(score, tiou)
        loss = loss + proposal_classification_loss(score, tiou, valid)
        loss = loss + boundary_loss(score[:, 0], tiou[:, 0])
        assert torch.isfinite(loss)
        assert torch.isfinite(torch.autograd.grad(loss, score)[0]).all()


def test_positives_weigh_as_much_as_negatives():
    label = torch.tensor([[1.0] + 15 * [0.0]])
    assert_close(boundary_loss(torch.full((1, 16), 0.5), label), torch.tensor(0.5).log().neg())
    wrong_once, wrong_often = torch.full((1, 16), 0.5), torch.full((1, 16), 0.5)
    wrong_once[0, 0], wrong_often[0, 1:] = 0.2, 0.8
    assert_close(boundary_loss(wrong_once, label), boundary_loss(wrong_often, label))


def test_as_many_middle_and_low_proposals_count_as_high_ones():
    tiou = torch.cat([torch.full((10,), 0.8), torch.full((1000,), 0.5), torch.full((2000,), 0.1)])
    tiou = torch.cat([tiou, torch.zeros(500)]).view(1, 10, -1)
    torch.manual_seed(0)
    losses = [proposal_regression_loss(tiou + (tiou == 0.5), tiou) for _ in range(50)]
    assert_close(
        torch.stack(losses).mean().item(), 0.5 / 3, rtol=0.1, atol=0
    )  # a third is off by 1


@pytest.mark.parametrize(('regression', 'classification'), [(1.0, 10.0), (10.0, 1.0), (5.0, 1.0)])
def test_the_factor_is_where_it_is_asked_for(regression, classification):
    plain = build(regression_weight=1.0, classification_weight=1.0)
    model = build(regression_weight=regression, classification_weight=classification)
    (before, after) = (losses_of(each) for each in (plain, model))
    assert_close(after['loss_regression'], regression * before['loss_regression'])
    assert_close(after['loss_classification'], classification * before['loss_classification'])
    assert_close(after['loss_node'], before['loss_node'])


def losses_of(model):
    sample = ActionDataSample(metainfo=dict(video_name='v'))
    sample.gt_instances = InstanceData(gt_bbox=torch.tensor([[0.1, 0.5], [0.6, 0.9]]))
    torch.manual_seed(3)
    return model(list(sequences(1).float()), [sample], mode='loss')


# --- proposals ------------------------------------------------------------------------------------


def confidence(longest=5, length=8):
    return np.random.default_rng(0).random((2, longest, length))


def test_proposals_that_end_with_the_sequence_are_left_out_as_published_or_kept():
    strict, all_of_them = (subgraph_proposals(confidence(), strict_end=x) for x in (True, False))
    assert strict[:, 1].max() == 7 / 8 and all_of_them[:, 1].max() == 1
    assert len(all_of_them) - len(strict) == 5  # one of each length
    assert {tuple(row) for row in strict} < {tuple(row) for row in all_of_them}
    start, end, score = all_of_them[9]  # the second of two snippets, after eight of one
    assert (start, end) == (1 / 8, 3 / 8)
    assert score == confidence()[:, 1, 1].prod()


def test_long_proposals_and_unlikely_boundaries_can_be_left_out():
    found = subgraph_proposals(confidence(), longest=3)
    assert ((found[:, 1] - found[:, 0]) * 8).max() == 2
    start = np.array([0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1])
    end = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.8, 0.1, 0.1])
    found = subgraph_proposals(confidence(longest=6), (start, end), strict_end=False)
    assert {round(x * 8) for x in found[:, 0]} == {0, 2}
    assert {round(x * 8) for x in found[:, 1]} == {5, 7, 8}


def test_scores_decay_in_a_window_as_published_or_only_where_windows_are_merged():
    proposals = subgraph_proposals(confidence())
    info = dict(duration_frame=8, duration_second=8.0)
    decayed, kept = (
        ranked_proposals(proposals, info, 0.46, 0, 0, 6, 1, keep_scores=keep)
        for keep in (False, True)
    )
    assert len(decayed) == len(kept) == 6
    # the same ones are picked
    assert sorted(p['segment'] for p in decayed) == sorted(p['segment'] for p in kept)
    predicted = {(start * 8, end * 8): score for start, end, score in proposals.tolist()}
    for proposal in kept:
        assert proposal['score'] == predicted[tuple(proposal['segment'])]
    assert sum(p['score'] for p in decayed) < sum(p['score'] for p in kept)
    assert [p['score'] for p in kept] == sorted((p['score'] for p in kept), reverse=True)


def test_whether_scores_decay_is_asked_of_the_model():
    sample = ActionDataSample(
        metainfo=dict(video_name='v', duration_frame=160, duration_second=10.0)
    )
    model = build(post_process_top_k=20).eval()
    (decayed,), (kept,) = (
        each(list(sequences(1).float()), [sample], 'predict')
        for each in (model, build(post_process_top_k=20, double_decay=False).eval())
    )
    assert decayed['video_name'] == 'v'
    assert len(decayed['proposal_list']) == len(kept['proposal_list']) == 20
    total = [sum(p['score'] for p in each['proposal_list']) for each in (decayed, kept)]
    assert total[0] < total[1]


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(feat_dim=13), 'feat_dim is 13; expected a multiple of 4'),
        (dict(max_duration=17), 'max_duration is 17; expected 1 to 16'),
        (dict(temporal_dim=2, max_duration=2), 'temporal_dim is 2; expected 3 or more'),
        (dict(context='all'), "context is 'all'; expected 'none', 'last_layer' or 'all_layers'"),
        (dict(roi_width='L'), "roi_width is 'L'; expected '2L-1' or '2L'"),
        (dict(kernel_size_2d=2), 'kernel_size_2d is 2; expected odd'),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ArgumentError, match=message):
        build(**changes)
