"""Keys of a config that nobody reads, since they are written almost as one that is read."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable
from difflib import get_close_matches

from mmengine.logging import print_log
from mmengine.runner import Runner

#: What is read beside the arguments of MMEngine's Runner: by Runner itself, MMAction2, and mmsola.
_MORE_KEYS = (
    *('custom_imports', 'runner_type', 'model_wrapper_cfg', 'find_unused_parameters', 'sync_bn'),
    *('compile', 'env', 'vis_backends', 'num_threads', 'quiet_console'),
)
_LIKENESS = 0.85  # of difflib; one letter missing in ten gives 0.95
_MOST_LETTERS_MORE = 3  # a name that goes on is another name: val_dataloader_small


def known_keys() -> list[str]:
    """Top-level keys that a run reads."""
    arguments = inspect.signature(Runner.__init__).parameters
    return sorted({*arguments, *_MORE_KEYS} - {'self', 'cfg'})


def misspelt_keys(keys: Iterable[str]) -> dict[str, str]:
    """Those that are almost a known key, with that key."""
    known = known_keys()
    found = {}
    for key in keys:
        near = [] if key in known else get_close_matches(key, known, 1, _LIKENESS)
        if near and abs(len(near[0]) - len(key)) <= _MOST_LETTERS_MORE:
            found[key] = near[0]
    return found


def misspelt_lines(cfg: Iterable[str]) -> list[str]:
    """A warning for each key that is almost a known one; it may be meant so."""
    return [
        f'the config has {key}, which a run does not read; if {known} is meant, correct it.'
        for key, known in misspelt_keys(cfg).items()
    ]


def warn_of_misspelt_keys(cfg: Iterable[str]) -> None:
    """Log these warnings; nothing is changed."""
    for line in misspelt_lines(cfg):
        print_log(line, 'current', logging.WARNING)
