"""SoLaPretrainer: what a training step looks at, what it reports, and what prediction returns."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
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
