"""Figures of several runs of one config, each with a seed of its own, together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmsola.evaluation.paired import paired_difference
from mmsola.evaluation.probe import REFERENCES
from mmsola.files.json_file import is_number


@dataclass(frozen=True)
class Gain:
    """One figure over several seeds: a reference, SoLa, and SoLa's gain over the reference.

    ``std`` is the standard deviation of the gain over seeds, ``low`` and ``high`` the 95 % interval
    of its mean (Student's t); NaN for a single seed.
    """

    metric: str
    reference: str
    reference_value: float
    sola: float
    gain: float
    std: float
    low: float
    high: float


def validations_of(work_dir: str | Path) -> dict[int, dict[str, float]]:
    """Figures of every validation logged in a work directory, by epoch; resumed runs included.

    Raises:
        FileNotFoundError: There is no validation in any log.
    """
    found: dict[int, dict[str, float]] = {}
    for log in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in log.read_text(encoding='utf-8', errors='replace').splitlines():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue  # cut by a kill; the resumed run logs that validation again
            if not isinstance(entry, dict) or not isinstance(entry.get('step'), int):
                continue  # damaged likewise
            figures = {k: float(v) for k, v in entry.items() if '/' in k and is_number(v)}
            if figures:
                found[entry['step']] = figures
    if not found:
        raise FileNotFoundError(
            f'{work_dir}: no validation in */vis_data/scalars.json; train there with validation, '
            'and keep LocalVisBackend in vis_backends.'
        )
    return found


def chosen_epoch(validations: dict[int, dict[str, float]], key: str) -> int:
    """The first epoch at which ``key`` is greatest, as CheckpointHook chooses."""
    return max(sorted(validations), key=lambda epoch: validations[epoch][key])


def summarise(rows: list[dict[str, float]]) -> list[Gain]:
    """Gains over seeds of every figure that was measured on a reference as well.

    Args:
        rows: The figures of each seed at its chosen epoch; ``<metric>_untouched`` and
            ``<metric>_smoothed`` beside ``<metric>``.
    """
    gains = []
    for metric in rows[0] if rows else ():
        for reference in REFERENCES:
            key = f'{metric}_{reference}'
            if key not in rows[0]:
                continue
            difference = paired_difference(
                np.array([row[key] for row in rows]), np.array([row[metric] for row in rows])
            )
            gains.append(
                Gain(
                    metric=metric,
                    reference=reference,
                    reference_value=difference.baseline,
                    sola=difference.candidate,
                    gain=difference.mean,
                    std=difference.std,
                    low=difference.low,
                    high=difference.high,
                )
            )
    return gains
