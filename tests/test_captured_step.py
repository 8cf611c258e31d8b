"""A recorded training step does what the step does, and what cannot be recorded is said."""

from __future__ import annotations

import copy
import gc
import itertools
from pathlib import Path

import pytest
import torch
from mmaction.registry import LOOPS
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from small_pretrainings import pretraining_model, without_validation
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import DataParallel
from torch.optim import SGD, AdamW

from mmsola.engine import CapturedTrainLoop, cuda_graph
from mmsola.engine.captured_step import CapturedStep, why_not_captured
from mmsola.engine.cuda_graph import CudaGraph
from mmsola.engine.launch import build_runner
from mmsola.engine.run_config_error import RunConfigError

RUNS = itertools.count()
# batches of 6, 6 and 4
OPTIONS = {
    'train_cfg.max_epochs': 4,
    'train_dataloader.batch_size': 6,
    'custom_hooks': [dict(type='GateWarmupHook', num_steps=4, until=None)],
}


class TracedGraph:
    """A recording on any device: all operations on tensors, and no Python, as in a CUDA graph."""

    recorded = replayed = 0

    def warm_up(self, function):
        return function()

    def record(self, function):
        TracedGraph.recorded += 1

        def nothing_out():
            function()
            return ()

        self._operations = make_fx(nothing_out)()

    def replay(self):
        TracedGraph.replayed += 1
        self._operations()


class RefusingGraph(TracedGraph):
    def record(self, function):
        raise RuntimeError('operation not permitted when stream is capturing\nand so on')


class LazyGraph(TracedGraph):
    def replay(self):
        pass


class ForgetfulGraph(TracedGraph):
    """Right figures, and weights that moved half as far."""

    optimizer = None

    def replay(self):
        weights = [p for group in self.optimizer.param_groups for p in group['params']]
        before = [p.detach().clone() for p in weights]
        super().replay()
        with torch.no_grad():
            for p, b in zip(weights, before):
                p.copy_((p + b) / 2)


class GatelessGraph(TracedGraph):
    """Right, but for the gate, which stays where it is."""

    alpha = None

    def replay(self):
        before = self.alpha.detach().clone()
        super().replay()
        with torch.no_grad():
            self.alpha.copy_(before)


@LOOPS.register_module(force=True)
class PlainCapturedLoop(CapturedTrainLoop):
    """Records on a CPU."""

    device_type = 'cpu'
    graph_class = TracedGraph


def train(cfg, loop, graph=TracedGraph, **options):
    """The runner of a training that validates nothing."""
    cfg = without_validation(copy.deepcopy(cfg))
    cfg.launcher = 'none'
    cfg.merge_from_dict({**OPTIONS, **options, 'train_cfg.type': loop})
    cfg.work_dir += f'_{next(RUNS)}' if not cfg.resume else ''
    TracedGraph.recorded = TracedGraph.replayed = 0
    PlainCapturedLoop.graph_class = graph
    runner = build_runner(cfg)
    runner.train()
    return runner


def log_of(runner):
    (file,) = Path(runner.work_dir).glob('*/*.log')
    return file.read_text().splitlines()


def assert_equal_runs(found, expected):
    """Weights, optimizer and the whole log, but for times."""
    for key, value in expected.model.state_dict().items():
        torch.testing.assert_close(found.model.state_dict()[key], value, rtol=1e-5, atol=1e-7)
    states = [r.optim_wrapper.optimizer.state_dict() for r in (found, expected)]
    assert states[0]['param_groups'] == states[1]['param_groups']
    for key, state in states[1]['state'].items():
        for name, value in state.items():
            torch.testing.assert_close(states[0]['state'][key][name], value, rtol=1e-4, atol=1e-7)
    logs = [r.message_hub.log_scalars for r in (found, expected)]
    assert logs[0].keys() == logs[1].keys()
    for key in logs[1]:
        if not key.endswith('time'):
            values, counts = logs[0][key].data
            assert values.tolist() == pytest.approx(logs[1][key].data[0].tolist(), rel=1e-4)
            assert counts.tolist() == logs[1][key].data[1].tolist()


@pytest.mark.parametrize(
    'options',
    [
        {},
        {'optim_wrapper.clip_grad': dict(max_norm=0.01)},
        {'optim_wrapper.clip_grad': dict(clip_value=0.001, type='value')},
        {'optim_wrapper.type': 'BFloat16OptimWrapper'},
        {'param_scheduler': [dict(type='LinearLR', start_factor=0.1, end=9, by_epoch=False)]},
        {'model.step': (1, 2)},
        {'model.neck.standardize': dict(scale='input')},
        {'custom_hooks': [dict(type='EMAHook', momentum=0.1)]},
        {'train_dataloader.dataset.bank': None},
    ],
    ids=['plain', 'norm', 'value', 'bfloat16', 'schedule', 'steps', 'scaled', 'ema', 'files'],
)
def test_a_training_of_recorded_steps_is_the_training(options, tiny_config):
    expected = train(tiny_config, 'EpochBasedTrainLoop', **options)
    found = train(tiny_config, 'PlainCapturedLoop', **options)
    # batches of two sizes; of 12 steps the first one makes the optimizer's state
    assert (TracedGraph.recorded, TracedGraph.replayed) == (2, 2 + 11)
    assert_equal_runs(found, expected)


