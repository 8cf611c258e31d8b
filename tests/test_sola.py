"""The SoLa module: what it computes, what it may never do, and how its weights get in."""

from __future__ import annotations

import copy
import os

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModule, Sequential
from mmengine.optim import build_optim_wrapper
from mmengine.runner import load_checkpoint
from torch.testing import assert_close

from mmsola.models.checkpoint_file import CheckpointError, MissingCheckpoint
from mmsola.models.necks.sola import SoLa

CHANNELS, HIDDEN = 6, 5


def sola(alpha=0.7, bias=None, seed=0, **kwargs):
    """An opened module in double precision; ``bias`` pushes its hidden units away from zero."""
    torch.manual_seed(seed)
    cfg = dict(type='SoLa', in_channels=CHANNELS, hidden_channels=HIDDEN) | kwargs
    neck = MODELS.build(cfg).double()
    with torch.no_grad():
        for name, value in neck.state_dict().items():
            if name == 'alpha':
                value.fill_(alpha)
            elif bias is not None and name.endswith('bias'):
                value.fill_(bias)
    if neck.frozen:  # which must come from a checkpoint
        neck.load_state_dict(neck.state_dict())
    return neck


def sequence(batch=2, num_snippets=20, channels=CHANNELS, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, num_snippets, generator=generator).double()


# --- what it computes -----------------------------------------------------------------------------


def test_untrained_module_is_the_identity_to_the_last_bit():
    neck = MODELS.build(dict(type='SoLa', in_channels=CHANNELS, hidden_channels=HIDDEN))
    neck.init_weights()
    x = sequence().float()
    assert torch.equal(neck(x), x)


def test_untrained_module_can_leave_the_identity():
    """At alpha = 0 the gate has a gradient, or training would never start."""
    neck = sola(alpha=0.0)
    x = sequence()
    (neck(x) * sequence(seed=2)).sum().backward()
    assert neck.alpha.grad.abs().item() > 1e-3
    assert all(not p.grad.any() for p in neck.conv_network.parameters())


@pytest.mark.parametrize('alpha', [-30.0, -0.4, 30.0])
def test_change_is_tanh_alpha_times_the_network(alpha):
    neck = sola(alpha)
    x = sequence()
    expected = torch.tanh(torch.tensor(alpha).double()) * neck.conv_network(x)
    assert_close(neck(x) - x, expected)
    assert_close(neck.gate, torch.tanh(neck.alpha))


ARCHITECTURES = [
    dict(kernel_sizes=(5, 1), dilations=(1, 1)),
    dict(kernel_sizes=(1, 1), dilations=(1, 1)),
    dict(kernel_sizes=(3, 3), dilations=(1, 1)),
    dict(kernel_sizes=(3, 5), dilations=(2, 1)),
    dict(kernel_sizes=(1, 3), dilations=(1, 3)),
    dict(kernel_sizes=(7, 3), dilations=(1, 2)),
]
each_architecture = pytest.mark.parametrize('architecture', ARCHITECTURES, ids=str)


@each_architecture
def test_inside_a_sequence_a_shifted_input_gives_the_shifted_output(architecture):
    neck = sola(bias=0.3, **architecture)
    x, shift = sequence(num_snippets=40), 3
    later = neck(x[..., shift:])
    inside = slice(neck.reach, 40 - shift - neck.reach)
    assert_close(later[..., inside], neck(x)[..., shift:][..., inside])


@each_architecture
def test_output_depends_on_reach_snippets_to_either_side_and_no_more(architecture):
    neck, middle = sola(bias=1.0, **architecture), 15
    x = sequence(batch=1, num_snippets=31).requires_grad_()
    neck(x)[..., middle].sum().backward()
    seen = x.grad.abs().sum((0, 1)).nonzero().flatten()
    assert (seen.min(), seen.max()) == (middle - neck.reach, middle + neck.reach)


POSITIONS = [
    # of 20 snippets: start, step, num
    (0, 1, 20),  # all
    (0, 1, 1),  # the first
    (19, 1, 1),  # the last
    (0, 19, 2),  # both edges and nothing between
    (1, 2, 10),  # up to the last
    (4, 2, 7),  # as published
    (2, 5, 3),
    (17, 1, 3),
    (9, 4, 1),
]


