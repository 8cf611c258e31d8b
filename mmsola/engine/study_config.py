"""A study: which arms are compared on which sets, with which seeds and shares of the labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmsola.engine.config_file import read_config
from mmsola.engine.placeholders import names_in
from mmsola.engine.study_part import FOLDER_NAME, StudyPart
from mmsola.messages.first_few import first_few

#: Placeholders that every study has.
_OF_RUNS = ('seed', 'share')

# What stands in a row, and may stand at the top of the study for all rows.
_OF_ROWS = (
    *('baseline', 'main_arms', 'controls', 'figures'),
    *('seeds', 'few_seeds', 'shares', 'few_shares'),
)
_OF_ARMS = ('main_arms', 'few_seeds', 'few_shares', 'controls')  # of these, keys that name arms
_TOP = ('name', 'pretrainings', 'pretraining_figures', 'arms', 'rows', *_OF_ROWS)
_ROW = ('set', 'localizer', 'config', 'options', 'values', 'arms', *_OF_ROWS)
_PRETRAINING = ('config', 'options', 'seeds')


@dataclass(frozen=True)
class Pretraining:
    """A pretraining of the neck, once with each seed.

    Attributes:
        name: ``{name}`` in the options of an arm is its chosen checkpoint of the same seed.
        config: Its config.
        options: Settings laid over it.
        seeds: It can be trained with; None means with all that are needed.
    """

    name: str
    config: str
    options: Mapping[str, Any]
    seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class StudyRow:
    """One localizer on one set: its arms, and what they are compared by.

    Attributes:
        set: Name of the data set.
        localizer: Name of the localizer.
        config: Config of the localizer, which every arm starts from.
        options: Settings of all arms, laid over it.
        values: What ``{key}`` in the options of an arm stands for.
        arms: Settings of each arm: those of the study, and over them the row's own.
        baseline: The arm that the others are compared with.
        main_arms: Arms that the question is about, chosen before the runs.
        seeds: Of the trainings; a seed of one arm is paired with the same of another.
        few_seeds: How many of the seeds an arm has, the first ones, where it has not all.
        figures: Of the validation after the last epoch, such as ``loc/mAP``.
        shares: Of the labelled videos that the localizer is trained on.
        few_shares: Which of the shares an arm has, where it has not all.
        controls: Arms that an arm is compared with beside the baseline.
    """

    set: str
    localizer: str
    config: str
    options: Mapping[str, Any]
    values: Mapping[str, Any]
    arms: Mapping[str, tuple[Mapping[str, Any], ...]]
    baseline: str
    main_arms: tuple[str, ...]
    seeds: tuple[int, ...]
    few_seeds: Mapping[str, int]
    figures: tuple[str, ...]
    shares: tuple[float, ...]
    few_shares: Mapping[str, tuple[float, ...]]
    controls: Mapping[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        """As its folder is called."""
        return f'{self.set}_{self.localizer}'

    def seeds_of(self, arm: str) -> tuple[int, ...]:
        """The seeds that an arm is trained with."""
        return self.seeds[: self.few_seeds.get(arm, len(self.seeds))]

    def shares_of(self, arm: str) -> tuple[float, ...]:
        """The shares of the labels that an arm is trained on."""
        return self.few_shares.get(arm, self.shares)

    def pairs(self, share: float) -> list[tuple[str, str]]:
        """Each arm with the baseline, and with its controls, of those that have this share."""
        return [
            (arm, reference)
            for arm in self.arms
            if arm != self.baseline and share in self.shares_of(arm)
            for reference in dict.fromkeys([self.baseline, *self.controls.get(arm, ())])
            if share in self.shares_of(reference)
        ]

    @property
    def first_arms(self) -> list[str]:
        """The arms that are trained first: baseline, main arms and the controls of these."""
        controls = [control for arm in self.main_arms for control in self.controls.get(arm, ())]
        return list(dict.fromkeys([self.baseline, *self.main_arms, *controls]))


@dataclass(frozen=True)
class Study:
    """All rows, and the pretrainings that their arms use.

    Attributes:
        name: Of the folder that the runs are in.
        pretrainings: By name.
        rows: In the order of the tables.
        pretraining_figures: Of the pretrainings, that are compared with the gain of the localizer;
            empty means all.
    """

    name: str
    pretrainings: Mapping[str, Pretraining]
    rows: tuple[StudyRow, ...]
    pretraining_figures: tuple[str, ...] = ()


def read_study(config: str | Path | Config) -> Study:
    """Read and check a study.

    Args:
        config: A Python file, one that mmsola ships (``mmsola::study/study_demo.py``), or a Config.

    Raises:
        ConfigFileError: There is no such file.
        StudyError: A key is unknown or missing, or of another kind; an arm, a pretraining or a
            placeholder is not declared; a name is there twice.
    """
    cfg = read_config(config)
    top = StudyPart(str(cfg.filename or 'study'), 'the study', cfg.to_dict())
    top.check_keys(_TOP, needed=('arms', 'rows'))
    name = top.name('name', Path(cfg.filename).stem if cfg.filename else 'study')
    pretrainings = {
        key: _read_pretraining(part, key) for key, part in top.parts('pretrainings').items()
    }
    arms = top.arms()
    for key in _OF_ARMS:
        top.check_arms(key, top.arms_in(key), arms)
    rows = [_read_row(top, part, arms, pretrainings) for part in top.parts('rows').values()]
    if not rows:
        raise top.fault('has no rows', 'one or more', 'add rows=[dict(set=..., ...)]')
    names = [row.name for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise top.fault(
            f'has two rows with the set and localizer of {first_few(twice)}',
            'each once',
            'give one of them another name of its set or localizer',
        )
    return Study(name, pretrainings, tuple(rows), top.texts('pretraining_figures', ()))


def pretrainings_of(row: StudyRow, arm: str, pretrainings: Iterable[str]) -> list[str]:
    """The pretrainings whose checkpoints an arm asks for."""
    names = names_in([row.options, row.arms[arm]])
    names |= names_in([value for key, value in row.values.items() if key in names])
    return [name for name in pretrainings if name in names]


def _read_pretraining(part: StudyPart, name: str) -> Pretraining:
    if name in _OF_RUNS or not FOLDER_NAME.fullmatch(name):
        raise part.fault(
            f'is called {name}', f'letters and digits, and none of {_OF_RUNS}', 'rename it'
        )
    part.check_keys(_PRETRAINING, needed=('config',))
    options = part.options('options')
    unknown = sorted(names_in(options) - {'seed'})
    if unknown:
        raise part.fault(f'options have {_braced(unknown)}', '{seed} only', 'write their values')
    seeds = part.seeds() if part.content.get('seeds') is not None else None
    return Pretraining(name, part.text('config'), options, seeds)


def _read_row(
    top: StudyPart,
    part: StudyPart,
    arms: Mapping[str, Mapping[str, Any]],
    pretrainings: Mapping[str, Pretraining],
) -> StudyRow:
    part.check_keys(_ROW, needed=('set', 'localizer', 'config'))
    own = part.arms() if 'arms' in part.content else dict.fromkeys(arms, {})
    part.check_arms('arms', own, arms)
    if len(own) < 2:
        raise part.fault(f'has the arms {list(own)} only', 'two or more', 'add arms')
    for key in _OF_ARMS:
        part.check_arms(key, part.arms_in(key), own)
    # what a row does not say, the study says; of its arms, those that the row has
    shared = {key: top.content[key] for key in _OF_ROWS if key in top.content}
    both = StudyPart(part.file, part.where, {**shared, **part.content})
    both.check_keys((*_ROW, *_OF_ROWS), needed=('baseline', 'seeds', 'figures'))
    row = StudyRow(
        set=both.name('set'),
        localizer=both.name('localizer'),
        config=both.text('config'),
        options=both.options('options'),
        values=both.mapping('values'),
        arms={arm: (arms[arm], options) for arm, options in own.items()},
        baseline=both.text('baseline'),
        main_arms=tuple(arm for arm in both.texts('main_arms', ()) if arm in own),
        seeds=both.seeds(),
        few_seeds={arm: n for arm, n in both.few_seeds().items() if arm in own},
        figures=both.texts('figures'),
        shares=both.shares(),
        few_shares={arm: shares for arm, shares in both.few_shares().items() if arm in own},
        controls={
            arm: tuple(control for control in controls if control in own)
            for arm, controls in both.controls().items()
            if arm in own
        },
    )
    both.check_arms('baseline', [row.baseline], own)
    for key, of_arms, every in (
        ('few_seeds', row.few_seeds, 'seeds'),
        ('few_shares', row.few_shares, 'shares'),
    ):
        if row.baseline in of_arms:
            raise both.fault(
                f'{key} has the baseline {row.baseline}',
                f'the baseline with all {every}, since each arm is compared with it',
                f'leave it out of {key}',
            )
    for arm, shares in row.few_shares.items():
        strange = [share for share in shares if share not in row.shares]
        if strange:
            raise both.fault(
                f'few_shares has {strange} for {arm}',
                f'of its shares, {list(row.shares)}',
                'correct it, or add them to shares',
            )
    _check_placeholders(both, row, pretrainings)
    return row


def _check_placeholders(
    part: StudyPart, row: StudyRow, pretrainings: Mapping[str, Pretraining]
) -> None:
    outer = {*_OF_RUNS, *pretrainings}
    twice = sorted(row.values.keys() & outer)
    if twice:
        raise part.fault(
            f'values has {twice}', 'names of no pretraining, and not seed or share', 'rename them'
        )
    inner = outer | row.values.keys()
    of_arms = [(f'arm {arm}', options, inner) for arm, options in row.arms.items()]
    for where, options, known in (
        ('values', row.values, outer),
        ('options', row.options, inner),
        *of_arms,
    ):
        unknown = sorted(names_in(options) - known)
        if unknown:
            raise part.fault(
                f'{where}: has {_braced(unknown)}, which is no pretraining and no value',
                f'of {_braced(sorted(known))}',
                'declare the pretraining, add the name to values of the row, or correct it',
            )
    for arm in row.arms:
        for name in pretrainings_of(row, arm, pretrainings):
            available = pretrainings[name].seeds
            missing = sorted(set(row.seeds_of(arm)) - set(available or row.seeds_of(arm)))
            if missing:
                raise part.fault(
                    f'arm {arm}: needs the pretraining {name} with the seeds {missing}',
                    f'of its seeds, {list(available or ())}',
                    'add them to the pretraining, or leave its seeds out to train all needed ones',
                )


def _braced(names: Iterable[str]) -> str:
    return ', '.join(f'{{{name}}}' for name in names)
