"""The gate stays shut for its first steps, whatever interrupts them."""

import copy
import itertools
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from mmsola.engine import GateWarmupHook, gate_warmup_hook
from mmsola.models import SimilarityMatchingLoss

RUNS = itertools.count()


def train(cfg, max_epochs, num_steps, until=None, needed_steps=None, **options):
    """Two steps an epoch."""
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict({'train_cfg.max_epochs': max_epochs, **options})
    hook = dict(num_steps=num_steps, until=until, needed_steps=needed_steps)
    cfg.custom_hooks = [dict(type='GateWarmupHook', **hook)]
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.experiment_name = f'run_{next(RUNS)}'  # or two runs of one second share a message hub
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.model


@pytest.mark.parametrize(('num_steps', 'shut'), [(0, False), (3, False), (4, True), (9, True)])
def test_the_gate_moves_only_after_the_warmup(tiny_config, num_steps, shut):
    model = train(tiny_config, max_epochs=2, num_steps=num_steps)
    assert (model.neck.alpha.item() == 0) is shut


@pytest.mark.parametrize('num_steps', [0, 1, 3, 5])
def test_an_opened_gate_learns_at_its_own_rate(tiny_config, num_steps):
    """The first step of Adam is one learning rate, whatever the gate waited for before."""
    options = {'optim_wrapper.optimizer.weight_decay': 0, 'train_dataloader.batch_size': 16}
    model = train(tiny_config, max_epochs=num_steps + 1, num_steps=num_steps, **options)
    rate = tiny_config.optim_wrapper.optimizer.lr
    rate *= tiny_config.optim_wrapper.paramwise_cfg.custom_keys['neck.alpha'].lr_mult
    assert abs(model.neck.alpha.item()) == pytest.approx(rate, rel=1e-3)


def test_a_loss_that_is_no_number_opens_no_gate(tiny_config, monkeypatch):
    monkeypatch.setattr(gate_warmup_hook, '_mean_kl', lambda runner: float('nan'))
    assert train(tiny_config, 3, num_steps=2, until=0.98).neck.alpha.item() == 0


def test_the_predictor_learns_behind_a_shut_gate(tiny_config):
    torch.manual_seed(0)
    first = train(tiny_config, max_epochs=1, num_steps=9).head.predictor[0].weight
    later = train(tiny_config, max_epochs=2, num_steps=9).head.predictor[0].weight
    assert not torch.equal(first, later)


def test_a_resumed_run_does_not_shut_the_gate_again(tiny_config):
    whole = train(tiny_config, max_epochs=3, num_steps=3)
    tiny_config.work_dir += '_resumed'
    train(tiny_config, max_epochs=2, num_steps=3)
    resumed = train(tiny_config, max_epochs=3, num_steps=3, resume=True)
    assert whole.neck.alpha.item() != 0
    assert torch.equal(whole.neck.alpha, resumed.neck.alpha)


def kl_of_the_best_constant():
    """Found by trying, not by the formula."""
    loss = SimilarityMatchingLoss()
    guesses = torch.linspace(0.5, 0.99, 4901)
    losses = [float(loss(torch.full((8, 8), 2 * float(guess) - 1))) for guess in guesses]
    return min(losses) - float(loss.floor(8))


def test_the_constant_guess_is_the_best_one():
    assert SimilarityMatchingLoss().constant_guess_kl(8) == pytest.approx(
        kl_of_the_best_constant(), abs=1e-6
    )


def test_the_gate_waits_until_the_predictor_knows_more_than_the_mean(tiny_config):
    """In four steps it knows next to nothing, so only a bar far above the constant is passed."""
    waiting = train(tiny_config, max_epochs=3, num_steps=2, until=0.98)
    assert waiting.neck.alpha.item() == 0
    passed = train(tiny_config, max_epochs=3, num_steps=2, until=100.0)
    assert passed.neck.alpha.item() != 0


def test_a_gate_that_never_opened_is_told(tiny_config):
    train(tiny_config, max_epochs=2, num_steps=2, until=1e-6)
    log = next(Path(tiny_config.work_dir).glob('*/*.log')).read_text()
    lines = [line for line in log.splitlines() if 'never opened' in line]
    assert len(lines) == 1 and 'predictor_channels' in lines[0]


def test_a_gate_that_waits_is_not_shut_again_by_a_resume(tiny_config):
    whole = train(tiny_config, max_epochs=3, num_steps=2, until=100.0)
    tiny_config.work_dir += '_resumed'
    train(tiny_config, max_epochs=2, num_steps=2, until=100.0)
    # had it forgotten that the gate is open, this bar would keep it shut
    resumed = train(tiny_config, max_epochs=3, num_steps=2, until=1e-6, resume=True)
    assert torch.equal(whole.neck.alpha, resumed.neck.alpha)