@each_architecture
@pytest.mark.parametrize('positions', POSITIONS, ids=str)
def test_change_at_equals_the_change_of_the_whole_sequence(architecture, positions):
    """In value and in every gradient, also where zero padding is part of what is seen."""
    start, step, num = positions
    x = sequence(num_snippets=20)
    results = []
    for compute in (
        lambda neck, x: neck.change_at(x, *positions),
        lambda neck, x: (neck(x) - x)[..., start::step][..., :num],
    ):
        neck, leaf = sola(bias=0.5, **architecture), x.clone().requires_grad_()
        change = compute(neck, leaf)
        (change * sequence(num_snippets=num, seed=3)).sum().backward()
        results.append(
            {'change': change.detach(), 'input': leaf.grad}
            | {name: parameter.grad for name, parameter in neck.named_parameters()}
        )
    fast, plain = results
    assert fast['change'].shape == (2, CHANNELS, num)
    for name in plain:
        assert_close(fast[name], plain[name], msg=lambda m, name=name: f'{name}: {m}')


@pytest.mark.parametrize('positions', [(-1, 1, 3), (4, 2, 9), (20, 1, 1)], ids=str)
def test_change_at_refuses_positions_outside_of_the_sequence(positions):
    with pytest.raises(ValueError, match='positions .* asked of a sequence of 20 snippets'):
        sola().change_at(sequence(num_snippets=20), *positions)


# --- padding --------------------------------------------------------------------------------------


@each_architecture
def test_a_padded_batch_gives_what_each_sequence_gives_alone(architecture):
    """Whatever lies in the padding, and though biases make hidden units of padding large."""
    neck = sola(bias=5.0, **architecture)
    lengths = [1, 4, 9, 20]
    x = sequence(batch=len(lengths), num_snippets=max(lengths)) * 10
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    output = neck(x, mask)
    for row, length in enumerate(lengths):
        assert_close(output[row, :, :length], neck(x[row : row + 1, :, :length])[0])
        assert not output[row, :, length:].any()


@each_architecture
def test_a_mask_of_real_snippets_changes_nothing(architecture):
    neck, x = sola(bias=2.0, **architecture), sequence()
    assert_close(neck(x, torch.ones(2, 20, dtype=torch.bool)), neck(x))


# --- frozen ---------------------------------------------------------------------------------------


def test_frozen_module_keeps_its_weights_while_the_rest_is_trained():
    model = torch.nn.ModuleDict(
        {'neck': sola(frozen=True), 'head': torch.nn.Conv1d(CHANNELS, 1, 1)}
    )
    model.double().train()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model['head'](model['neck'](sequence())).square().sum().backward()
    optimizer.step()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {'head.weight', 'head.bias'}


def test_frozen_module_is_not_in_the_optimizer_that_a_runner_builds():
    """MMEngine hands every parameter to the optimizer, those without gradient included."""
    model = BaseModule()
    model.neck, model.head = sola(frozen=True), torch.nn.Conv1d(CHANNELS, 1, 1).double()
    before = copy.deepcopy(model.neck.state_dict())
    optimizer = dict(type='AdamW', lr=0.1, weight_decay=0.5)
    wrapper = build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=optimizer))
    held = {id(p) for group in wrapper.param_groups for p in group['params']}
    assert held == {id(p) for p in model.head.parameters()}
    wrapper.update_params(model.head(model.neck(sequence())).square().sum())
    assert all(torch.equal(v, before[k]) for k, v in model.neck.state_dict().items())


def test_frozen_module_that_nobody_loaded_is_refused():
    """It would be the identity for good, and look like a working run."""
    neck = MODELS.build(dict(type='SoLa', in_channels=CHANNELS, frozen=True))
    with pytest.raises(ValueError, match='frozen, but no weights were loaded'):
        neck(sequence().float())


def test_frozen_and_free_module_have_the_same_state_dict():
    frozen, free = sola(frozen=True).state_dict(), sola().state_dict()
    assert frozen.keys() == free.keys()
    assert all(torch.equal(frozen[key], free[key]) for key in free)


def test_frozen_module_stays_in_eval_mode():
    model = Sequential(sola(frozen=True), sola())
    frozen, free = model
    assert not frozen.training
    model.train()
    assert not any(module.training for module in frozen.modules())
    assert all(module.training for module in free.modules())


def test_frozen_module_hands_gradients_on_to_its_input():
    x = sequence().requires_grad_()
    sola(frozen=True)(x).sum().backward()
    assert x.grad.abs().min() > 0


# --- refused arguments ----------------------------------------------------------------------------


@pytest.mark.parametrize('kernel_sizes', [(4, 1), (5, 2)])
def test_even_kernels_are_refused(kernel_sizes):
    with pytest.raises(ValueError, match=r'kernel_sizes must be odd.*half a snippet'):
        SoLa(CHANNELS, kernel_sizes=kernel_sizes)


