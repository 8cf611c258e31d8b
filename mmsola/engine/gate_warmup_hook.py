"""Let the predictor learn before the gate opens, and warn where all snippets become alike."""

from __future__ import annotations

import logging
import math

import torch
from mmaction.registry import HOOKS
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor

from mmsola.engine.unwrap import unwrapped_model
from mmsola.engine.wrapped_datasets import datasets_in

AVERAGED_STEPS = 20  # kl of one batch is noisy
_ADAM = {'step', 'exp_avg', 'exp_avg_sq', 'max_exp_avg_sq'}  # what Adam keeps of a weight
PATIENCE_STEPS = 50  # a gate that just opened may pass through anything


@HOOKS.register_module()
class GateWarmupHook(Hook):
    """Keep ``tanh(alpha)`` where it is until the predictor knows more than the mean.

    An untrained predictor knows nothing about similarity, and the quickest way to lower the loss
    is then to add one large constant to every snippet: all become alike, and the loss stays at that
    of a constant guess (``kl`` 0.1076 with the default target). A gate that learns fast ends there
    on some seeds. With the gate shut, the predictor learns to recognise its input first.
    The published recipe learns too slowly to need this.

    On standardised features (``SoLa(standardize=...)``) ``kl`` starts above that of a constant
    guess, and behind a shut gate even the best predictor may stay there. So it also opens there
    once the predictor has stopped learning: ``least_fall``. On features as they are this rule is
    off, since ``kl`` rests on the way down.

    When it opens, the optimizer forgets the zeros that it was fed meanwhile: Adam would take them
    for a small gradient, and move the gate up to twice as fast for hundreds of steps.

    The log says before the first step how many steps there are and how many the gate needs, as a
    warning where they are too few. It says when the gate opens, and why; and it warns, once, of a
    gate that never opened and of a loss that is back at the constant guess after it did.

    Args:
        num_steps: Iterations without a gradient for the gate, at least.
        until: It opens when ``kl``, as a mean over 20 steps, is below this share of the constant
            guess's. None opens it after ``num_steps``, whatever was learned.
        least_fall: Where the neck standardizes, it also opens when ``kl``, as a mean over 20 steps,
            fell by less than this share against the 20 steps before. None leaves the rule out.
        needed_steps: Iterations that the gate needs to open and then to move, by experience. None
            takes twice ``num_steps``.

    Examples:
        >>> HOOKS.build(dict(type='GateWarmupHook', num_steps=50, until=None)).needed_steps
        100
    """

    priority = 'LOW'  # after the step's own figures are in the message hub

    def __init__(
        self,
        num_steps: int = 50,
        until: float | None = 0.98,
        needed_steps: int | None = None,
        least_fall: float | None = 0.01,
    ) -> None:
        self.num_steps = num_steps
        self.until = until
        self.least_fall = least_fall
        self.needed_steps = 2 * num_steps if needed_steps is None else needed_steps

    def before_train(self, runner: Runner) -> None:
        """Watch the gate's gradient; whether it is open, a checkpoint remembers."""
        model = unwrapped_model(runner)
        loss = model.head.loss_module
        self._guess_kl = float(loss.constant_guess_kl(model.num_gathered, model.intervals))
        self._standardizes = getattr(model.neck, 'standardize', None) is not None
        self._warned = False
        # the message hub is part of a checkpoint
        self._opened_at: int | None = runner.message_hub.runtime_info.get('gate_opened_at')
        if self._opened_at is None:
            self._compare_steps(runner)
            self._open_if_ready(runner, steps_done=runner.iter)

        # a number on the device, so that a recorded step (CapturedStep) sees the gate open, too
        self._opening = torch.full_like(model.neck.alpha, float(self._opened_at is not None))

        def shut(gradient: Tensor) -> Tensor:
            return gradient * self._opening

        # zeroed rather than switched off: distributed training waits for every gradient
        self._handle = model.neck.alpha.register_hook(shut)

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Open the gate for the next step, or look whether the loss fell back."""
        steps_done = runner.iter + 1
        if self._opened_at is None:
            self._open_if_ready(runner, steps_done)
            if self._opened_at is not None:
                self._opening.fill_(1)
            return
        steps_of_watch = steps_done - self._opened_at - PATIENCE_STEPS
        # to read kl is to wait for the GPU
        is_due = steps_of_watch >= 0 and steps_of_watch % AVERAGED_STEPS == 0
        if is_due and not self._warned and self._is_back_at_the_guess(runner):
            self._warned = True
            print_log(
                f'Similarity Matching collapsed: kl is that of a constant guess, '
                f'{self._guess_kl:.4f}, {steps_done - self._opened_at} steps after the gate '
                'opened, so all snippets look alike. Let the gate learn more slowly '
                '(lr_mult of neck.alpha), wait longer (GateWarmupHook.until), or widen the '
                'predictor.',
                'current',
                logging.WARNING,
            )

    def after_train(self, runner: Runner) -> None:
        """Stop watching."""
        self._handle.remove()
        if self._opened_at is None and runner.iter >= self.num_steps:
            print_log(
                f'The gate never opened: after {runner.iter} steps the predictor knows no more '
                f'than a constant guess (kl {self._guess_kl:.4f}), and SoLa is the identity. '
                'Train longer, or widen the predictor (head.predictor_channels).',
                'current',
                logging.WARNING,
            )

    def _compare_steps(self, runner: Runner) -> None:
        """Say how many steps there will be, and warn if the gate needs more."""
        loop = runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop):
            return
        num_videos = sum(map(len, datasets_in(runner.train_dataloader.dataset)))
        steps_per_epoch = len(runner.train_dataloader)
        has = (
            f'{num_videos} videos: {_plural(steps_per_epoch, "step")} an epoch, '
            f'{_plural(loop.max_epochs, "epoch")}, {_plural(loop.max_iters, "step")} in all. '
            f'The gate needs about {self.needed_steps}'
        )
        if loop.max_iters >= self.needed_steps:
            print_log(f'{has}.', 'current')
            return
        epochs = math.ceil(self.needed_steps / max(steps_per_epoch, 1))
        print_log(
            f'{has}, so SoLa may stay the identity. Set train_cfg.max_epochs to {epochs} or more, '
            'or make train_dataloader.batch_size smaller.',
            'current',
            logging.WARNING,
        )

    def _open_if_ready(self, runner: Runner, steps_done: int) -> None:
        if steps_done < self.num_steps:
            return
        why = ''
        if self.until is not None:
            if steps_done == 0:
                return
            # not "return if it is above": a kl of NaN opens nothing
            if _mean_kl(runner) < self.until * self._guess_kl:
                why = f': kl is below {self.until:g} of that of a constant guess'
            elif self._standardizes and self._has_stopped_learning(runner):
                why = f': kl fell by less than {self.least_fall:.1%} in {AVERAGED_STEPS} steps'
            else:
                return
        self._opened_at = steps_done
        _forget(runner)
        runner.message_hub.update_info('gate_opened_at', steps_done)
        if steps_done:
            print_log(f'The gate opens after {steps_done} steps{why}.', 'current')

    def _is_back_at_the_guess(self, runner: Runner) -> bool:
        """Whether kl is that of a constant guess, and not only on its way down from above."""
        kl = _mean_kl(runner)
        if not self._standardizes:
            return kl > 0.98 * self._guess_kl
        is_near = 0.98 * self._guess_kl < kl < 1.02 * self._guess_kl
        return is_near and self._has_stopped_learning(runner)

    def _has_stopped_learning(self, runner: Runner) -> bool:
        """Whether kl falls no more, or not by as much as ``least_fall``."""
        before = _mean_kl(runner, steps_ago=AVERAGED_STEPS)
        return self.least_fall is not None and _mean_kl(runner) > (1 - self.least_fall) * before


def _plural(number: int, thing: str) -> str:
    return f'{number} {thing}{"s" * (number != 1)}'


def _forget(runner: Runner) -> None:
    """Begin the optimizer's state of the gate anew, where it has one.

    That of Adam begins with zeros, and stays where it is: a recorded step (CapturedStep) writes
    there.
    """
    alpha = unwrapped_model(runner).neck.alpha
    wrapper = runner.optim_wrapper
    wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    for each in wrappers:
        state = each.optimizer.state
        if state.get(alpha, {}).keys() <= _ADAM:
            for value in state.get(alpha, {}).values():
                value.zero_()
        else:
            del state[alpha]


def _mean_kl(runner: Runner, steps_ago: int = 0) -> float:
    """``kl`` over some steps, over all processes: they must decide alike.

    NaN, which compares with nothing, where there were too few steps before ``steps_ago``.
    """
    history, _ = runner.message_hub.get_scalar('train/kl').data
    if steps_ago:
        history = history[:-steps_ago]
        if len(history) < AVERAGED_STEPS:
            history = history[:0]
    last = history[-AVERAGED_STEPS:]
    mean = torch.tensor(float(last.mean()) if len(last) else math.nan)
    all_reduce(mean, op='mean')
    return float(mean)
