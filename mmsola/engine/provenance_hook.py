"""Checkpoints that know which code made them."""

from __future__ import annotations

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmsola.version import provenance


@HOOKS.register_module()
class ProvenanceHook(Hook):
    """Write version, commit and number of threads into the ``meta`` of every checkpoint.

    ``build_runner`` adds this hook to every run.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Beside MMEngine's own version, time and seed."""
        checkpoint.setdefault('meta', {}).update(provenance())