@pytest.mark.parametrize(
    'arguments', [dict(kernel_sizes=(5,)), dict(dilations=(1, 1, 1)), dict(dilations=(0, 1))]
)
def test_kernel_sizes_and_dilations_are_two_positive_numbers(arguments):
    with pytest.raises(ValueError, match=f'{next(iter(arguments))} takes two positive numbers'):
        SoLa(CHANNELS, **arguments)


@pytest.mark.parametrize(
    'shape', [(2, 20, CHANNELS), (2, CHANNELS + 1, 20), (20, CHANNELS)], ids=str
)
@pytest.mark.parametrize('fast', [False, True])
def test_features_of_another_layout_or_width_are_refused(shape, fast):
    neck, x = sola(), torch.zeros(shape).double()
    with pytest.raises(ValueError) as error:
        neck.change_at(x, 0, 1, 1) if fast else neck(x)
    assert f'expected features (B, C={CHANNELS}, T), found {shape}' in str(error.value)
    assert 'set in_channels' in str(error.value)


# --- checkpoints ----------------------------------------------------------------------------------


def write_checkpoint(path, neck, prefix='neck.', wrap=True, others=('head.weight',)):
    state_dict = {prefix + key: value for key, value in neck.state_dict().items()}
    state_dict |= {key: torch.ones(2) for key in others}
    torch.save({'state_dict': state_dict, 'meta': {'epoch': 3}} if wrap else state_dict, path)
    return str(path)


@pytest.fixture
def trained():
    return sola(alpha=0.9, bias=0.1, seed=7)


@pytest.fixture
def checkpoint(trained, tmp_path):
    return write_checkpoint(tmp_path / 'epoch_3.pth', trained)


def pretrained(checkpoint, **kwargs):
    """A fresh module that loads this checkpoint, as a config asks for it."""
    prefix = {'prefix': kwargs.pop('prefix')} if 'prefix' in kwargs else {}
    init_cfg = dict(type='Pretrained', checkpoint=str(checkpoint), **prefix)
    neck = sola(alpha=0.0, seed=8, init_cfg=init_cfg, **kwargs)
    neck.init_weights()
    return neck


def assert_same_weights(neck, expected):
    assert_close(dict(neck.state_dict()), dict(expected.state_dict()), rtol=0, atol=0)


@pytest.mark.parametrize('frozen', [False, True])
@pytest.mark.parametrize('wrap', [False, True])
@pytest.mark.parametrize(
    ('prefix', 'asked'),
    [('neck.', {}), ('neck.', dict(prefix='neck.')), ('neck.', dict(prefix='neck')),
     ('', {}), ('', dict(prefix='')), ('module.a.neck.', {})],
)  # fmt: skip
def test_pretrained_weights_are_loaded(trained, tmp_path, prefix, asked, wrap, frozen):
    path = write_checkpoint(tmp_path / 'sola.pth', trained, prefix, wrap)
    neck = pretrained(path, frozen=frozen, **asked)
    assert_same_weights(neck, trained)
    assert_close(neck(sequence()), trained(sequence()))


def test_pretrained_weights_are_loaded_through_a_parent(trained, checkpoint):
    init_cfg = dict(type='Pretrained', checkpoint=checkpoint)
    model = Sequential(sola(alpha=0.0, init_cfg=init_cfg))
    model.init_weights()
    assert_same_weights(model[0], trained)


def test_wrong_prefix_is_refused_and_the_right_one_named(checkpoint):
    with pytest.raises(CheckpointError) as error:
        pretrained(checkpoint, prefix='backbone.')
    message = str(error.value)
    assert checkpoint in message and "under prefix 'backbone.'" in message
    assert 'backbone.conv_network.0.weight' in message, 'what was expected'
    assert 'head.weight' in message, 'what was found'
    assert "Set `prefix` to one of ['neck.']" in message


def test_incomplete_module_is_refused_and_its_missing_keys_named(trained, tmp_path):
    state_dict = {f'neck.{k}': v for k, v in trained.state_dict().items()}
    del state_dict['neck.conv_network.4.bias']
    torch.save(state_dict, tmp_path / 'part.pth')
    with pytest.raises(CheckpointError, match=r"missing: \['neck.conv_network.4.bias'\]"):
        pretrained(tmp_path / 'part.pth')


