"""Checks of arguments: one wording for who has which argument, what it is and what is expected."""

from __future__ import annotations

from collections.abc import Sequence


class ArgumentError(ValueError):
    """An argument, mostly from a config, that cannot be used."""


def check_choice(owner: object, name: str, found: object, choices: Sequence[object]) -> None:
    """Refuse an argument that is none of its choices.

    Args:
        owner: The object whose argument it is, or the name of a function.
        name: Of the argument.
        found: Its value.
        choices: What it may be.

    Raises:
        ArgumentError: It is none of them.
    """
    *others, last = map(repr, choices)
    expected = f'{", ".join(others)} or {last}' if others else last
    check_argument(found in choices, owner, name, found, expected)


def check_argument(is_met: bool, owner: object, name: str, found: object, expected: str) -> None:
    """Refuse an argument unless a condition is met.

    Raises:
        ArgumentError: It is not; names owner, argument, found and expected.
    """
    if not is_met:
        prefix = owner if isinstance(owner, str) else type(owner).__name__
        raise ArgumentError(f'{prefix}: {name} is {found!r}; expected {expected}.')
