"""What a config says in seconds becomes snippets, at the rate of its training data."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any

import numpy as np
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmsola.datasets.snippet_feature_dataset import SnippetFeatureDataset
from mmsola.engine.run_config_error import RunConfigError
from mmsola.engine.wrapped_datasets import dataset_configs
from mmsola.files.json_file import is_positive
from mmsola.models import SoLa
from mmsola.models.necks.nested_necks import neck_configs
from mmsola.models.necks.temporal_smoothing import TemporalSmoothing

_ALIKE = 1.1  # greatest rate over smallest that still counts as one
_FAR_OFF = 1.5  # what is asked for over what snippets allow, or the reverse, that is warned of


def settle_seconds(cfg: Config) -> list[tuple[int, str]]:
    """Replace what a config says in seconds by snippets, in place.

    ==========================  ===============================================================
    in seconds                  becomes
    ==========================  ===============================================================
    ``model.neck.reach_sec``    the first ``dilations`` of a SoLa, ``kernel_size`` of a
                                ``TemporalSmoothing``; also of a neck inside of the neck
    ``model.step_sec``          ``model.step``; a list becomes several steps
    ``window_sec``              ``window`` of ``LoadSnippetWindow`` in the training pipeline
    ==========================  ===============================================================

    In pretraining, ``model.start`` and ``window`` follow where they are left open: the smallest
    that keep the padding of convolutions out. So does the ``margin`` of ``SlidingWindowDataset``.
    The rate is the median over the videos of the training data set. A config without seconds is
    left alone, and no data are looked at.

    Args:
        cfg: The whole config.

    Returns:
        A level of ``logging`` and one line that says what the seconds became; none without any.

    Raises:
        RunConfigError: One length is given in seconds and in snippets, or is not positive; the
            rate of a video is not known; the rates differ by more than 10 %; or the window is too
            short.
    """
    model = cfg.get('model') or {}
    if 'step_sec' in model and model['step_sec'] is None:
        del model['step_sec']
    for neck in _necks(model):
        if not _given(neck, 'reach_sec'):
            neck.pop('reach_sec', None)
    necks = [neck for neck in _necks(model) if _given(neck, 'reach_sec')]
    sets = _data_sets(cfg.get('train_dataloader'))
    windows = [step for each in sets for step in _steps(each) if _draws_windows(step)]
    timed_windows = [step for step in windows if _given(step, 'window_sec')]
    if not (necks or timed_windows or _given(model, 'step_sec')):
        return []
    for neck in necks:
        _refuse_both(neck, 'model.neck', 'reach_sec', _length_of_reach(neck))
    if 'step_sec' in model:
        _refuse_both(model, 'model', 'step_sec', 'step')
    for step in timed_windows:
        _refuse_both(step, 'LoadSnippetWindow', 'window_sec', 'window')
    if 'step_sec' in model and not windows:
        raise RunConfigError(
            'model.step_sec: the training pipeline draws no windows\n  expected: a '
            'LoadSnippetWindow in it, as in pretraining\n  fix: remove step_sec'
        )
    became = _Became(snippets_per_sec(sets))
    for neck in necks:
        _settle_reach(neck, became)
    if windows:
        _settle_windows(model, windows, became)
    elif necks:
        _settle_margins(cfg, max(map(_reach, _necks(model))))
    return [became.line()]


def snippets_per_sec(data_sets: Sequence[dict]) -> float:
    """The rate of the videos of data sets, the median over them.

    Args:
        data_sets: Their configs.

    Raises:
        RunConfigError: There are none, the rate of a video is not known, or the rates differ by
            more than 10 %.
    """
    fix = (
        'say it in snippets: model.neck.dilations and model.step; or take the config in the work '
        'directory of the training, which has it so'
    )
    rates: dict[str, float] = {}
    for each in data_sets:
        for entry in _entries(each):
            centres_sec = entry.get('snippet_centres_sec')
            if centres_sec is None:
                raise RunConfigError(
                    f'{entry.get("video_name", each.get("ann_file"))}: how many snippets it has in '
                    'a second is not known, and the config has lengths in seconds\n  expected: the '
                    'stride and the frames a second of the videos\n  fix: set timeline=dict('
                    'stride_frames=..., fps=...) of the training data set, or give fps or a '
                    f'duration in the annotation; or {fix}'
                )
            if len(centres_sec) > 1:
                stride_sec = (centres_sec[-1] - centres_sec[0]) / (len(centres_sec) - 1)
                rates[entry['video_name']] = 1 / stride_sec
    if not rates:
        raise RunConfigError(
            'the config has lengths in seconds, and no training videos to take the number of '
            f'snippets in a second from\n  expected: train_dataloader.dataset\n  fix: {fix}'
        )
    slowest, fastest = min(rates, key=rates.__getitem__), max(rates, key=rates.__getitem__)
    if rates[fastest] > _ALIKE * rates[slowest]:
        raise RunConfigError(
            f'training videos have different rates: {slowest} has {rates[slowest]:.4g} snippets a '
            f'second, {fastest} has {rates[fastest]:.4g}\n  expected: rates that differ by 10 % at '
            'most, since a length in seconds becomes one number of snippets\n  fix: extract the '
            f'features at one rate, or {fix}'
        )
    return float(np.median([*rates.values()]))


class _Became:
    """What seconds became, for the log."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.parts: list[str] = []
        self.level = logging.INFO

    def line(self) -> tuple[int, str]:
        far = '' if self.level == logging.INFO else '; snippets allow nothing nearer'
        return self.level, f'At {self.rate:.4g} snippets a second: {", ".join(self.parts)}{far}.'

    def add(self, asked: str, became: str, asked_sec: Sequence[float], snippets: Sequence) -> None:
        found_sec = [number / self.rate for number in snippets]
        if any(max(a / f, f / a) > _FAR_OFF for a, f in zip(asked_sec, found_sec)):
            self.level = logging.WARNING
        seconds = ', '.join(f'{value:.3g}' for value in found_sec)
        self.parts.append(f'{asked} is {became} ({seconds} s)')