def test_two_modules_in_a_checkpoint_need_a_prefix(trained, tmp_path):
    other = sola(alpha=0.2, seed=9)
    state_dict = {f'a.{k}': v for k, v in trained.state_dict().items()}
    state_dict |= {f'b.{k}': v for k, v in other.state_dict().items()}
    torch.save(state_dict, tmp_path / 'two.pth')
    with pytest.raises(CheckpointError, match=r"found 2\.[\s\S]*`prefix` to one of \['a.', 'b.'\]"):
        pretrained(tmp_path / 'two.pth')
    assert_same_weights(pretrained(tmp_path / 'two.pth', prefix='b.'), other)


@pytest.mark.parametrize(
    'other',
    [dict(in_channels=CHANNELS + 1), dict(hidden_channels=HIDDEN + 1), dict(kernel_sizes=(3, 1))],
    ids=str,
)
def test_weights_of_another_shape_are_refused_with_both_shapes(checkpoint, other):
    with pytest.raises(ValueError) as error:
        pretrained(checkpoint, **other)
    message = str(error.value)
    assert checkpoint in message and 'expected' in message and 'found' in message
    assert f"'conv_network.0.weight': ({HIDDEN}, {CHANNELS}, 5)" in message
    assert 'Set in_channels, hidden_channels and kernel_sizes' in message


def test_checkpoint_without_sola_is_refused(tmp_path):
    torch.save({'state_dict': {'backbone.weight': torch.ones(1)}}, tmp_path / 'bmn.pth')
    for ask in ({}, dict(prefix='neck.')):
        with pytest.raises(CheckpointError, match=r"found: +\['backbone.weight'\]"):
            pretrained(tmp_path / 'bmn.pth', **ask)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r'nowhere\.pth: no such checkpoint file'):
        pretrained(tmp_path / 'nowhere.pth')


@pytest.mark.parametrize('zipped', [True, False])
def test_truncated_file_is_refused_wherever_it_ends(trained, tmp_path, zipped):
    whole, cut = tmp_path / 'whole.pth', tmp_path / 'cut.pth'
    torch.save({'state_dict': trained.state_dict()}, whole, _use_new_zipfile_serialization=zipped)
    content = whole.read_bytes()
    for length in range(0, len(content), 1 + len(content) // 200):
        cut.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r'cut\.pth: .*truncated'):
            pretrained(cut)


@pytest.mark.parametrize('content', ['{"not": "weights"}', '', 'neck.alpha'])
def test_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / 'sola.pth').write_text(content)
    with pytest.raises(CheckpointError, match=r'sola\.pth: not a checkpoint'):
        pretrained(tmp_path / 'sola.pth')


class Bomb:
    def __reduce__(self):
        return os.mkdir, ('EXPLODED',)


def test_code_in_a_checkpoint_is_refused_and_not_run(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({'state_dict': dict(trained.state_dict()), 'meta': Bomb()}, 'bomb.pth')
    for load in (pretrained, SoLa.from_checkpoint):
        with pytest.raises(CheckpointError, match='read safely'):
            load('bomb.pth')
    assert not os.path.exists('EXPLODED')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (torch.ones(3), 'expected a state dict, found Tensor'),
        ({'state_dict': [torch.ones(3)]}, 'expected a state dict, found list'),
        ({3: torch.ones(3)}, r'found 0\.'),
        ({}, r'found 0\.'),
    ],
)
def test_content_that_is_no_state_dict_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match=message):
        pretrained(tmp_path / 'other.pth')


# --- ways in that MMEngine offers -----------------------------------------------------------------


def with_neck(**kwargs):
    """A model that holds a SoLa module as its ``neck``, as a localizer does."""
    model = BaseModule()
    model.neck, model.head = sola(**kwargs), torch.nn.Linear(2, 1)
    return model


def mmengine_load(model, path):
    load_checkpoint(model, path, map_location='cpu', strict=False)


def torch_load(model, path):
    model.load_state_dict(torch.load(path, weights_only=True)['state_dict'], strict=False)


each_way_in = pytest.mark.parametrize('load', [mmengine_load, torch_load])


@each_way_in
def test_a_checkpoint_that_fits_is_loaded(load, trained, checkpoint):
    model = with_neck(alpha=0.0, seed=8)
    load(model, write_checkpoint(checkpoint, trained, others=()))
    assert_same_weights(model.neck, trained)


@each_way_in
def test_lenient_loading_still_refuses_another_width(load, checkpoint):
    with pytest.raises(ValueError, match=r"weights of prefix 'neck\.' do not fit"):
        load(with_neck(alpha=0.0, hidden_channels=HIDDEN + 1), checkpoint)