def test_on_a_cpu_the_loop_is_that_of_mmengine(tiny_config):
    expected = train(tiny_config, 'EpochBasedTrainLoop')
    found = train(tiny_config, 'CapturedTrainLoop')
    for key, value in expected.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[key], value)
    assert not any('recorded' in line for line in log_of(found))


def test_a_resumed_training_of_recorded_steps_is_one_that_was_never_interrupted(tiny_config):
    whole = train(tiny_config, 'PlainCapturedLoop')
    tiny_config.work_dir += '_resumed'
    half = train(tiny_config, 'PlainCapturedLoop', **{'train_cfg.max_epochs': 2})
    tiny_config.work_dir = half.work_dir
    tiny_config.resume = True
    resumed = train(tiny_config, 'PlainCapturedLoop')
    for key, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value)
    first, second = (r.message_hub.get_scalar('train/loss').data[0] for r in (whole, resumed))
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize(
    ('graph', 'why'),
    [
        (RefusingGraph, 'RuntimeError: operation not permitted when stream is capturing'),
        (LazyGraph, 'CaptureError: played back, a step gives'),
    ],
)
def test_a_step_that_cannot_be_recorded_runs_as_it_is(graph, why, tiny_config):
    expected = train(tiny_config, 'EpochBasedTrainLoop')
    found = train(tiny_config, 'PlainCapturedLoop', graph)
    assert_equal_runs(found, expected)
    (said,) = [line for line in log_of(found) if 'not recorded any more' in line]
    assert why in said and 'WARNING' in said
    with pytest.raises(RunConfigError, match='capture=True: a step cannot be recorded: .*Error'):
        train(tiny_config, 'PlainCapturedLoop', graph, **{'train_cfg.capture': True})


@pytest.mark.parametrize('capture', [True, 'always'])
def test_capture_true_is_an_error_where_nothing_can_be_recorded(capture, tiny_config):
    expected = 'the model is on cpu\n' if capture is True else "'always'; expected 'auto', True"
    with pytest.raises(RunConfigError, match=expected):
        train(tiny_config, 'CapturedTrainLoop', **{'train_cfg.capture': capture})


# One step -----------------------------------------------------------------------------------------


def model_and_wrapper(compiled=False, wrapper=OptimWrapper, optimizer=AdamW, **settings):
    model = pretraining_model(compile=dict(backend='eager') if compiled else False)
    options = dict(lr=0.01, **({'fused': True} if optimizer is AdamW else {}))
    return model, wrapper(optimizer=optimizer(model.parameters(), **options), **settings)


class ScaledWrapper(AmpOptimWrapper):
    """AmpOptimWrapper, which refuses a machine without GPU."""

    def __init__(self, enabled=True, **kwargs):
        OptimWrapper.__init__(self, **kwargs)
        self.loss_scaler = torch.amp.GradScaler('cpu', enabled=enabled)


@pytest.mark.parametrize(
    ('settings', 'why'),
    [
        ({}, ''),
        (dict(compiled=True), 'model.compile'),
        (dict(optimizer=SGD), 'the optimizer is SGD'),
        (dict(accumulative_counts=2), 'accumulative_counts'),
        (dict(wrapper=ScaledWrapper), 'ScaledWrapper'),
    ],
)
def test_what_cannot_be_recorded_says_why(settings, why):
    found = why_not_captured(*model_and_wrapper(**settings))
    assert why in found and bool(found) == bool(why)


def test_other_models_and_several_processes_are_not_recorded(monkeypatch):
    model, wrapper = model_and_wrapper()
    assert 'several processes' in why_not_captured(DataParallel(model), wrapper)
    assert 'Linear is not SoLaPretrainer' in why_not_captured(torch.nn.Linear(1, 1), wrapper)
    for group in wrapper.optimizer.param_groups:
        group['fused'] = False
    assert 'fused=True' in why_not_captured(model, wrapper)
    monkeypatch.setattr('mmsola.engine.captured_step.AmpOptimWrapper', ScaledWrapper)
    for enabled in (True, False):
        model, wrapper = model_and_wrapper(wrapper=ScaledWrapper, enabled=enabled)
        assert ('loss scale' in why_not_captured(model, wrapper)) is enabled


def pair(graph=TracedGraph):
    """A step that is recorded, and one with equal weights that is not."""
    model, wrapper = model_and_wrapper()
    twin, twin_wrapper = model_and_wrapper()
    for each in (model, twin):
        torch.nn.init.constant_(each.neck.alpha, 0.3)
    step = CapturedStep(model, wrapper, graph)
    return step, lambda data: twin.train_step(data, twin_wrapper), (twin, twin_wrapper)


def windows(batch_size=4):
    return {'inputs': [torch.rand(batch_size, 6, 23)]}


