"""Mixed precision, on a machine without an accelerator too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS

from mmsola.engine.run_config_error import RunConfigError


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Mixed precision on CPU: :class:`OptimWrapper` whose forward runs in bfloat16 autocast.

    MMEngine's ``AmpOptimWrapper`` refuses a machine without accelerator. bfloat16 has the range
    of float32, so nothing is left of it here but the autocast: no gradient is ever scaled.

    Examples:
        >>> model = torch.nn.Linear(4, 2)
        >>> wrapper = BFloat16OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
        >>> with wrapper.optim_context(model):
        ...     model(torch.rand(1, 4)).dtype
        torch.bfloat16
    """

    @contextmanager
    def optim_context(self, model: torch.nn.Module) -> Iterator[None]:
        """Autocast around the forward of a training step."""
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield


def enable_amp(cfg: Config) -> None:
    """Switch ``cfg.optim_wrapper`` to mixed precision: bfloat16 autocast where there is only a CPU.

    Raises:
        RunConfigError: The config has an optimizer wrapper of its own, which this would replace.
    """
    wrapper = cfg.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper', 'BFloat16OptimWrapper'):
        raise RunConfigError(
            f"mixed precision can only replace optim_wrapper.type='OptimWrapper', found '{kind}'"
        )
    if get_device() == 'cpu':
        print_log('No accelerator found: mixed precision is bfloat16 autocast on CPU.', 'current')
        wrapper.type = 'BFloat16OptimWrapper'
        for gpu_option in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(gpu_option, None)
    else:
        wrapper.type = 'AmpOptimWrapper'
        # bfloat16 reaches as far as float32: a scale would only be looked for, step by step
        is_wide = wrapper.get('dtype') == 'bfloat16'
        wrapper.setdefault('loss_scale', dict(enabled=False) if is_wide else 'dynamic')