@each_way_in
@pytest.mark.parametrize('lost', ['alpha', 'conv_network.2.weight', 'conv_network.4.bias'])
def test_lenient_loading_still_refuses_missing_keys(load, lost, trained, tmp_path):
    state_dict = {f'neck.{k}': v for k, v in trained.state_dict().items() if k != lost}
    torch.save({'state_dict': state_dict}, tmp_path / 'part.pth')
    with pytest.raises(ValueError, match=r"weights of prefix 'neck\.' do not fit"):
        load(with_neck(alpha=0.0), str(tmp_path / 'part.pth'))


@each_way_in
@pytest.mark.parametrize('frozen', [False, True])
def test_a_checkpoint_without_any_neck_passes_it_over(load, frozen, tmp_path):
    """One to be trained stays as it is; a frozen one that nothing is in stops the first forward."""
    torch.save({'state_dict': {'head.weight': torch.full((1, 2), 3.0)}}, tmp_path / 'head.pth')
    model = with_neck()
    model.neck = SoLa(CHANNELS, HIDDEN, frozen=frozen).double()
    before = copy.deepcopy(model.neck.state_dict())
    load(model, str(tmp_path / 'head.pth'))
    assert model.head.weight.eq(3).all()
    assert all(torch.equal(v, before[k]) for k, v in model.neck.state_dict().items())
    if not frozen:
        model.neck(sequence())
        return
    with pytest.raises(ValueError, match='frozen, but no weights were loaded'):
        model.neck(sequence())


def test_a_missing_checkpoint_may_come_with_the_localizers(trained, tmp_path):
    """MMEngine loads that after init_weights; the message waits for the first forward."""
    lacking = dict(type='Pretrained', checkpoint=str(tmp_path / 'gone_*.pth'))
    neck = sola(init_cfg=lacking)
    with pytest.raises(MissingCheckpoint, match='found none'):
        neck.init_weights()
    neck.may_be_loaded_later = True
    neck.init_weights()
    with pytest.raises(CheckpointError, match='found none'):
        neck(sequence())
    neck.load_state_dict(trained.state_dict())
    assert torch.equal(neck(sequence()), trained(sequence()))


@each_way_in
def test_a_loaded_module_is_kept_by_a_later_checkpoint_without_it(load, trained, tmp_path):
    path = write_checkpoint(tmp_path / 'sola.pth', trained)
    torch.save({'state_dict': {'head.weight': torch.full((1, 2), 3.0)}}, tmp_path / 'head.pth')
    model = with_neck(alpha=0.0, init_cfg=dict(type='Pretrained', checkpoint=path))
    model.init_weights()
    load(model, str(tmp_path / 'head.pth'))
    assert_same_weights(model.neck, trained)
    assert model.head.weight.eq(3).all()


def test_a_loaded_module_still_refuses_a_later_checkpoint_that_does_not_fit(trained, tmp_path):
    model = with_neck(alpha=0.0)
    model.neck.load_state_dict(trained.state_dict())
    narrow = write_checkpoint(tmp_path / 'narrow.pth', sola(hidden_channels=HIDDEN - 1))
    with pytest.raises(ValueError, match='do not fit'):
        mmengine_load(model, narrow)
    assert_same_weights(model.neck, trained)


def test_strict_loading_lists_every_key_that_a_later_checkpoint_lacks(trained):
    model = with_neck(alpha=0.0)
    model.neck.load_state_dict(trained.state_dict())
    with pytest.raises(RuntimeError, match='Missing key') as error:
        model.load_state_dict(model.head.state_dict(prefix='head.'), strict=True)
    assert all(f'"neck.{key}"' in str(error.value) for key in trained.state_dict())


@pytest.mark.parametrize('prefix', ['neck.', ''])
@pytest.mark.parametrize('frozen', [True, False])
@each_architecture
def test_from_checkpoint_rebuilds_the_module(architecture, prefix, frozen, tmp_path):
    trained = sola(alpha=1.3, bias=0.2, seed=4, hidden_channels=3, **architecture)
    path = write_checkpoint(tmp_path / 'sola.pth', trained.float(), prefix)
    neck = SoLa.from_checkpoint(path, dilations=architecture['dilations'], frozen=frozen)
    assert neck.reach == trained.reach
    assert_same_weights(neck, trained)
    assert torch.equal(neck(sequence().float()), trained(sequence().float()))
    assert len(list(neck.parameters())) == (0 if frozen else len(neck.state_dict()))


def test_from_checkpoint_takes_a_prefix(trained, checkpoint):
    with pytest.raises(CheckpointError, match='under prefix'):
        SoLa.from_checkpoint(checkpoint, prefix='sola.')
    assert_same_weights(SoLa.from_checkpoint(checkpoint, prefix='neck.'), trained.float())
