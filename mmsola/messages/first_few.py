"""The first few of many, for messages."""

from __future__ import annotations

from collections.abc import Iterable


def first_few(items: Iterable[object], shown: int = 5, separator: str = ', ') -> str:
    r"""The first items as one text, and how many more there are.

    Args:
        items: Names, or whole lines.
        shown: How many items the text has at most.
        separator: Between two items; ``'\n'`` where each is a line.

    Examples:
        >>> first_few(['a', 'b', 'c', 'd'], shown=2)
        'a, b, ... and 2 more'
    """
    texts = [str(item) for item in items]
    rest = len(texts) - shown
    return separator.join([*texts[:shown], f'... and {rest} more'] if rest > 0 else texts)
