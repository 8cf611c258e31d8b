"""A wrong argument is reported with its owner, its name, what it is and what it may be."""

from __future__ import annotations

import pytest

from mmsola.messages.argument_checks import check_argument, check_choice


class Owner:
    pass


@pytest.mark.parametrize(
    ('owner', 'choices', 'message'),
    [
        (Owner(), ('a', 'b', None), "Owner: key is 'x'; expected 'a', 'b' or None."),
        ('function', ['a', 'b'], "function: key is 'x'; expected 'a' or 'b'."),
        ('function', ['a'], "function: key is 'x'; expected 'a'."),
    ],
)
def test_a_misspelt_choice_lists_the_others(owner, choices, message):
    with pytest.raises(ValueError, match=f'^{message}$'):
        check_choice(owner, 'key', 'x', choices)
    for choice in choices:
        check_choice(owner, 'key', choice, choices)


def test_a_condition_that_is_not_met():
    check_argument(True, Owner(), 'width', 3, 'an odd number')
    with pytest.raises(ValueError, match='^Owner: width is 4; expected an odd number.$'):
        check_argument(False, Owner(), 'width', 4, 'an odd number')
