"""Measure before training goes on."""

from __future__ import annotations

import torch
from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmsola.engine.unwrap import unwrapped_model


@HOOKS.register_module()
class ValidateFirstHook(Hook):
    """Run the validation loop before the first epoch, and where a kill may have cost one.

    SoLa starts as the identity, so this logs the baseline, lets ``save_best`` keep it if nothing
    beats it, and finds whatever is wrong with training or validation data before training and not
    after. MMEngine saves a checkpoint before it validates, and a resumed run goes on after both:
    a validation that belongs to the checkpoint is therefore made again, with the same result.
    """

    # after CheckpointHook, which can only save once its own before_train has run
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Try one training sample, then validate if it is time to."""
        if runner.iter == 0:
            self._try_one(runner)
        if runner.val_loop is not None and (runner.iter == 0 or _validates_now(runner)):
            runner.logger.info(f'Measuring the features at epoch {runner.epoch} ...')
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
    """Whether MMEngine's loop validates at the end of the epoch that was resumed from."""
    loop = runner.train_loop
    return isinstance(loop, EpochBasedTrainLoop) and (
        loop.epoch >= loop.val_begin
        and (loop.epoch % loop.val_interval == 0 or loop.epoch == loop.max_epochs)
    )
