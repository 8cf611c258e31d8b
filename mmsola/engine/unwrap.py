"""The model itself, without what distributed training wraps around it."""

from __future__ import annotations

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn


def unwrapped_model(runner: Runner) -> nn.Module:
    """The runner's model, whose own attributes can be reached whether it is wrapped or not."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