def _settle_reach(neck: dict, became: _Became) -> None:
    reach_sec = neck.pop('reach_sec')
    _check_positive('model.neck.reach_sec', [reach_sec])
    wanted = reach_sec * became.rate
    key = _length_of_reach(neck)
    if key == 'kernel_size':
        value: Any = 2 * max(round(wanted), 1) + 1
    else:
        size1, size2 = neck.get('kernel_sizes') or _default(SoLa, 'kernel_sizes')
        if size1 < 3:
            raise RunConfigError(
                f'model.neck.reach_sec: the first of kernel_sizes={(size1, size2)} sees one '
                'snippet, and dilation does not widen that\n  expected: 3 or more\n  fix: set '
                'kernel_sizes'
            )
        # the second convolution keeps its dilation of 1
        value = (max(round((wanted - (size2 - 1) / 2) / ((size1 - 1) / 2)), 1), 1)
    neck[key] = value
    became.add(f'reach_sec={reach_sec:g}', f'{key}={value}', [reach_sec], [_reach(neck)])


def _settle_windows(model: dict, windows: Sequence[dict], became: _Became) -> None:
    """Step, start and window of a pretraining."""
    kind = MODELS.get(model['type'])
    if 'step_sec' in model:
        value = model.pop('step_sec')
        seconds = [value] if isinstance(value, (int, float)) else list(value)
        _check_positive('model.step_sec', seconds)
        found = [max(round(each * became.rate), 1) for each in seconds]
        steps = list(dict.fromkeys(found))  # a recipe for all sets may be finer than this one
        model['step'] = steps[0] if len(steps) == 1 else tuple(steps)
        asked = ','.join(f'{each:g}' for each in seconds)
        became.add(f'step_sec={asked}', f'step={model["step"]}', seconds, found)
        if len(steps) < len(found):
            became.level = logging.WARNING
    step = model.get('step') or _default(kind, 'step')
    span = max([step] if isinstance(step, int) else step) * (
        (model.get('num_gathered') or _default(kind, 'num_gathered')) - 1
    )
    reach = max(map(_reach, _necks(model)), default=0)
    if not _given(model, 'start'):
        model['start'] = reach
    needed = model['start'] + span + reach + 1
    became.parts.append(f'start={model["start"]}')
    for each in windows:
        if _given(each, 'window_sec'):
            window_sec = each.pop('window_sec')
            _check_positive('LoadSnippetWindow.window_sec', [window_sec])
            each['window'] = round(window_sec * became.rate)
        elif not _given(each, 'window'):
            each['window'] = needed
        if each['window'] < needed:
            raise RunConfigError(
                f'windows of {each["window"]} snippets are too short at {became.rate:.4g} snippets '
                f'a second\n  expected: {needed} or more ({needed / became.rate:.3g} s), so that '
                'the last position sees no padding\n  fix: leave window and window_sec out, or '
                'make reach_sec or step_sec smaller'
            )
        became.parts.append(f'window={each["window"]} ({each["window"] / became.rate:.3g} s)')


