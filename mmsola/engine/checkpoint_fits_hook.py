"""Whether a checkpoint fits the neck and the optimizer that it is loaded into."""

from __future__ import annotations

from typing import Any

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from mmsola.engine.run_config_error import RunConfigError
from mmsola.engine.unwrap import unwrapped_model
from mmsola.models.necks import SoLa, Standardize
from mmsola.models.necks.nested_necks import check_dilations_in, loadable_parts
from mmsola.models.necks.sola_checkpoint import sola_prefixes
from mmsola.models.necks.sola_dilations import KEY, dilations_of
from mmsola.models.necks.statistics_checkpoint import statistics_prefixes


@HOOKS.register_module()
class CheckpointFitsHook(Hook):
    """Refuse checkpoints whose misfit would show late, or in a message that helps nobody.

    ``build_runner`` adds this hook to every run. It also writes what the shapes of weights do not
    show, the dilations of SoLa modules, into the ``meta`` of every checkpoint.

    Raises:
        CheckpointError: A SoLa was trained with other dilations than the config's.
        RunConfigError: A checkpoint without SoLa is tested under a SoLa neck, or one without
            statistics under a Standardize, which its head never saw; one holds a SoLa, but not as
            its neck; or a training is resumed after a neck or an encoder was frozen or unfrozen.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Beside the versions."""
        found = {
            f'{name}.' if name else '': dilations_of(module.conv_network)
            for name, module in unwrapped_model(runner).named_modules()
            if isinstance(module, SoLa)
        }
        if found:
            checkpoint.setdefault('meta', {})[KEY] = found

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Look at what was loaded; the optimizer's state follows later."""
        is_training = isinstance(runner._train_loop, BaseLoop)
        parts = loadable_parts(getattr(unwrapped_model(runner), 'neck', None))
        wanted = [prefix for prefix, part in parts.items() if isinstance(part, SoLa)]
        weights = checkpoint.get('state_dict', checkpoint)
        source = runner._load_from or 'the checkpoint'
        held = sola_prefixes({key.removeprefix('module.'): None for key in weights})
        missing = [prefix for prefix in wanted if prefix not in held]
        if held and missing:
            raise RunConfigError(
                f'{source}: holds a SoLa under the prefix {held[0]!r}\n'
                f'  expected: one under {missing[0]!r}, or none\n'
                f'  fix: name it in model.{missing[0]}'
                "init_cfg=dict(type='Pretrained', checkpoint=..., "
                f'prefix={held[0]!r}) instead'
            )
        if wanted and not held and not is_training:
            raise RunConfigError(
                f'{source}: holds no SoLa, and the config has one, which the head of '
                'this checkpoint never saw\n  expected: the checkpoint of a localizer that was '
                'trained with its neck\n  fix: name that one, or test with the config without neck'
            )
        standardizes = any(isinstance(part, Standardize) for part in parts.values())
        if standardizes and not is_training and not statistics_prefixes(weights):
            raise RunConfigError(
                f'{source}: holds no statistics of features, and the config has a Standardize, '
                'which the head of this checkpoint never saw\n  expected: the checkpoint of a '
                'localizer that was trained with its neck\n  fix: name that one, or test with the '
                'config without neck'
            )
        check_dilations_in(unwrapped_model(runner), source, checkpoint)
        optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
        if runner._resume and optimizer is not None and 'optimizer' in checkpoint:
            found = _num_trained(checkpoint['optimizer'])
            expected = _num_trained(optimizer.state_dict())
            if found != expected:
                raise RunConfigError(
                    f'{source}: trained {found} parameters, this config trains '
                    f'{expected}\n  expected: the config that it was trained with; a neck or an '
                    'encoder was frozen or unfrozen since\n  fix: set frozen back to what it was, '
                    'or begin a new training from these weights: load_from=... without resume'
                )


def _num_trained(state: dict[str, Any]) -> int:
    return sum(len(group['params']) for group in state['param_groups'])
