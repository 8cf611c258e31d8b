"""Lines that a distributed job logs once."""

from __future__ import annotations

import logging

from mmengine.dist import is_main_process
from mmengine.logging import print_log


def log_in_main_process(message: str, level: int = logging.INFO) -> None:
    """Log a line in the first process of a job, and in no other one."""
    if is_main_process():
        print_log(message, 'current', level)
