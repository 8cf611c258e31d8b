"""SoLaPretrainer: what a training step looks at, what it reports, and what prediction returns."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch.testing import assert_close

import mmsola  # noqa: F401

CHANNELS, WINDOW = 6, 23
CONFIGS = Path(__file__).parents[1] / 'configs'


def pretrainer(alpha=0.6, neck=None, **kwargs):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='SoLaPretrainer',
            neck=dict(type='SoLa', in_channels=CHANNELS, hidden_channels=5, **(neck or {})),
            head=dict(type='SimilarityMatchingHead', in_channels=CHANNELS, predictor_channels=7),
            **kwargs,
        )
    )
    torch.nn.init.constant_(model.neck.alpha, alpha)
    return model


def sequence(num_snippets, batch=None, seed=1):
    shape = (CHANNELS, num_snippets) if batch is None else (batch, CHANNELS, num_snippets)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_compiled_loss_is_the_plain_one():
    # aot_eager takes the same road as a compiling backend and needs no compiler
    plain, compiled = pretrainer(), pretrainer(compile=dict(backend='aot_eager'))
    windows = sequence(WINDOW, batch=4)
    reports = [model(windows, mode='loss') for model in (plain, compiled)]
    for key, value in reports[0].items():
        assert_close(reports[1][key], value)
    for report in reports:
        report['loss'].backward()
    for (name, one), other in zip(plain.named_parameters(), compiled.parameters()):
        assert_close(other.grad, one.grad, msg=lambda text, name=name: f'{name}: {text}')
    assert list(plain.state_dict()) == list(compiled.state_dict())


def test_a_copy_of_a_compiled_pretrainer_learns_itself():
    model = pretrainer(compile=dict(backend='aot_eager'))
    other = copy.deepcopy(model)
    other(sequence(WINDOW, batch=4), mode='loss')['loss'].backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in other.parameters())


# --- training -------------------------------------------------------------------------------------


def test_a_step_reports_the_loss_and_how_far_the_module_is_open():
    model, windows = pretrainer(), sequence(WINDOW, batch=4)
    report = model(windows, mode='loss')
    assert set(report) == {'loss', 'kl', 'tanh_alpha', 'modulation'}
    assert [key for key, value in report.items() if value.requires_grad] == ['loss']
    assert report['tanh_alpha'].item() == pytest.approx(torch.tanh(torch.tensor(0.6)).item())
    positions = slice(4, 19, 2)
    change = (model.neck(windows) - windows)[..., positions].norm(dim=1)
    assert_close(report['modulation'], (change / windows[..., positions].norm(dim=1)).mean())


def test_only_the_loss_is_minimised():
    """MMEngine adds up whatever has "loss" in its name."""
    model = pretrainer()
    report = model(sequence(WINDOW, batch=4), mode='loss')
    total, log = model.parse_losses(report)
    assert torch.equal(total, report['loss']) and set(log) == set(report)


def test_an_untrained_module_reports_no_modulation():
    report = pretrainer(alpha=0.0)(sequence(WINDOW, batch=4), mode='loss')
    assert report['modulation'] == 0 and report['tanh_alpha'] == 0


SETTINGS = [
    dict(),
    dict(start=7, step=3, num_gathered=4),
    dict(start=2, step=2, num_gathered=8, neck=dict(kernel_sizes=(1, 5))),
    dict(start=5, step=1, num_gathered=9, neck=dict(kernel_sizes=(5, 3), dilations=(2, 1))),
]
each_setting = pytest.mark.parametrize('setting', SETTINGS, ids=str)


@each_setting
def test_loss_is_that_of_the_gathered_outputs_of_whole_windows(setting):
    """The fast path of training against its plain twin, in value and in every gradient."""
    windows, model, plain = sequence(WINDOW, batch=3), pretrainer(**setting), pretrainer(**setting)
    loss = model(windows, mode='loss')['loss']
    output = plain(windows, mode='tensor')
    gathered = output[..., plain.start :: plain.step][..., : plain.num_gathered]
    plain_loss = plain.head.loss(gathered)['loss']
    assert_close(loss, plain_loss)
    loss.backward()
    plain_loss.backward()
    for (name, p), q in zip(model.named_parameters(), plain.parameters()):
        assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f'{name}: {m}')


@each_setting
def test_only_gathered_positions_and_what_the_module_sees_there_matter(setting):
    model = pretrainer(**setting)
    positions = range(model.start, model.start + model.step * model.num_gathered, model.step)
    windows = sequence(WINDOW, batch=3).requires_grad_()
    model(windows, mode='loss')['loss'].backward()
    seen = set(windows.grad.abs().sum((0, 1)).nonzero().flatten().tolist())
    first, last = positions[0] - model.neck.reach, positions[-1] + model.neck.reach
    assert (min(seen), max(seen)) == (first, last)

    far = windows.detach().clone()
    outside = [t for t in range(WINDOW) if not first <= t <= last]
    assert outside
    far[..., outside] = 1e6
    assert torch.equal(model(far, mode='loss')['loss'], model(windows, mode='loss')['loss'])


def test_padding_of_the_convolutions_is_never_gathered():
    """A window cut from a longer one gives what its snippets give inside of it."""
    model = pretrainer(start=2, step=2, num_gathered=8)  # just far enough: sees 2 to either side
    longer = sequence(40, batch=3)
    positions = slice(10 + 2, 10 + 2 + 15, 2)
    expected = model.head.loss(model.neck(longer)[..., positions])['loss']
    assert_close(model(longer[..., 10 : 10 + 19], mode='loss')['loss'], expected)


@pytest.mark.parametrize(
    ('neck', 'start', 'reach'),
    [({}, 1, 2), (dict(kernel_sizes=(7, 1)), 2, 3), (dict(dilations=(3, 1)), 5, 6)],
)
def test_a_start_inside_the_margin_is_refused(neck, start, reach):
    message = f'sees {reach} snippets to either side, but start={start}(?s:.*)to at least {reach}'
    with pytest.raises(ValueError, match=message):
        pretrainer(neck=neck, start=start)
    assert pretrainer(neck=neck, start=reach).start == reach


def test_a_window_without_margin_behind_the_last_position_is_refused():
    model = pretrainer()  # the last of 4, 6, ..., 18 sees snippets 19 and 20
    with pytest.raises(
        ValueError, match='windows of 20 snippets, but position 18 (?s:.*)window to at least 21'
    ):
        model(sequence(20, batch=2), mode='loss')
    assert model(sequence(21, batch=2), mode='loss')['loss'].isfinite()


@pytest.mark.parametrize('arguments', [dict(num_gathered=1), dict(step=0)])
def test_fewer_than_two_different_positions_are_refused(arguments):
    with pytest.raises(ValueError, match='num_gathered >= 2 and step >= 1'):
        pretrainer(**arguments)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode is 'loss', 'predict' or 'tensor', got 'train'"):
        pretrainer()(sequence(WINDOW, batch=2), mode='train')


def test_training_steps_bring_the_kl_down_and_open_the_module():
    model = pretrainer(alpha=0.0)
    optimizer = dict(type='AdamW', lr=0.01)
    wrapper = build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=optimizer))
    batch = {'inputs': [sequence(WINDOW, seed=i) for i in range(4)], 'data_samples': None}
    logs = [model.train_step(batch, wrapper) for _ in range(30)]
    assert logs[-1]['kl'] < 0.8 * logs[0]['kl']
    assert abs(logs[-1]['tanh_alpha']) > 0.02 and logs[-1]['modulation'] > 0.005


# --- several steps in one batch -------------------------------------------------------------------

LONG = 4 + 7 * 8 + 2 + 1  # what step 8 needs
SEVERAL = [
    dict(step=(2, 4, 8)),
    dict(step=[6, 3], num_gathered=5, neck=dict(kernel_sizes=(5, 3), dilations=(2, 1)), start=5),
]
each_several = pytest.mark.parametrize('setting', SEVERAL, ids=str)


def plain_loss(model, windows):
    """The mean over steps, written out: whole windows, and the target of each pair by itself."""
    output, losses, floors = model(windows, mode='tensor'), [], []
    num, smallest, largest = model.num_gathered, min(model.steps), max(model.steps)
    for step in model.steps:
        first = model.start + (largest - step) * (num - 1) // 2
        positions = [first + step * i for i in range(num)]
        target = torch.ones(num, num)
        for i, one in enumerate(positions):
            for j, other in enumerate(positions):
                if i != j:
                    interval = abs(one - other) / smallest
                    target[i, j] = 1 / (1 + math.exp(-16 / interval**2))
        probability = ((1 + model.head(output[..., positions])) / 2).clamp(1e-5, 1 - 1e-5)
        losses.append(F.binary_cross_entropy(probability, target.expand_as(probability)))
        floors.append(F.binary_cross_entropy(target.clamp(1e-5, 1 - 1e-5), target))
    return sum(losses) / len(losses), sum(floors) / len(floors)


@each_several
def test_the_loss_of_several_steps_is_the_plain_mean_of_each(setting):
    windows, model, plain = sequence(LONG, batch=3), pretrainer(**setting), pretrainer(**setting)
    report = model(windows, mode='loss')
    loss, floor = plain_loss(plain, windows)
    assert_close(report['loss'], loss)
    assert_close(report['kl'], (loss - floor).detach(), rtol=1e-4, atol=1e-6)
    report['loss'].backward()
    loss.backward()
    for (name, p), q in zip(model.named_parameters(), plain.parameters()):
        assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f'{name}: {m}')


def test_one_step_in_a_list_is_that_step_to_the_last_bit():
    reports = []
    for step in (2, (2,), [2]):
        model = pretrainer(step=step)
        report = model(sequence(WINDOW, batch=4), mode='loss')
        report['loss'].backward()
        reports.append([*report.values(), *(p.grad for p in model.parameters())])
    for other in reports[1:]:
        assert all(map(torch.equal, reports[0], other))


def test_two_snippets_have_one_target_whichever_step_gathers_them():
    loss = pretrainer(step=(2, 4, 8)).head.loss_module
    fine, coarse = loss.target(8, interval=1.0), loss.target(8, interval=4.0)
    assert_close(coarse[0, 1], fine[0, 4])
    assert_close(loss.target(8), fine)


@each_several
def test_positions_of_every_step_lie_in_the_middle_of_the_window(setting):
    model = pretrainer(**setting)
    widest = model.positions(max(model.steps))
    assert widest[0] == model.start
    for step in model.steps:
        positions = model.positions(step)
        assert len(positions) == model.num_gathered and positions.step == step
        assert abs((positions[0] - widest[0]) - (widest[-1] - positions[-1])) <= 1


def test_windows_too_short_for_the_largest_step_are_refused():
    model = pretrainer(step=(2, 8))
    message = f'position 60 is gathered (?s:.*)at least {LONG}'
    with pytest.raises(ValueError, match=message):
        model(sequence(LONG - 1, batch=2), mode='loss')


@pytest.mark.parametrize('step', [(), (0, 2), (2, 2)])
def test_steps_that_are_none_or_the_same_are_refused(step):
    with pytest.raises(ValueError, match='step'):
        pretrainer(step=step)


def test_a_guess_that_looks_at_nothing_is_one_guess_for_all_steps():
    loss, intervals = pretrainer().head.loss_module, (1.0, 2.0, 4.0)
    guesses = torch.linspace(0.5, 0.99, 4901)

    def kl(guess, interval):
        return float(
            loss(torch.full((8, 8), 2 * guess - 1), interval) - loss.floor(8, None, interval)
        )

    costs = [sum(kl(guess, i) for i in intervals) / 3 for guess in guesses.tolist()]
    assert loss.constant_guess_kl(8, intervals) == pytest.approx(min(costs), abs=1e-6)


def test_a_compiled_loss_of_several_steps_is_the_plain_one():
    plain, compiled = (
        pretrainer(step=(2, 8), compile=c) for c in (False, dict(backend='aot_eager'))
    )
    windows = sequence(LONG, batch=4)
    for key, value in plain(windows, mode='loss').items():
        assert_close(compiled(windows, mode='loss')[key], value)


# --- prediction -----------------------------------------------------------------------------------


def predict(model, sequences):
    samples = [ActionDataSample() for _ in sequences]
    with torch.no_grad():
        model.eval()
        return model.val_step({'inputs': sequences, 'data_samples': samples})


@pytest.mark.parametrize('lengths', [(9, 30, 1), (12, 12), (5,)], ids=str)
def test_prediction_of_a_batch_gives_each_video_what_it_gives_alone(lengths):
    model = pretrainer(alpha=2.0, neck=dict(kernel_sizes=(3, 3)))
    torch.nn.init.constant_(model.neck.conv_network[0].bias, 4.0)  # also where padding lies
    sequences = [sequence(length, seed=i) for i, length in enumerate(lengths)]
    for video, sample in zip(sequences, predict(model, sequences)):
        assert sample.sola_feature.shape == video.shape
        with torch.no_grad():
            assert_close(sample.sola_feature, model.neck(video[None])[0], rtol=1e-5, atol=1e-5)


def test_prediction_of_an_untrained_module_is_the_feature_itself():
    sequences = [sequence(9), sequence(30)]
    for video, sample in zip(sequences, predict(pretrainer(alpha=0.0), sequences)):
        assert torch.equal(sample.sola_feature, video)


# --- the gate's own pace --------------------------------------------------------------------------


def optim_wrapper_of(model, **alpha):
    cfg = dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1),
        paramwise_cfg=dict(custom_keys={'neck.alpha': alpha}),
    )
    return build_optim_wrapper(model, cfg)


def group_of(wrapper, parameter):
    (group,) = (
        g for g in wrapper.optimizer.param_groups if any(p is parameter for p in g['params'])
    )
    return group


def test_the_gate_takes_a_learning_rate_and_decay_of_its_own():
    model = pretrainer()
    wrapper = optim_wrapper_of(model, lr_mult=10.0, decay_mult=0.0)
    paces = {
        name: (group_of(wrapper, parameter)['lr'], group_of(wrapper, parameter)['weight_decay'])
        for name, parameter in model.named_parameters()
    }
    assert paces.pop('neck.alpha') == pytest.approx((1e-2, 0.0))
    assert set(paces.values()) == {(1e-3, 0.1)}
    before = model.neck.alpha.item()
    wrapper.update_params(model(sequence(WINDOW, batch=4), mode='loss')['loss'])
    assert abs(model.neck.alpha.item() - before) == pytest.approx(1e-2, rel=1e-3), 'Adam: one lr'


def test_configs_for_small_sets_open_the_gate_faster_and_without_decay():
    model = pretrainer()
    published, small = (
        group_of(
            build_optim_wrapper(model, Config.fromfile(CONFIGS / '_base_' / name).optim_wrapper),
            model.neck.alpha,
        )
        for name in ('sola_pretrain.py', 'sola_pretrain_small.py')
    )
    assert (published['lr'], published['weight_decay']) == pytest.approx((1e-4, 0.01))
    assert (small['lr'], small['weight_decay']) == pytest.approx((3e-3, 0.0))
