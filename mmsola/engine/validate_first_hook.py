"""Measure before training goes on."""

from __future__ import annotations

import torch
from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmsola.engine.unwrap import unwrapped_model


@HOOKS.register_module()
class ValidateAtResumeHook(Hook):
    """Run the validation that a kill may have cost, before a resumed training goes on.

    MMEngine saves a checkpoint before it validates, and a resumed run goes on after both: a
    validation that belongs to the checkpoint is therefore made again, with the same result.
    ``build_runner`` adds this hook to every training.
    """

    # after CheckpointHook, which can only save once its own before_train has run
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Validate if the checkpoint that was resumed from is one to validate."""
        if runner.val_loop is not None and runner.iter > 0 and _validates_now(runner):
            runner.logger.info('Validating the checkpoint that is resumed from ...')
            runner.val_loop.run()


@HOOKS.register_module()
class ValidateFirstHook(ValidateAtResumeHook):
    """Run the validation loop before the first epoch, and where a kill may have cost one.

    SoLa starts as the identity, so this logs the baseline, lets ``save_best`` keep it if nothing
    beats it, and finds whatever is wrong with training or validation data before training and not
    after.

    Examples:
        >>> HOOKS.build(dict(type='ValidateFirstHook')).priority
        'LOWEST'
    """

    def before_train(self, runner: Runner) -> None:
        """Try one training sample, then validate if it is time to."""
        if runner.iter > 0:
            super().before_train(runner)
            return
        self._try_one(runner)
        if runner.val_loop is not None:
            runner.logger.info('Measuring the features before training ...')
            runner.val_loop.run()

    @staticmethod
    def _try_one(runner: Runner) -> None:
        """Fail for settings that do not go together now, and not after the baseline."""
        model = unwrapped_model(runner)
        item = runner.train_dataloader.dataset[0]
        with torch.no_grad():
            batch = {key: [value] for key, value in item.items()}
            model(**model.data_preprocessor(batch, training=True), mode='loss')


def _validates_now(runner: Runner) -> bool:
    """Whether MMEngine's loop validates where the checkpoint that was resumed from was saved."""
    loop = runner.train_loop
    if isinstance(loop, EpochBasedTrainLoop):
        done, last = loop.epoch, loop.max_epochs
    elif isinstance(loop, IterBasedTrainLoop):
        done, last = loop.iter, loop.max_iters
    else:
        return False
    return done >= loop.val_begin and (done % loop.val_interval == 0 or done == last)
