"""Measure the untouched features before the first step."""

from __future__ import annotations

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class ValidateFirstHook(Hook):
    """Run the validation loop once before the first epoch, and not again on resuming.

    SoLa starts as the identity, so this logs the baseline, lets ``save_best`` keep it if nothing
    beats it, and finds whatever is wrong with the validation data before training and not after.
    """

    # after CheckpointHook, which can only save once its own before_train has run
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Validate if this run is at its beginning and has a validation loop."""
        if runner.iter == 0 and runner.val_loop is not None:
            runner.logger.info('Measuring the features before training ...')
            runner.val_loop.run()
