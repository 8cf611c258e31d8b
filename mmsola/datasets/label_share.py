"""A share of the videos, for trainings with few labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def share_of_videos(names: Sequence[str], share: float, seed: int = 0) -> set[str]:
    """That share of the names, at least one of them.

    Which ones follows from names and seed alone: it is the same on every machine and in every order
    of the names, and a smaller share is a part of a larger one.

    Args:
        names: Of the videos, each once.
        share: Above 0, and 1 for all.
        seed: Another one draws others.

    Examples:
        >>> names = [f'video_{i}' for i in range(20)]
        >>> tenth, quarter = (share_of_videos(names, share) for share in (0.1, 0.25))
        >>> len(tenth), len(quarter), tenth < quarter
        (2, 5, True)
    """
    count = max(1, round(share * len(names)))
    return set(sorted(names, key=lambda name: _rank(name, seed))[:count])


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f'{seed}:{name}'.encode('utf-8', 'surrogatepass')).digest()
