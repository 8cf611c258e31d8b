"""A resumed training draws the random numbers of one that was never interrupted."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmaction.registry import HOOKS
from mmengine.device import get_device
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Seed the global generators from the run's seed and the step, at each epoch and iteration.

    Losses that sample (BMN's), dropout and random transforms draw from generators whose state is
    in no checkpoint. Seeded anew, they draw the same in a run that was killed and resumed.
    ``build_runner`` adds this hook to every training.

    What draws inside of *persistent* workers of a loader is not reached.
    """

    priority = 'VERY_HIGH'  # before anything of the step draws

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed for a loader without workers, whose transforms draw in this process."""
        self._seed(runner, 0, runner.iter)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Seed for the model; that a loader starts its workers anew has drawn numbers as well."""
        self._seed(runner, 1, runner.iter)

    @staticmethod
    def _seed(runner: Runner, use: int, step: int) -> None:
        own = get_rank() if runner._randomness_cfg.get('diff_rank_seed') else 0
        (seed,) = np.random.SeedSequence([runner.seed, own, use, step]).generate_state(1)
        random.seed(int(seed))
        np.random.seed(seed)
        _seed_torch(int(seed))


def _seed_torch(seed: int) -> None:
    """``torch.manual_seed`` for the devices that this run computes on.

    That function also notes the seed, with the whole stack, for each kind of device that nobody
    uses: a sixth of a millisecond, at every step.
    """
    if get_device() not in ('cpu', 'cuda'):
        torch.manual_seed(seed)
        return
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
