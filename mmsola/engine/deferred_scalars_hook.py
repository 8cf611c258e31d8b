"""Log the figures of every step without waiting for the GPU at every step."""

from __future__ import annotations

from typing import Any

from mmaction.registry import HOOKS
from mmengine.hooks import RuntimeInfoHook
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from torch import Tensor

from mmsola.engine.device_history import DeviceHistory


@HOOKS.register_module()
class DeferredScalarsHook(RuntimeInfoHook):
    """MMEngine's ``RuntimeInfoHook`` that leaves a step's figures on the GPU until they are read.

    The log, a checkpoint and every hook read the same numbers as before, at the moment when they
    ask; between two lines of the log nobody does. On a CPU nothing differs.

    Examples:
        >>> HOOKS.build(dict(type='DeferredScalarsHook')).priority
        'VERY_HIGH'
    """

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Add a step's figures to the log."""
        for key, value in (outputs or {}).items():
            if isinstance(value, Tensor) and _must_be_waited_for(value):
                # a copy: the model may write its next figure into the same memory
                history_of(runner.message_hub, f'train/{key}').update(value.detach().clone())
            else:
                runner.message_hub.update_scalar(f'train/{key}', value)


def _must_be_waited_for(value: Tensor) -> bool:
    return value.device.type != 'cpu'


def history_of(hub: MessageHub, key: str) -> DeviceHistory:
    """The history of a figure, which can take tensors from now on."""
    history = hub.log_scalars.get(key)
    if not isinstance(history, DeviceHistory):
        hub._set_resumed_keys(key, True)  # like what update_scalar makes, part of a checkpoint
        history = hub.log_scalars[key] = DeviceHistory(history)
    return history
