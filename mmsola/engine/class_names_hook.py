"""The same classes in training data, localizer, checkpoint and evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner

from mmsola.datasets.class_names import nearest_names
from mmsola.engine.run_config_error import RunConfigError
from mmsola.engine.unwrap import one_stage_localizer
from mmsola.engine.wrapped_datasets import datasets_in
from mmsola.messages.first_few import first_few
from mmsola.models.heads.point_head import PointHead
from mmsola.models.localizers import OneStageLocalizer
from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL


@HOOKS.register_module()
class ClassNamesHook(Hook):
    """Name a one-stage localizer's classes as its training data do, and keep to that.

    Names come from the training data, or from the checkpoint that is tested or resumed, in whose
    ``meta`` they stand. Classes that no training segment has are counted, and begin with a
    probability of 1e-6 unless weights were loaded. ``build_runner`` adds this hook to every run;
    other models are left alone.

    Raises:
        RunConfigError: There are more or fewer classes than the localizer has; the training or the
            checkpoint has other classes, or another order, than the localizer was given; or the
            evaluation data have a class that it never learned.
    """

    def before_train(self, runner: Runner) -> None:
        """Before the first step."""
        model = one_stage_localizer(runner)
        if model is None:
            return
        datasets = datasets_in(runner.train_dataloader.dataset)
        _agree(model, _classes(datasets[0].metainfo), 'the training data')
        _silence_unused(model, datasets)
        if isinstance(runner._val_loop, BaseLoop):
            self._check(model, runner.val_dataloader.dataset.metainfo, 'the validation data')

    def before_val(self, runner: Runner) -> None:
        """Where nothing is trained."""
        model = one_stage_localizer(runner)
        if model is not None:
            self._check(model, runner.val_dataloader.dataset.metainfo, 'the validation data')

    def before_test(self, runner: Runner) -> None:
        """Before the first video."""
        model = one_stage_localizer(runner)
        if model is not None:
            self._check(model, runner.test_dataloader.dataset.metainfo, 'the test data')

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """A training that only begins from these weights may have other classes."""
        model = one_stage_localizer(runner)
        is_training = isinstance(runner._train_loop, BaseLoop)
        if model is None or (is_training and not runner._resume):
            return
        held = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        names = _classes(held)
        if names:
            held['classes'] = names  # the Runner warns where the data set's tuple is a list here
        _agree(model, names, f'the checkpoint {runner._load_from or ""}'.rstrip())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """As a plain list, which any reader of checkpoints understands."""
        model = one_stage_localizer(runner)
        if model is not None and model.class_names is not None:
            meta = checkpoint.setdefault('meta', {})
            meta['dataset_meta'] = {
                **(meta.get('dataset_meta') or {}),
                'classes': list(model.class_names),
            }

    @staticmethod
    def _check(model: OneStageLocalizer, metainfo: Mapping[str, Any], source: str) -> None:
        names, known = _classes(metainfo), model.class_names
        if not names or known in (None, (CLASS_AGNOSTIC_LABEL,)):
            return
        assert known is not None
        unknown = [name for name in names if name not in known]
        if unknown:
            more = f' (and {len(unknown) - 1} more)' if len(unknown) > 1 else ''
            raise RunConfigError(
                f'{source}: the class {unknown[0]!r}{more} was never learned\n'
                f'  expected: some of the {len(known)} classes of the localizer, such as '
                f'{nearest_names(unknown[0], known)}\n  fix: correct the labels, or leave them out '
                f'with ignored_classes=[{unknown[0]!r}] in the data set'
            )
        if metainfo.get('classes_given'):
            _agree(model, names, source)


def _classes(metainfo: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(metainfo.get('classes') or ())


def _silence_unused(model: OneStageLocalizer, datasets: Sequence[Any]) -> None:
    """As the published code does for nouns of EPIC-Kitchens that never occur."""
    names = model.class_names
    if names is None or not isinstance(model.head, PointHead):
        return
    if not all(hasattr(dataset, 'get_data_info') for dataset in datasets):
        return
    used = {
        annotation['class_index']
        for dataset in datasets
        for i in range(len(dataset))
        for annotation in dataset.get_data_info(i).get('annotations', ())
        if 'class_index' in annotation
    }
    unused = [i for i in range(len(names)) if i not in used]
    if not used or not unused:  # a data set of others may not say
        return
    model.head.silence(unused)
    print_log(
        f'{len(unused)} of {len(names)} classes have no segment in training: '
        f'{first_few(names[i] for i in unused)}. In a model without trained weights they begin '
        'with a probability of 1e-6.',
        'current',
    )


def _agree(model: OneStageLocalizer, names: Sequence[str], source: str) -> None:
    """Take the names, which must be those that the localizer has already, if it has some."""
    if not names:
        return
    known = model.class_names
    if known is None:
        try:
            model.name_classes(names, source)
        except ValueError as error:  # more or fewer than it has
            raise RunConfigError(str(error)) from error
        return
    for i, (one, other) in enumerate(zip(known, names)):
        if one != other:
            raise RunConfigError(
                f'{source}: class {i} is {other!r}\n  expected: {one!r}, as the localizer has it '
                'already\n  fix: give the data sets one list of classes, and test a checkpoint of '
                'that list'
            )
    if len(known) != len(names):
        raise RunConfigError(
            f'{source}: has {len(names)} classes\n  expected: the {len(known)} of the localizer\n'
            '  fix: give the data sets one list of classes, and test a checkpoint of that list'
        )
