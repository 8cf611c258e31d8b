"""An epoch-based training whose steps are recorded as CUDA graphs where they can be."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from mmaction.registry import LOOPS
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop

from mmsola.engine.captured_step import CapturedStep, why_not_captured
from mmsola.engine.cuda_graph import CudaGraph, Graph
from mmsola.engine.run_config_error import RunConfigError


@LOOPS.register_module()
class CapturedTrainLoop(EpochBasedTrainLoop):
    """MMEngine's ``EpochBasedTrainLoop``, with a GPU that needs one launch for a training step.

    A step of the pretraining is so little work for a GPU that launching its kernels one by one
    takes longer than they do. Where a step cannot be recorded, on a CPU too, it runs as
    in MMEngine's loop; on a GPU the log says why.

    Args:
        capture: ``'auto'`` records where it can, True is an error where it cannot, False never
            does.

    All other arguments are those of ``EpochBasedTrainLoop``.

    Raises:
        RunConfigError: ``capture`` is none of these, or True and steps cannot be recorded.

    Examples:
        >>> from torch.utils.data import DataLoader
        >>> loop = CapturedTrainLoop(None, DataLoader(range(4), batch_size=2), max_epochs=3)
        >>> loop.max_iters, loop.capture
        (6, 'auto')
    """

    device_type = 'cuda'
    graph_class: Callable[[], Graph] = CudaGraph

    def __init__(self, *args: Any, capture: bool | str = 'auto', **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if capture not in ('auto', True, False):
            raise RunConfigError(
                f"train_cfg.capture is {capture!r}; expected 'auto', True or False."
            )
        self.capture = capture
        self._step: CapturedStep | None = None

    def run(self) -> Any:
        """Train, from a model and an optimizer that are as they will be."""
        self._step = self._captured_step()
        try:
            return super().run()
        finally:
            self._step = None  # and the memory of its recordings

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """One step, with the hooks around it."""
        step = self._step
        if step is None:
            super().run_iter(idx, data_batch)
            return
        self.runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch)
        outputs = step(data_batch)
        self.runner.call_hook(
            'after_train_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs
        )
        self._iter += 1
        if step.failure:
            self._give_up(step.failure)

    def _captured_step(self) -> CapturedStep | None:
        model, wrapper = self.runner.model, self.runner.optim_wrapper
        if self.capture is False:
            return None
        device = next(model.parameters()).device
        is_elsewhere = device.type != self.device_type
        why_not = f'the model is on {device}' if is_elsewhere else why_not_captured(model, wrapper)
        if not why_not:
            print_log(
                'Training steps are recorded as CUDA graphs (train_cfg.capture=False: they are '
                'not).',
                'current',
            )
            return CapturedStep(model, wrapper, self.graph_class)
        if self.capture is True:
            raise RunConfigError(
                f'train_cfg.capture=True: training steps cannot be recorded: {why_not}\n'
                "  fix: set train_cfg.capture='auto', or change that"
            )
        if not is_elsewhere:  # nobody expects it elsewhere
            print_log(f'Training steps are not recorded: {why_not}.', 'current')
        return None

    def _give_up(self, why: str) -> None:
        self._step = None
        if self.capture is True:
            raise RunConfigError(f'train_cfg.capture=True: a step cannot be recorded: {why}')
        print_log(
            'Training steps are not recorded any more, which takes longer and gives the same '
            f'figures, up to rounding: {why}',
            'current',
            logging.WARNING,
        )