def assert_steps_agree(step, plain, twin, batches):
    for data in batches:
        found, expected = step(data), plain(data)
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert found[key].item() == pytest.approx(value.item(), rel=1e-4, abs=1e-6)
    for p, q in zip(step.model.parameters(), twin.parameters()):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)
    assert not step.failure


@pytest.mark.parametrize('change', ['optimizer', 'weights', 'decay', 'frozen', 'thawed'])
def test_what_is_replaced_is_recorded_anew(change):
    step, plain, (twin, twin_wrapper) = pair(TracedGraph)
    TracedGraph.recorded = 0
    if change == 'thawed':  # the optimizer has no state of it yet
        for model in (step.model, twin):
            model.neck.alpha.requires_grad_(False)
    assert_steps_agree(step, plain, twin, [windows() for _ in range(4)])
    assert TracedGraph.recorded == 1
    for model, wrapper in ((step.model, step.optim_wrapper), (twin, twin_wrapper)):
        optimizer = wrapper.optimizer
        if change == 'optimizer':
            optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        elif change == 'weights':
            model.neck.alpha.data = torch.full((1,), 0.5)
        elif change == 'decay':
            optimizer.param_groups[0]['weight_decay'] = 0.5
        else:
            model.neck.alpha.requires_grad_(change == 'thawed')
    assert_steps_agree(step, plain, twin, [windows() for _ in range(4)])
    assert TracedGraph.recorded == 2


def test_where_no_graph_can_be_made_steps_are_what_they_are():
    """A model on a CPU, which no CUDA graph can record."""
    step, plain, (twin, _) = pair(CudaGraph)
    for _ in range(4):
        data = windows()
        assert step(data)['loss'].item() == plain(data)['loss'].item()
    assert step.failure
    for p, q in zip(step.model.parameters(), twin.parameters()):
        assert torch.equal(p, q)


def test_nothing_is_collected_while_something_is_recorded():
    for was_enabled in (True, False):
        gc.enable() if was_enabled else gc.disable()
        try:
            with cuda_graph._no_garbage_collection():
                assert not gc.isenabled()
            assert gc.isenabled() is was_enabled
        finally:
            gc.enable()


def test_a_weight_that_no_loss_depends_on_hinders_nothing():
    model, wrapper = model_and_wrapper()
    unused = torch.nn.Parameter(torch.zeros(2))
    wrapper.optimizer.add_param_group(dict(params=[unused]))
    TracedGraph.recorded = 0
    step = CapturedStep(model, wrapper, TracedGraph)
    for _ in range(4):
        step(windows())
    assert TracedGraph.recorded == 1 and not step.failure


def test_what_changes_at_every_step_is_not_recorded_at_every_step():
    step, plain, (twin, twin_wrapper) = pair(TracedGraph)
    TracedGraph.recorded = 0
    for i in range(14):
        for wrapper in (step.optim_wrapper, twin_wrapper):
            wrapper.optimizer.param_groups[0]['betas'] = (0.9 - i / 100, 0.999)
        data = windows()
        assert step(data)['loss'].item() == pytest.approx(plain(data)['loss'].item(), rel=1e-4)
    assert TracedGraph.recorded == 9 and 'change too often' in step.failure


def test_a_recording_that_leaves_the_gate_out_is_not_used():
    """One number beside thousands of weights."""
    step, *_ = pair(GatelessGraph)
    GatelessGraph.alpha = step.model.neck.alpha
    for _ in range(3):
        step(windows())
    assert 'changes weights in another way' in step.failure


def test_more_shapes_than_a_few_are_not_recorded():
    step, plain, (twin, _) = pair(TracedGraph)
    TracedGraph.recorded = 0
    assert_steps_agree(step, plain, twin, [windows(1 + i % 7) for i in range(14)])
    assert TracedGraph.recorded == 4


def test_a_recording_that_moves_the_weights_elsewhere_is_not_used():
    step, plain, (twin, _) = pair(ForgetfulGraph)
    ForgetfulGraph.optimizer = step.optimizer
    for _ in range(3):
        data = windows()
        step(data), plain(data)
    assert 'changes weights in another way' in step.failure
    for p, q in zip(step.model.parameters(), twin.parameters()):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)


def test_figures_of_a_step_are_not_those_of_the_next():
    step, *_ = pair()
    first = [step(windows()) for _ in range(3)][-1]
    before = float(first['loss'])
    step(windows())
    assert float(first['loss']) == before


def test_a_recorded_step_draws_the_random_numbers_of_a_step():
    """A predictor with dropout: the steps that are compared take no numbers away."""
    torch.manual_seed(0)
    runs = []
    for recorded in (True, False):
        step, plain, _ = pair()
        for model in (step.model, plain.__closure__[0].cell_contents):
            model.head.predictor = torch.nn.Sequential(model.head.predictor, torch.nn.Dropout(0.5))
        torch.manual_seed(1)
        run = step if recorded else plain
        runs.append([run(windows())['loss'].item() for _ in range(5)])
        assert not step.failure
    assert runs[0] == pytest.approx(runs[1], rel=1e-5)
