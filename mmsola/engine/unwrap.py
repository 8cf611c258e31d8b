"""The model itself, without what is wrapped around it."""

from __future__ import annotations

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmsola.models.localizers import EndToEndLocalizer, OneStageLocalizer


def unwrapped_model(runner: Runner) -> nn.Module:
    """The runner's model, whose own attributes can be reached whether it is wrapped or not."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def one_stage_localizer(runner: Runner) -> OneStageLocalizer | None:
    """The one-stage localizer that a runner trains or tests, alone or with its encoder."""
    model = unwrapped_model(runner)
    if isinstance(model, EndToEndLocalizer):
        model = model.localizer
    return model if isinstance(model, OneStageLocalizer) else None