def test_a_collapse_is_told_once(tiny_config, monkeypatch):
    """A predictor that learns nothing leaves kl above the constant guess's."""
    monkeypatch.setattr(gate_warmup_hook, 'PATIENCE_STEPS', 1)
    train(
        tiny_config,
        max_epochs=3,
        num_steps=0,
        until=None,
        **{'optim_wrapper.optimizer.lr': 1e-9},
    )
    log = next(Path(tiny_config.work_dir).glob('*/*.log')).read_text()
    assert log.count('Similarity Matching collapsed') == 1


@pytest.mark.parametrize(('needed_steps', 'epochs'), [(4, None), (5, 3), (9, 5)])
def test_too_few_epochs_are_warned_of_before_the_first_step(tiny_config, needed_steps, epochs):
    """With the number of epochs that is enough; 16 videos in batches of 8."""
    train(tiny_config, max_epochs=2, num_steps=2, needed_steps=needed_steps)
    log = next(Path(tiny_config.work_dir).glob('*/*.log')).read_text().splitlines()
    number, said = next((i, line) for i, line in enumerate(log) if 'steps in all' in line)
    assert '16 videos: 2 steps an epoch, 2 epochs, 4 steps in all' in said
    assert f'needs about {needed_steps}' in said
    assert ('WARNING' in said) is (epochs is not None)
    assert epochs is None or f'train_cfg.max_epochs to {epochs} or more' in said
    assert number < next(i for i, line in enumerate(log) if 'Epoch(train)' in line)


class Hub:
    """A message hub that remembers a kl a step."""

    def __init__(self, kl):
        self.kl, self.runtime_info = torch.tensor(kl).numpy(), {}

    def get_scalar(self, name):
        return self

    @property
    def data(self):
        return self.kl, None

    def update_info(self, key, value):
        self.runtime_info[key] = value


def opened_at(kl, standardizes, monkeypatch, **settings):
    """The step after which a gate opens in a run of these kl; the constant guess has 0.1."""
    monkeypatch.setattr(gate_warmup_hook, '_forget', lambda runner: None)
    hook = GateWarmupHook(num_steps=50, until=0.98, **settings)
    hook._standardizes, hook._guess_kl, hook._opened_at = standardizes, 0.1, None
    for step in range(1, len(kl) + 1):
        hook._open_if_ready(type('Run', (), {'message_hub': Hub(kl[:step])})(), step)
        if hook._opened_at is not None:
            return hook._opened_at
    return None


RESTS = [0.3 - 0.001 * i for i in range(80)] + [0.22] * 60


@pytest.mark.parametrize(
    ('standardizes', 'settings', 'expected'),
    [
        (True, {}, range(81, 121)),  # no sooner than it rests, and no later than twice 20 steps
        (True, dict(least_fall=None), [None]),
        (False, {}, [None]),  # of features as they are, kl rests on its way down
    ],
)
def test_on_standardized_features_a_predictor_at_rest_opens_the_gate(
    standardizes, settings, expected, monkeypatch, log_lines
):
    assert opened_at(RESTS, standardizes, monkeypatch, **settings) in expected
    assert any('kl fell by less than 1.0%' in line for line in log_lines) == (None not in expected)


def test_a_kl_below_the_constant_guess_opens_it_first(monkeypatch, log_lines):
    falls = [0.3 - 0.003 * i for i in range(100)]
    assert opened_at(falls, True, monkeypatch) == opened_at(falls, False, monkeypatch) > 50
    assert any('below 0.98 of that of a constant guess' in line for line in log_lines)


def test_a_rest_needs_two_windows_of_steps_and_numbers(monkeypatch):
    assert opened_at([0.2] * 39, True, monkeypatch) is None
    hook = GateWarmupHook()
    runner = type('Run', (), {'message_hub': Hub([0.2] * 39)})()
    assert not hook._has_stopped_learning(runner)
    runner.message_hub = Hub([float('nan')] * 60)
    assert not hook._has_stopped_learning(runner)


def test_several_steps_are_compared_with_one_guess_for_all_of_them(tiny_config):
    several = {'model.step': (1, 2)}
    train(tiny_config, max_epochs=2, num_steps=2, until=1e-6, **several)
    log = next(Path(tiny_config.work_dir).glob('*/*.log')).read_text()
    guess = SimilarityMatchingLoss().constant_guess_kl(8, (1.0, 2.0))
    assert f'than a constant guess (kl {guess:.4f})' in log
    assert f'{guess:.4f}' != f'{SimilarityMatchingLoss().constant_guess_kl(8):.4f}'
