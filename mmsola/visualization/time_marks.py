"""Marks along the time of a video: seconds in short ones, minutes and hours in long ones."""

from __future__ import annotations

import numpy as np

LONGEST_IN_SECONDS = 180.0

_STEPS_IN_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60)
_STEPS_IN_MINUTES = (30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)


def time_marks(duration_sec: float, max_steps: int = 10) -> tuple[np.ndarray, list[str], str]:
    """Marks from 0 on, in seconds, the text at each of them, and the unit of the text."""
    is_short = duration_sec <= LONGEST_IN_SECONDS
    steps_sec = _STEPS_IN_SECONDS if is_short else _STEPS_IN_MINUTES
    step_sec = next((step for step in steps_sec if duration_sec / step <= max_steps), steps_sec[-1])
    marks_sec = np.arange(int(duration_sec / step_sec + 1e-6) + 1) * step_sec
    if is_short:
        return marks_sec, [f'{mark:g}' for mark in marks_sec.round(2)], 'seconds'
    with_hours = duration_sec >= 3600
    unit = 'hours:minutes:seconds' if with_hours else 'minutes:seconds'
    return marks_sec, [_clock(int(mark), with_hours) for mark in marks_sec], unit


def _clock(seconds: int, with_hours: bool) -> str:
    minutes, seconds = divmod(seconds, 60)
    if not with_hours:
        return f'{minutes}:{seconds:02d}'
    return f'{minutes // 60}:{minutes % 60:02d}:{seconds:02d}'
