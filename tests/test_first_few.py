"""Long lists in messages are cut, and none of their items is lost count of."""

from __future__ import annotations

import pytest

from mmsola.messages.first_few import first_few


@pytest.mark.parametrize('count', [0, 1, 5, 6, 40])
def test_what_is_not_shown_is_counted(count):
    names = [f'v{i}' for i in range(count)]
    shown = first_few(names).split(', ')
    assert shown[: min(count, 5)] == names[:5]
    assert shown[5:] == ([f'... and {count - 5} more'] if count > 5 else [])


def test_items_of_any_kind_and_lines():
    assert first_few(iter([1, 2, 3]), shown=2, separator='\n') == '1\n2\n... and 1 more'
    assert first_few({'a': 1, 'b': 2}) == 'a, b'
