"""Parts of a study's file, checked as they are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from mmsola.engine.config_file import ConfigOptionError, parsed_options
from mmsola.files.json_file import is_positive
from mmsola.messages.first_few import first_few

#: Names that become those of folders.
FOLDER_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]*')


class StudyError(ValueError):
    """A study that cannot be done as it is written, or runs that do not belong to it."""


class StudyPart:
    """A part of the study's file: what is read of it is checked, and every fault says where."""

    def __init__(self, file: str, where: str, content: Any) -> None:
        self.file, self.where, self.content = file, where, content
        if not isinstance(content, Mapping):
            raise self.fault(f'is {content!r}', 'dict(...)', 'write its settings by name')

    def fault(self, found: str, expected: str, fix: str) -> StudyError:
        return StudyError(
            f'{self.file}: {self.where}: {found}\n  expected: {expected}\n  fix: {fix}'
        )

    def check_keys(self, known: Sequence[str], needed: Sequence[str]) -> None:
        for key in self.content:
            # what begins so is a variable of the author's own
            if key not in known and not key.startswith('_'):
                near = get_close_matches(key, known, 1)
                fix = f'write {near[0]}' if near else 'remove it, or begin its name with _'
                raise self.fault(f'has the unknown key {key}', f'of {", ".join(known)}', fix)
        missing = [key for key in needed if key not in self.content]
        if missing:
            raise self.fault(
                f'has no {", ".join(missing)}', f'{", ".join(needed)}', f'add {missing[0]}=...'
            )

    def check_arms(self, key: str, names: Iterable[str], known: Iterable[str]) -> None:
        known = list(known)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise self.fault(
                f'{key} has the unknown arm {first_few(unknown)}',
                f'of {", ".join(known)}',
                'declare it in arms, or correct the name',
            )

    def text(self, key: str) -> str:
        value = self.content[key]
        if not isinstance(value, str) or not value:
            raise self.fault(f'{key} is {value!r}', 'a text', 'correct it')
        return value

    def name(self, key: str, default: str | None = None) -> str:
        value = self.content.get(key, default)
        if not isinstance(value, str) or not FOLDER_NAME.fullmatch(value):
            raise self.fault(
                f'{key} is {value!r}',
                'letters, digits, dots, - and _, as of a folder',
                'choose another name',
            )
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        values = self.content.get(key, default)
        if (
            not isinstance(values, (list, tuple))
            or not all(isinstance(value, str) for value in values)
            or len(set(values)) < len(values)
            or (default is None and not values)
        ):
            raise self.fault(f'{key} is {values!r}', 'a list of texts, each once', 'correct it')
        return tuple(values)

    def seeds(self) -> tuple[int, ...]:
        seeds = self.content['seeds']
        if (
            not isinstance(seeds, (list, tuple))
            or not seeds
            or not all(isinstance(s, int) and not isinstance(s, bool) and s >= 0 for s in seeds)
            or len(set(seeds)) < len(seeds)
        ):
            raise self.fault(
                f'seeds is {seeds!r}', 'a list of numbers from 0, each once', 'correct it'
            )
        return tuple(seeds)

    def shares(self) -> tuple[float, ...]:
        return self._shares('shares', self.content.get('shares', [1.0]))

    def few_shares(self) -> dict[str, tuple[float, ...]]:
        return {
            arm: self._shares(f'few_shares of {arm}', shares)
            for arm, shares in self.mapping('few_shares').items()
        }

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.content.get(key, {})
        if not isinstance(value, Mapping):
            raise self.fault(f'{key} is {value!r}', 'dict(name=...)', 'correct it')
        return dict(value)

    def parts(self, key: str) -> dict[str, StudyPart]:
        """The parts of a dict by name, or of a list by number."""
        content = self.content.get(key, {})
        if isinstance(content, Mapping):
            return {name: StudyPart(self.file, f'{key}.{name}', c) for name, c in content.items()}
        if not isinstance(content, (list, tuple)):
            raise self.fault(f'{key} is {content!r}', '[dict(...)]', 'correct it')
        return {
            str(i): StudyPart(self.file, f'row {_row_name(i, c)}', c) for i, c in enumerate(content)
        }

    def options(self, key: str) -> dict[str, Any]:
        return self._parsed(key, self.content.get(key, {}))

    def arms(self) -> dict[str, dict[str, Any]]:
        """Settings by arm; a list of names has none."""
        arms = self.content['arms']
        if isinstance(arms, (list, tuple)):
            arms = dict.fromkeys(self.texts('arms'), {})
        if not isinstance(arms, Mapping):
            raise self.fault(f'arms is {arms!r}', 'dict(name=dict(...))', 'correct it')
        for name in arms:
            if not FOLDER_NAME.fullmatch(name):
                raise self.fault(
                    f'has an arm {name!r}', 'letters, digits, dots, - and _', 'rename it'
                )
        return {name: self._parsed(f'arm {name}', options) for name, options in arms.items()}

    def few_seeds(self) -> dict[str, int]:
        numbers = self.mapping('few_seeds')
        for arm, number in numbers.items():
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise self.fault(
                    f'few_seeds has {number!r} for {arm}',
                    'a number of seeds, 1 or more',
                    'correct it',
                )
        return numbers

    def controls(self) -> dict[str, tuple[str, ...]]:
        controls = self.mapping('controls')
        return {
            arm: StudyPart(self.file, f'{self.where}: controls', controls).texts(arm)
            for arm in controls
        }

    def arms_in(self, key: str) -> list[str]:
        """The arms that a key names."""
        if key == 'main_arms':
            return list(self.texts(key, ()))
        if key in ('few_seeds', 'few_shares'):
            return list(self.mapping(key))
        controls = self.controls()
        return [*controls, *(arm for arms in controls.values() for arm in arms)]

    def _shares(self, what: str, shares: Any) -> tuple[float, ...]:
        if (
            not isinstance(shares, (list, tuple))
            or not shares
            or not all(is_positive(share) and share <= 1 for share in shares)
            or len(set(shares)) < len(shares)
        ):
            raise self.fault(
                f'{what} is {shares!r}', 'a list of numbers above 0 and up to 1', 'correct it'
            )
        return tuple(map(float, shares))

    def _parsed(self, what: str, options: Any) -> dict[str, Any]:
        if not isinstance(options, (Mapping, list, tuple)):
            raise self.fault(
                f'{what} is {options!r}', "dict(...) or ['key=value']", 'write its settings so'
            )
        try:
            return parsed_options(options)
        except (ConfigOptionError, AttributeError) as error:
            expected = "dict(...) or ['key=value']"
            raise self.fault(f'{what}: {error}', expected, 'correct it') from error


def _row_name(index: int, row: Any) -> str:
    if isinstance(row, Mapping) and 'set' in row and 'localizer' in row:
        return f'{row["set"]}_{row["localizer"]}'
    return str(index)
