"""Take mean and standard deviation of the training features before the first step."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from mmaction.registry import HOOKS
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmsola.datasets.channel_moments import ChannelMoments, joined, stored_videos
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.engine.run_config_error import RunConfigError
from mmsola.engine.unwrap import unwrapped_model
from mmsola.messages.progress import progress
from mmsola.models.layers.channel_statistics import ChannelStatistics


@HOOKS.register_module()
class FeatureStatisticsHook(Hook):
    """Fill every ``Standardize``, alone or inside of a SoLa, that no checkpoint has filled.

    One pass over the whole sequences of the training videos, each process over its share; no label
    is read. ``build_runner`` adds this hook to every training.

    Raises:
        RunConfigError: The training data are not snippet features of a store, or have other
            channels than the neck.
        FeatureError: A video holds NaN or infinite values.
    """

    # before a hook that validates, and before the names of classes are: nothing ran the model yet
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Fill what is empty, in the averaged copy of EMAHook too."""
        model = unwrapped_model(runner)
        empty = [module for module in _statistics(model) if not module.is_filled]
        if empty:
            moments = _moments(runner.train_dataloader.dataset)
            for module in empty:
                _fill(module, moments)
            runner.logger.info(
                f'Statistics of the training features: {moments.count} snippets of '
                f'{moments.num_videos} videos, {int((moments.std == 0).sum())} of '
                f'{len(moments.mean)} channels constant; what all snippets share is '
                f"{moments.constant_share:.0%} of a snippet's length."
            )
        # made before the weights were loaded, and saved before its first update
        for hook in runner.hooks:
            copy = getattr(hook, 'ema_model', None)
            if copy is not None:
                for own, averaged in zip(_statistics(model), _statistics(copy.module)):
                    averaged.load_state_dict(own.state_dict())


def _statistics(model: nn.Module) -> Iterator[ChannelStatistics]:
    return (module for module in model.modules() if isinstance(module, ChannelStatistics))


def _fill(module: ChannelStatistics, moments: ChannelMoments) -> None:
    if len(moments.mean) != module.in_channels:
        raise RunConfigError(
            f'Standardize: in_channels is {module.in_channels}\n  expected: the '
            f'{len(moments.mean)} channels of the training features\n  fix: set in_channels to it'
        )
    mean, std = torch.from_numpy(moments.mean), torch.from_numpy(moments.std)
    module.fill(mean, std, moments.count)


def _moments(dataset: object) -> ChannelMoments:
    """Those of all videos, equal in all processes."""
    try:
        videos = list(stored_videos(dataset).items())
    except TypeError as error:
        raise RunConfigError(
            f'Standardize: takes its statistics from snippet features of the training data; '
            f'{error}\n  expected: a SnippetFeatureDataset, or a checkpoint that holds '
            "statistics\n  fix: set init_cfg=dict(type='Pretrained', checkpoint=...) of the neck"
        ) from error
    rank, world_size = get_dist_info()
    share: ChannelMoments | None = None
    fault = ''
    try:
        for (_, name), store in progress(videos[rank::world_size], 'Statistics of features'):
            share = joined([share, ChannelMoments.of(name, store.read(name))])
    except (FeatureError, ValueError) as error:  # others would wait for this process
        fault = str(error)
    # joined in the order of the processes, which rounds alike in all of them
    gathered = all_gather_object((share, fault))
    faults = [text for _, text in gathered if text]
    if faults:
        raise FeatureError(faults[0])
    moments = joined(part for part, _ in gathered)
    if moments is None:
        raise RunConfigError('Standardize: the training data have no video to take statistics of.')
    return moments
