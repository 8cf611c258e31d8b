"""Let the predictor learn before the gate opens."""

from __future__ import annotations

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmsola.engine.unwrap import unwrapped_model


@HOOKS.register_module()
class GateWarmupHook(Hook):
    """Keep ``tanh(alpha)`` where it is for the first steps of pretraining.

    An untrained predictor says nothing about similarity, and the quickest way to please the loss
    is then to add one large constant to every snippet: all become alike, and the loss stays at that
    of a constant guess (``kl`` near 0.108 with the default target). A gate that learns fast falls
    for it on some seeds. With the gate shut, the predictor learns to recognise its input first.
    The published recipe learns too slowly to need this.

    Args:
        num_steps: Iterations without a gradient for the gate.
    """

    def __init__(self, num_steps: int = 50) -> None:
        self.num_steps = num_steps

    def before_train(self, runner: Runner) -> None:
        """Watch the gate's gradient; which step it is, the runner knows even after a resume."""
        model = unwrapped_model(runner)

        def shut(gradient: Tensor) -> Tensor:
            return gradient if runner.iter >= self.num_steps else gradient * 0

        # zeroed rather than switched off: distributed training waits for every gradient
        self._handle = model.neck.alpha.register_hook(shut)

    def after_train(self, runner: Runner) -> None:
        """Stop watching."""
        self._handle.remove()
