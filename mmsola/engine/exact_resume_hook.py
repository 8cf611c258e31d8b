"""A resumed training draws the random numbers of one that was never interrupted."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmaction.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Seed the global generators from the run's seed and the epoch, or the iteration.

    Losses that sample (BMN's), dropout and random transforms draw from generators whose state is
    in no checkpoint. Drawn anew at each epoch (for loops that count iterations, at each of those),
    they are the same in a run that was killed and resumed. ``build_runner`` adds this hook to every
    training.

    What draws inside of *persistent* workers of a loader is not reached.
    """

    priority = 'VERY_HIGH'  # before anything of the epoch draws

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed for the epoch."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._seed(runner, runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Seed for the iteration, where the loop knows no epochs."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._seed(runner, runner.iter)

    @staticmethod
    def _seed(runner: Runner, step: int) -> None:
        own = get_rank() if runner._randomness_cfg.get('diff_rank_seed') else 0
        (seed,) = np.random.SeedSequence([runner.seed, own, step]).generate_state(1)
        random.seed(int(seed))
        np.random.seed(seed)
        torch.manual_seed(int(seed))  # of every device
