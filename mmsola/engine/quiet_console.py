"""What of a run's log the console shows; the log file has all of it."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from mmaction.registry import RUNNERS
from mmengine.config import Config
from mmengine.runner import Runner

from mmsola.engine.run_config_error import RunConfigError

#: At most one line of a kind of progress in this time.
LINE_EVERY_SEC = 10.0

_FRAMEWORK = ('mmengine', 'mmcv', 'mmaction')
_WAYS_TO_LOG = ('logging', 'mmengine.logging')

# Of the framework's messages below a warning, those that tell a user what happened.
_NEWS = re.compile(r'The best checkpoint with|Load checkpoint from|resumed epoch|.*[Ee]arly stop')
_PROGRESS = re.compile(r'Epoch\((train|val|test)\)|Iter\((train|val|test)\)|(Saving checkpoint)')
# Of its warnings, those that nobody who uses a config can or needs to do something about.
_IDLE_WARNINGS = re.compile(
    r'The prefix is not set in metric class|"HardDiskBackend" is the alias|'
    r'"FileClient" will be deprecated|`save_param_scheduler` is True but|'
    r'Failed to search registry with scope|init_weights of .* has been called more than once|'
    r'Dataset \w+ has no metainfo|.*is skipped since its requires_grad|'
    r'Cannot compare the|.*in message_hub (cannot be copied|is not HistoryBuffer)'
)


class QuietConsole(logging.Filter):
    """Lets pass what is for the user: messages of others than the framework, warnings, figures.

    Steps of a training come at most every :data:`LINE_EVERY_SEC`, other progress if nothing else
    did; environment, config, hooks and the like do not come at all.
    """

    def __init__(self, now_sec: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_sec = now_sec
        self._shown_at_sec: dict[str, float] = {}
        self._any_shown_at_sec = -LINE_EVERY_SEC

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the console shows a message."""
        if record.levelno >= logging.ERROR or not _is_of_framework(sys._getframe()):
            return True
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            return not _IDLE_WARNINGS.match(text)
        progress = _PROGRESS.match(text)
        is_shown = (
            record.funcName in ('after_val_epoch', 'after_test_epoch')
            or _NEWS.match(text) is not None
            or (progress is not None and self._is_due(progress[0]))
        )
        if is_shown:
            self._any_shown_at_sec = self._now_sec()
        return is_shown

    def _is_due(self, kind: str) -> bool:
        """The first of its kind; what is no step of a training later only if nothing else was."""
        before_sec = self._shown_at_sec.get(kind)
        if before_sec is not None and '(train)' not in kind:
            before_sec = self._any_shown_at_sec
        is_due = before_sec is None or self._now_sec() - before_sec >= LINE_EVERY_SEC
        if is_due:
            self._shown_at_sec[kind] = self._now_sec()
        return is_due


def runner_class(cfg: Config) -> type[Runner]:
    """The config's class of Runner; with ``quiet_console=True``, its console is quiet.

    Raises:
        RunConfigError: ``runner_type`` names no registered class.
    """
    kind = RUNNERS.get(cfg.runner_type) if 'runner_type' in cfg else Runner
    if kind is None:
        raise RunConfigError(
            f'runner_type={cfg.runner_type!r}: no such class is registered\n'
            '  expected: Runner, or a class of RUNNERS\n'
            '  fix: correct the name, or import its module with custom_imports'
        )
    if not cfg.get('quiet_console', True):
        return kind
    return type(kind.__name__, (_QuietLogger, kind), {'__module__': kind.__module__})


class _QuietLogger:
    """The part of a Runner that builds its logger, before anything is logged."""

    def build_logger(self, *args: Any, **kwargs: Any) -> logging.Logger:
        logger = super().build_logger(*args, **kwargs)  # type: ignore[misc]
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(QuietConsole())
        return logger


def _is_of_framework(frame: FrameType | None) -> bool:
    """Whether the framework logs; ``print_log`` hides who calls it, so the stack is looked at."""
    while frame is not None:
        name = frame.f_globals.get('__name__', '')
        if name != __name__ and not _begins(name, _WAYS_TO_LOG):
            return _begins(name, _FRAMEWORK)
        frame = frame.f_back
    return False


def _begins(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f'{package}.') for package in packages)
