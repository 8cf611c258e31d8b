"""Similarity Matching: the target, the loss against it, and which side of it learns."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch.testing import assert_close

import mmsola  # noqa: F401

CHANNELS = 6


def build_loss(**kwargs):
    return MODELS.build(dict(type='SimilarityMatchingLoss', **kwargs))


def build_head(seed=0, **kwargs):
    torch.manual_seed(seed)
    cfg = dict(type='SimilarityMatchingHead', in_channels=CHANNELS, predictor_channels=10) | kwargs
    return MODELS.build(cfg)


def gathered(batch=3, num=8, seed=1):
    return torch.randn(batch, CHANNELS, num, generator=torch.Generator().manual_seed(seed))


def random_cosine(batch=4, num=8, seed=2):
    return torch.rand(batch, num, num, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_a_target_first_asked_for_in_inference_can_be_trained_against():
    coef = 11.5  # of no other test
    with torch.inference_mode():
        build_loss(coef=coef).floor(5)
        build_loss(coef=coef)(random_cosine(num=5))
    cosine = random_cosine(num=5).requires_grad_()
    build_loss(coef=coef)(cosine).backward()
    assert cosine.grad.abs().sum() > 0


# --- the target -----------------------------------------------------------------------------------


def test_target_of_each_interval_is_the_published_one():
    target = build_loss().target(8)
    published = torch.tensor([1, 1.000, 0.982, 0.855, 0.731, 0.655, 0.609, 0.581])
    assert_close(target[0], published, atol=5e-4, rtol=0)
    assert target[0, 1] < 1, 'only a snippet itself is surely alike'


def test_target_depends_on_the_interval_alone():
    target = build_loss().target(8)
    assert torch.equal(target, target.T)
    assert torch.equal(target[1:, 1:], target[:-1, :-1])
    assert target.diagonal().eq(1).all()
    assert target[0].diff().lt(0).all() and target.min() > 0.5


@pytest.mark.parametrize('coef', [0.5, 16.0, 100.0])
def test_target_is_the_sigmoid_of_coef_over_the_squared_interval(coef):
    interval = torch.arange(1, 6, dtype=torch.float32)
    assert_close(build_loss(coef=coef).target(6)[0, 1:], 1 / (1 + torch.exp(-coef / interval**2)))


# --- the loss -------------------------------------------------------------------------------------


@pytest.mark.parametrize('num', [2, 8, 20])
@pytest.mark.parametrize('weight', [1.0, 2.5])
def test_floor_is_reached_by_the_target_itself(num, weight):
    loss = build_loss(loss_weight=weight)
    cosine = (2 * loss.target(num) - 1).expand(3, num, num)
    assert_close(loss(cosine), loss.floor(num))


def test_floor_is_the_mean_entropy_of_the_target():
    loss = build_loss()
    off_diagonal = loss.target(8)[~torch.eye(8, dtype=torch.bool)].double()
    entropy = -(off_diagonal * off_diagonal.log() + (1 - off_diagonal) * (-off_diagonal).log1p())
    # the eight sure pairs of the diagonal have none, but for eps
    assert loss.floor(8).item() == pytest.approx(entropy.nansum().item() / 64, abs=1e-5)


def test_floor_is_the_minimum():
    loss = build_loss()
    best = (2 * loss.target(8) - 1).expand(4, 8, 8)
    for size in (1e-3, 1e-2, 0.1, 1.0):
        other = (best + size * random_cosine()).clamp(-1, 1)
        assert loss(other) > loss.floor(8)
    assert_close(loss(torch.ones(1, 8, 8)) > loss.floor(8), torch.tensor(True))


def test_loss_descends_towards_the_target():
    loss = build_loss()
    cosine = random_cosine().requires_grad_()
    loss(cosine).backward()
    too_low = (1 + cosine.detach()) / 2 < loss.target(8)
    assert cosine.grad[too_low].lt(0).all() and cosine.grad[~too_low].gt(0).all()


def test_loss_is_the_mean_over_batch_and_positions():
    loss, cosine = build_loss(), random_cosine()
    probability, target = (1 + cosine) / 2, loss.target(8)
    by_hand = -(target * probability.log() + (1 - target) * (1 - probability).log())
    assert_close(loss(cosine), by_hand.mean(), rtol=1e-4, atol=1e-4)
    assert_close(build_loss(loss_weight=3.0)(cosine), 3 * loss(cosine))
    assert_close(torch.stack([loss(c[None]) for c in cosine]).mean(), loss(cosine))


@pytest.mark.parametrize('sign', [1.0, -1.0])
def test_loss_and_gradients_are_finite_where_cosine_meets_its_bounds(sign):
    # rounding carries a cosine a little past 1
    cosine = (sign * torch.full((2, 8, 8), 1 + 1e-6)).requires_grad_()
    loss = build_loss()(cosine)
    loss.backward()
    assert loss.isfinite() and loss < 13, 'no more than -log(eps)'
    assert cosine.grad.isfinite().all()


def test_half_precision_cosines_are_compared_in_single_precision():
    cosine = torch.eye(8).mul(2).sub(1)[None].bfloat16()  # both bounds: eps is lost in bfloat16
    loss = build_loss()
    with torch.autocast('cpu', torch.bfloat16):
        under_autocast = loss(cosine)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, loss(cosine.float()))


@pytest.mark.parametrize('arguments', [dict(coef=0), dict(coef=-1.0), dict(eps=0), dict(eps=0.5)])
def test_loss_refuses_a_coef_or_eps_without_meaning(arguments):
    with pytest.raises(ValueError, match='coef must be positive and eps inside'):
        build_loss(**arguments)


# --- the head -------------------------------------------------------------------------------------


def test_row_is_the_feature_and_column_the_prediction():
    head, x = build_head(), gathered()
    z = x.transpose(1, 2) / x.norm(dim=1)[..., None]
    p = head.predictor(z)
    by_hand = torch.einsum('bic,bjc->bij', z, p) / p.norm(dim=-1)[:, None, :]
    assert_close(head(x), by_hand)
    assert head(x).abs().max() <= 1 + 1e-6


def test_gradient_is_stopped_on_the_side_of_the_feature():
    """A constant prediction leaves x only the way through z, and that one is closed."""
    head = build_head()
    torch.nn.init.zeros_(head.predictor[-1].weight)
    x = gathered().requires_grad_()
    loss = head.loss(x)['loss']
    loss.backward()
    assert not x.grad.any()
    assert head.predictor[-1].bias.grad.any()
    assert head.loss(gathered(seed=5))['loss'] != loss, 'the value does depend on x'


def test_gradient_passes_through_the_prediction():
    head, (i, j) = build_head(), (2, 5)
    x = gathered().requires_grad_()
    head(x)[0, i, j].backward()
    reached = x.grad.abs().sum(1).nonzero().tolist()
    assert reached == [[0, j]]
    assert all(parameter.grad.any() for parameter in head.predictor.parameters())


def test_similarity_does_not_depend_on_the_length_of_features():
    head, x = build_head(), gathered()
    lengths = torch.linspace(0.01, 50, 8)
    assert_close(head(x * lengths), head(x), rtol=1e-4, atol=1e-5)


def test_similarity_does_not_depend_on_the_length_of_predictions():
    head, x = build_head(), gathered()
    before = head(x)
    with torch.no_grad():
        for parameter in head.predictor[-1].parameters():
            parameter.mul_(7)
    assert_close(head(x), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('num_layers', [0, 1, 2, 3])
@pytest.mark.parametrize('width', [None, 4])
def test_projection_has_as_many_linear_layers_as_asked(num_layers, width):
    head = build_head(num_projection_layers=num_layers, projection_channels=width)
    linear = [layer for layer in head.project if isinstance(layer, torch.nn.Linear)]
    out_channels = (width or CHANNELS) if num_layers else CHANNELS
    assert len(linear) == num_layers
    assert all(layer.out_features == out_channels for layer in linear)
    x = gathered()
    projected = head.project(x.transpose(1, 2))
    assert projected.shape == (3, 8, out_channels)
    if num_layers == 0:
        assert torch.equal(projected, x.transpose(1, 2))
    elif num_layers > 1:
        assert not isinstance(head.project[-1], torch.nn.ReLU), 'z may point anywhere'
        assert any(isinstance(layer, torch.nn.ReLU) for layer in head.project)
    head.loss(x)['loss'].backward()
    assert all(layer.weight.grad.any() for layer in linear), 'it learns through the prediction'


def test_kl_is_the_loss_above_its_floor():
    head = build_head(loss=dict(type='SimilarityMatchingLoss', coef=4.0, loss_weight=2.0))
    for seed in range(5):
        losses = head.loss(gathered(seed=seed, num=5))
        assert set(losses) == {'loss', 'kl'}
        assert losses['kl'] >= 0 and not losses['kl'].requires_grad
        assert_close(losses['loss'] - head.loss_module.floor(5), losses['kl'])


def test_training_the_head_alone_brings_the_kl_down():
    head, x = build_head(), gathered()
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.02)
    first = head.loss(x)['kl']
    for _ in range(40):
        optimizer.zero_grad()
        head.loss(x)['loss'].backward()
        optimizer.step()
    assert head.loss(x)['kl'] < 0.8 * first


def test_autocast_gives_nearly_the_loss_of_single_precision_and_gives_it_in_single_precision():
    head, x = build_head(num_projection_layers=1), gathered(batch=16)
    plain = head.loss(x)['loss']
    with torch.autocast('cpu', torch.bfloat16):
        mixed = head.loss(x)
        assert head(x).dtype == torch.float32
    assert mixed['loss'].dtype == mixed['kl'].dtype == torch.float32
    assert mixed['loss'].item() == pytest.approx(plain.item(), rel=5e-3)
    mixed['loss'].backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in head.parameters())


@pytest.mark.parametrize('num_layers', [-1, 4, 1.5])
def test_other_numbers_of_projection_layers_are_refused(num_layers):
    with pytest.raises(ValueError, match=f'num_projection_layers is 0, 1, 2 or 3.*{num_layers}'):
        build_head(num_projection_layers=num_layers)


def test_neither_loss_nor_floor_is_taken_under_autocast(monkeypatch):
    """GPU autocast refuses binary cross entropy; CPU autocast would let it pass."""
    entropy = F.binary_cross_entropy

    def refuse(*args):
        assert not torch.is_autocast_enabled('cpu')
        return entropy(*args)

    monkeypatch.setattr(F, 'binary_cross_entropy', refuse)
    head = MODELS.build(dict(type='SimilarityMatchingHead', in_channels=4, predictor_channels=4))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert set(head.loss(torch.rand(2, 4, 8))) == {'loss', 'kl'}


def test_a_width_without_layers_is_said_to_change_nothing(log_lines):
    build_head(num_projection_layers=0, projection_channels=7)
    assert any('projection_channels=7 changes nothing' in line for line in log_lines)


@MODELS.register_module()
class TwiceAsLong(torch.nn.Module):
    """A predictor of a user's own."""

    def __init__(self, in_channels, factor=1.0):
        super().__init__()
        self.in_channels, self.factor = in_channels, factor

    def forward(self, z):
        return self.factor * z


def test_the_predictor_is_a_part_that_the_config_names():
    own = build_head(predictor=dict(type='TwiceAsLong', factor=2.0), predictor_channels=None)
    assert own.predictor.in_channels == CHANNELS
    x = torch.rand(2, CHANNELS, 5)
    cosine = own(x)  # of z with itself
    torch.testing.assert_close(cosine.diagonal(dim1=1, dim2=2), torch.ones(2, 5))
    # the short form is the same as the long one
    for parts in (
        dict(predictor=dict(hidden_channels=3), predictor_channels=None),
        dict(predictor=dict(type='MLPPredictor', hidden_channels=3), predictor_channels=3),
        dict(predictor_channels=3),
    ):
        assert build_head(**parts).predictor[0].out_features == 3
    with pytest.raises(ValueError, match='hidden_channels is 99, predictor_channels is 3'):
        build_head(predictor=dict(hidden_channels=99), predictor_channels=3)
