"""Average what differs between processes, and leave alone what does not."""

from __future__ import annotations

import torch
from mmaction.registry import HOOKS
from mmengine import hooks
from mmengine.dist import all_reduce
from mmengine.runner import Runner


@HOOKS.register_module()
class SyncBuffersHook(hooks.SyncBuffersHook):
    """MMEngine's, which keeps the bytes of buffers that are the same in all processes.

    The sum of three equal numbers divided by three may be another number, and the weights of a
    frozen SoLa or encoder are such buffers. It stands for MMEngine's in MMAction2's registry, whose
    default hooks name it.
    """

    def after_train_epoch(self, runner: Runner) -> None:
        """Average the buffers of numbers that differ."""
        if not self.distributed:
            return
        for buffer in runner.model.buffers():
            if not buffer.is_floating_point():  # counts and masks have no mean
                continue
            least, greatest = buffer.detach().clone(), buffer.detach().clone()
            all_reduce(least, 'min')
            all_reduce(greatest, 'max')
            if not torch.equal(least, greatest):
                all_reduce(buffer, 'mean')
