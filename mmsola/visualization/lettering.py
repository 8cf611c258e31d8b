"""Names written in pictures, in whatever script they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache

from matplotlib import font_manager

# Matplotlib's own font comes first; these, where one is installed, have what it lacks.
_FURTHER_FONTS = (
    'Noto Sans CJK SC', 'Noto Sans CJK JP', 'Source Han Sans SC', 'WenQuanYi Zen Hei',
    'WenQuanYi Micro Hei', 'PingFang SC', 'Hiragino Sans', 'Apple SD Gothic Neo',
    'Microsoft YaHei', 'Yu Gothic', 'Malgun Gothic', 'Arial Unicode MS', 'Noto Sans',
    'Noto Sans Devanagari', 'Noto Sans Thai', 'Noto Sans Arabic',
)  # fmt: skip
_NO_GLYPH = '□'


@cache
def font_families() -> list[str]:
    """Fonts to write names with; each letter is drawn in the first one that has it."""
    installed = set(font_manager.get_font_names())
    return ['DejaVu Sans', *(font for font in _FURTHER_FONTS if font in installed)]


def drawable(text: str, max_letters: int = 1000) -> str:
    """The text in one line, cut to ``max_letters``, with a box for letters that no font has.

    Matplotlib draws a box too, but warns of each one whenever the picture is drawn.
    """
    line = ' '.join(text.split())
    if len(line) > max_letters:
        line = line[: max_letters - 1].rstrip() + '…'
    return ''.join(letter if ord(letter) in _glyphs() else _NO_GLYPH for letter in line)


def shortened(names: Iterable[str], max_letters: int) -> dict[str, str]:
    """Each name as it is drawn, at most ``max_letters`` long, no two alike.

    The end of a long name is cut off; where two names would look the same, their middle is; and
    where that does not help, they are numbered.
    """
    names = list(dict.fromkeys(names))
    cut = {name: drawable(name, max_letters) for name in names}
    for other in (_without_middle, _numbered):
        count = Counter(cut.values())
        alike = [name for name in names if count[cut[name]] > 1]
        cut |= {name: other(drawable(name), max_letters, i) for i, name in enumerate(alike, 1)}
    return cut


def letters() -> dict:
    """How matplotlib is to write names: any script, and a $ is a $."""
    return {'family': font_families(), 'parse_math': False}


def _without_middle(text: str, max_letters: int, _: int) -> str:
    if len(text) <= max_letters:
        return text
    end = (max_letters - 1) // 2
    return f'{text[: max_letters - 1 - end].rstrip()}…{text[len(text) - end :].lstrip()}'


def _numbered(text: str, max_letters: int, number: int) -> str:
    after = f' ({number})'
    return drawable(text, max_letters - len(after)) + after


@cache
def _glyphs() -> frozenset[int]:
    files = [font_manager.findfont(family) for family in font_families()]
    return frozenset(code for file in files for code in font_manager.get_font(file).get_charmap())