def _settle_margins(cfg: Config, reach: int) -> None:
    """Let windows of a localizer be read with what the neck sees of their surroundings."""
    for split in ('train', 'val', 'test'):
        for each in _data_sets(cfg.get(f'{split}_dataloader')):
            kind = DATASETS.get(each['type'])
            if kind and 'margin' in signature(kind).parameters and not _given(each, 'margin'):
                each['margin'] = reach


def _necks(model: dict) -> list[dict]:
    """The config of the neck, and of those inside of it."""
    return [*neck_configs(model.get('neck'))]


def _data_sets(loader: dict | None) -> list[dict]:
    """The configs of the data sets that a loader's config has."""
    data_set = (loader or {}).get('dataset')
    return dataset_configs(data_set) if isinstance(data_set, dict) else []


def _steps(data_set: dict) -> list[dict]:
    return [step for step in data_set.get('pipeline') or () if isinstance(step, dict)]


def _draws_windows(step: dict) -> bool:
    return step.get('type') == 'LoadSnippetWindow'


def _entries(data_set: dict) -> list[dict]:
    """The videos of a data set; nothing but headers of their features is read."""
    pipeline = [step for step in data_set.get('pipeline') or () if not _draws_windows(step)]
    wanted = {**data_set, 'pipeline': pipeline, 'lazy_init': True}
    kind = DATASETS.get(data_set['type'])
    if isinstance(kind, type) and issubclass(kind, SnippetFeatureDataset):
        wanted['check'] = 'header'
    with DefaultScope.overwrite_default_scope('mmaction'), _without_log():
        return DATASETS.build(wanted).load_data_list()


@contextmanager
def _without_log() -> Iterator[None]:
    """Log nothing: the run itself lists the same videos, and says the same."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _given(settings: dict, key: str) -> bool:
    return settings.get(key) is not None


def _refuse_both(settings: dict, where: str, seconds: str, snippets: str) -> None:
    if _given(settings, seconds) and _given(settings, snippets):
        raise RunConfigError(
            f'{where}: has {seconds}={settings[seconds]} and {snippets}={settings[snippets]}\n'
            f'  expected: one of them\n  fix: set {where}.{snippets}=None, or remove {seconds}'
        )


def _check_positive(key: str, seconds: Sequence[Any]) -> None:
    if not seconds or not all(map(is_positive, seconds)):
        raise RunConfigError(
            f'{key} is {", ".join(map(repr, seconds)) or "empty"}\n  expected: seconds, above 0\n'
            '  fix: correct it'
        )


def _length_of_reach(neck: dict) -> str:
    """Which argument of a neck, in snippets, sets how far it sees.

    Raises:
        RunConfigError: None does.
    """
    kind = MODELS.get(neck['type'])
    if isinstance(kind, type) and issubclass(kind, SoLa):
        return 'dilations'
    if isinstance(kind, type) and issubclass(kind, TemporalSmoothing):
        return 'kernel_size'
    raise RunConfigError(
        f'model.neck: {neck["type"]} takes no reach_sec\n  expected: it in a SoLa or in a '
        'TemporalSmoothing\n  fix: remove it'
    )


def _reach(neck: dict) -> int:
    """How many snippets to either side a neck of this config sees; 0 for other kinds of necks."""
    kind = MODELS.get(neck['type'])
    if isinstance(kind, type) and issubclass(kind, SoLa):
        sizes = neck.get('kernel_sizes') or _default(SoLa, 'kernel_sizes')
        dilations = neck.get('dilations') or _default(SoLa, 'dilations')
        return sum((size - 1) * dilation // 2 for size, dilation in zip(sizes, dilations))
    if isinstance(kind, type) and issubclass(kind, TemporalSmoothing):
        return (neck.get('kernel_size') or _default(TemporalSmoothing, 'kernel_size')) // 2
    return 0


def _default(kind: Any, argument: str) -> Any:
    return signature(kind).parameters[argument].default
