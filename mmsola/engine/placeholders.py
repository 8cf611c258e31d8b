"""``{name}`` in the texts of some settings, and what stands there in the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_PLACEHOLDER = re.compile(r'\{([A-Za-z_]\w*)\}')


def texts_in(
    options: Any, is_left_out: Callable[[Mapping], bool] = lambda part: False
) -> Iterator[str]:
    """Every text in some options, but for the parts that are left out."""
    if isinstance(options, str):
        yield options
    elif isinstance(options, Mapping) and not is_left_out(options):
        for value in options.values():
            yield from texts_in(value, is_left_out)
    elif isinstance(options, (list, tuple)):
        for value in options:
            yield from texts_in(value, is_left_out)


def names_in(options: Any) -> set[str]:
    """The names of all placeholders in the texts of some options."""
    return {name for text in texts_in(options) for name in _PLACEHOLDER.findall(text)}


def filled(options: Any, values: Mapping[str, Any]) -> Any:
    """A copy of some options with the values of their placeholders.

    A text that is a placeholder alone becomes the value itself, be it a number or a list; in other
    texts the value is written out.

    Examples:
        >>> filled({'in_channels': '{channels}', 'file': 'a/{channels}.npy'}, {'channels': 8})
        {'in_channels': 8, 'file': 'a/8.npy'}
    """
    if isinstance(options, str):
        alone = _PLACEHOLDER.fullmatch(options)
        if alone:
            return values[alone[1]]
        return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), options)
    if isinstance(options, Mapping):
        return {key: filled(value, values) for key, value in options.items()}
    if isinstance(options, (list, tuple)):
        return type(options)(filled(value, values) for value in options)
    return options
