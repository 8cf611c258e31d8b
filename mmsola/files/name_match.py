"""One video under names that differ as names of data sets usually do."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

from mmsola.files.suffixes import FEATURE_SUFFIXES, VIDEO_SUFFIXES

_PREFIX = 'v_'  # ActivityNet's, which its own submissions leave out
_SUFFIXES = (*VIDEO_SUFFIXES, *FEATURE_SUFFIXES, '.json')


def plain_name(name: str) -> str:
    """A name without what it may have in one file and lack in another.

    Examples:
        >>> plain_name('train/v_abc.mp4')
        'train/abc'
    """
    return _without_prefix(_without_suffix(unicodedata.normalize('NFC', name)))


def match_names(wanted: Iterable[str], held: Iterable[str]) -> dict[str, str]:
    """Which of the names that are held stands for each wanted one that is not among them.

    Only where that is certain: one wanted name, one that is held and that nobody wants as it is.
    """
    wanted, held = list(dict.fromkeys(wanted)), set(held)
    absent = [name for name in wanted if name not in held]
    if not absent:
        return {}
    candidates = NameLookup(held.difference(wanted))
    rivals = Counter(plain_name(name) for name in wanted)
    found = {name: candidates.find(name) for name in absent if rivals[plain_name(name)] == 1}
    return {name: other for name, other in found.items() if other is not None}


class NameLookup:
    """Finds names in a file one by one, as :func:`match_names` does many at once."""

    def __init__(self, held: Iterable[str]) -> None:
        self._held = set(held)
        self._by_plain: dict[str, list[str]] | None = None

    def find(self, name: str) -> str | None:
        """The name that is held for this one; None if there is none, or more than one."""
        if name in self._held:
            return name
        if self._by_plain is None:
            self._by_plain = {}
            for held in self._held:
                self._by_plain.setdefault(plain_name(held), []).append(held)
        found = self._by_plain.get(plain_name(name), [])
        return found[0] if len(found) == 1 else None


def rules_used(matched: Mapping[str, str]) -> str:
    """By what names were matched and how many of them, for a message."""
    counts: Counter[str] = Counter()
    for pair in matched.items():
        one, other = (unicodedata.normalize('NFC', name) for name in pair)
        if pair != (one, other):
            counts['Unicode form'] += 1
        counts['suffix'] += _without_suffix(one) != one or _without_suffix(other) != other
        one, other = _without_suffix(one), _without_suffix(other)
        counts[f'prefix {_PREFIX}'] += one != other
    example = ', '.join(f'{name} -> {held}' for name, held in list(matched.items())[:1])
    used = ', '.join(f'{rule} ({count})' for rule, count in counts.items() if count)
    return f'{len(matched)} names are matched but for {used}: {example}'


def _without_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition('.')
    return stem if stem and dot + suffix.lower() in _SUFFIXES else name


def _without_prefix(name: str) -> str:
    folder, slash, last = name.rpartition('/')
    return folder + slash + (last.removeprefix(_PREFIX) or last)
