"""A share of the videos for validation, by chance, but always the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def draw_validation(units: Iterable[str], share: float, seed: int = 0) -> set[str]:
    """The units, such as videos or subjects, that go to validation.

    Each one's lot hangs on its own name and the seed alone, so that others may be added without
    moving it. Of two units or more, neither all nor none are chosen; for this alone one may move.

    Args:
        units: Their names.
        share: About what share of them is chosen, above 0 and below 1.
        seed: Another one gives another choice.
    """
    if not 0 < share < 1:
        raise ValueError(f'The share for validation is {share}; expected above 0 and below 1.')
    lots = {unit: _lot(unit, seed) for unit in units}
    by_lot = sorted(lots, key=lots.__getitem__)
    count = sum(lot < share for lot in lots.values())
    return set(by_lot[: max(min(max(count, 1), len(by_lot) - 1), 0)])


def _lot(unit: str, seed: int) -> float:
    digest = hashlib.sha256(f'{seed}/{unit}'.encode()).digest()
    return int.from_bytes(digest[:8], 'big') / 2**64
