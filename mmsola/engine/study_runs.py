"""The trainings of a study, in the order in which they are done."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmaction.registry import MODELS
from mmengine.config import Config

from mmsola.engine.config_file import ConfigOptionError, read_config
from mmsola.engine.measured_config import chosen_by, read_measured_config
from mmsola.engine.placeholders import filled, texts_in
from mmsola.engine.seconds import settle_seconds
from mmsola.engine.seed_runs import SeedRun
from mmsola.engine.study_config import Study, StudyRow, pretrainings_of
from mmsola.engine.study_part import StudyError
from mmsola.evaluation.seeds import chosen_epoch, validations_of
from mmsola.messages.first_few import first_few

#: In the folder of a run: what its last validation measured.
MEASURED_FILE = 'measured.npz'
_METRIC = 'LocalizationMetric'


@dataclass(frozen=True)
class PretrainingRun:
    """One pretraining with one seed; ``key`` is the figure by which it chooses its epoch."""

    name: str
    key: str
    run: SeedRun

    def figures(self) -> dict[str, float]:
        """What was measured at the chosen epoch."""
        validations = validations_of(self.run.folder)
        return validations[chosen_epoch(validations, self.key)]


@dataclass(frozen=True)
class StudyRun:
    """A localizer with one arm and one seed, trained on a share of the labelled videos.

    ``prefix`` is that of the figures whose videos are kept in :data:`MEASURED_FILE`; None where the
    validation keeps none.
    """

    row: StudyRow
    share: float
    arm: str
    run: SeedRun
    pretrainings: tuple[PretrainingRun, ...]
    prefix: str | None

    @property
    def name(self) -> tuple[str, float, str, int]:
        """What no other run of the study has."""
        return self.row.name, self.share, self.arm, self.run.seed

    @property
    def weights_of(self) -> list[PretrainingRun]:
        """The pretrainings whose weights it starts from.

        ``Standardize`` takes statistics of the features from a checkpoint, which no weight changes.
        """
        settings = self.run.cfg.to_dict()
        texts = list(texts_in(settings, lambda part: part.get('type') == 'Standardize'))
        return [p for p in self.pretrainings if any(str(p.run.folder) in text for text in texts)]

    def figures(self) -> dict[str, float]:
        """What the validation after the last epoch measured.

        Raises:
            StudyError: Of what the study asks for, something is missing.
        """
        figures = self.run.figures()
        missing = [figure for figure in self.row.figures if figure not in figures]
        if missing:
            raise StudyError(
                f'{self.run.folder}: its validation does not measure {missing}\n'
                f'  expected: of {sorted(figures)}\n  fix: correct figures of the study'
            )
        return figures


@dataclass(frozen=True)
class StudyRuns:
    """All trainings of a study, the pretrainings first."""

    pretrainings: tuple[PretrainingRun, ...]
    runs: tuple[StudyRun, ...]

    def only(self, names: Collection[str]) -> StudyRuns:
        """Those of some sets, localizers or rows, and the pretrainings that they need.

        Raises:
            StudyError: A name is none of these.
        """
        rows = {run.row.name: run.row for run in self.runs}
        known = sorted({n for row in rows.values() for n in (row.set, row.localizer, row.name)})
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise StudyError(
                f'--only {first_few(unknown)}: no such set, localizer or row\n'
                f'  expected: of {", ".join(known)}\n  fix: correct the name'
            )
        runs = tuple(
            run
            for run in self.runs
            if not names or {run.row.set, run.row.localizer, run.row.name} & set(names)
        )
        needed = {id(pretraining) for run in runs for pretraining in run.pretrainings}
        return StudyRuns(tuple(p for p in self.pretrainings if id(p) in needed), runs)


def runs_of(study: Study, work_dir: Path, build_models: bool = True) -> StudyRuns:
    """Every training of a study, in order, each with its config; nothing is trained.

    A seed after another, so that an early look is paired; all seeds of the arms that matter before
    those of the others. Configs are read and models built once for each arm, so that what does not
    fit is found before the first training.

    Args:
        study: What is compared.
        work_dir: Where the runs are, or will be.
        build_models: Build a model of each arm, to find what does not fit it.

    Raises:
        StudyError: Options do not fit a config, or a model cannot be built of it.
        RunConfigError: A localizer has no validation, a pretraining no figure to choose by.
        ConfigFileError: A config is not there.
    """
    pretrainings: dict[tuple[str, int], PretrainingRun] = {}
    configs = {
        name: read_config(pretraining.config) for name, pretraining in study.pretrainings.items()
    }
    runs: list[tuple[tuple[int, ...], StudyRun]] = []
    for i, row in enumerate(study.rows):
        base = read_measured_config(row.config)
        first = row.first_arms
        for j, arm in enumerate(row.arms):
            used = pretrainings_of(row, arm, study.pretrainings)
            for k, seed in enumerate(row.seeds_of(arm)):
                for name in used:
                    if (name, seed) not in pretrainings:
                        pretrainings[name, seed] = _pretraining(
                            study, name, configs[name], seed, work_dir
                        )
                needed = tuple(pretrainings[name, seed] for name in used)
                for m, share in enumerate(row.shares_of(arm)):
                    run = _run(study, row, base, arm, share, seed, needed, work_dir)
                    if build_models and k == m == 0:
                        _check_model(row, arm, run.run.cfg)
                    runs.append(((arm not in first, k, i, m, j), run))
    runs.sort(key=lambda entry: entry[0])
    ordered = [run for _, run in runs]
    # in the order in which they are needed
    needed_first = dict.fromkeys(p for run in ordered for p in _keys(run, pretrainings))
    return StudyRuns(tuple(pretrainings[key] for key in needed_first), tuple(ordered))


def _keys(run: StudyRun, pretrainings: Mapping[tuple[str, int], Any]) -> list[tuple[str, int]]:
    return [(pretraining.name, run.run.seed) for pretraining in run.pretrainings]


def _pretraining(
    study: Study, name: str, base: Config, seed: int, work_dir: Path
) -> PretrainingRun:
    pretraining = study.pretrainings[name]
    cfg = _with_options(f'pretraining {name}', base, filled(pretraining.options, {'seed': seed}))
    cfg.pop('work_dir', None)
    key = chosen_by(cfg, pretraining.config)
    return PretrainingRun(name, key, SeedRun(cfg, seed, _folder_of(work_dir, name, seed)))


def _folder_of(work_dir: Path, pretraining: str, seed: int) -> Path:
    return work_dir / 'pretrainings' / pretraining / f'seed_{seed}'


def _run(
    study: Study,
    row: StudyRow,
    base: Config,
    arm: str,
    share: float,
    seed: int,
    pretrainings: Sequence[PretrainingRun],
    work_dir: Path,
) -> StudyRun:
    values: dict[str, Any] = {'seed': seed, 'share': share}
    for name in study.pretrainings:
        values[name] = str(_folder_of(work_dir, name, seed) / 'best_*.pth')
    values |= filled(row.values, values)
    where = f'{row.name}, arm {arm}'
    cfg = _with_options(where, base, filled(row.options, values))
    for options in row.arms[arm]:
        cfg = _with_options(where, cfg, filled(options, values))
    if share < 1:
        _keep_labels_of(where, cfg, share, seed)
    if pretrainings:
        # a run of other pretrainings is another run, though their checkpoints have the same names
        cfg.pretrained_with = {p.name: p.run.settings() for p in pretrainings}
    prefix = _keep_measured_videos(cfg)
    folder = work_dir / 'runs' / row.name / f'share_{share:g}' / arm / f'seed_{seed}'
    return StudyRun(row, share, arm, SeedRun(cfg, seed, folder), tuple(pretrainings), prefix)


def _with_options(where: str, cfg: Config, options: Mapping[str, Any]) -> Config:
    try:
        return read_config(cfg, options)
    except ConfigOptionError as error:
        raise StudyError(f'{where}: {error}') from error


def _keep_labels_of(where: str, cfg: Config, share: float, seed: int) -> None:
    """Train on this share of the labelled videos, each as often, for about as many steps."""
    dataset = cfg.train_dataloader.dataset
    times = round(1 / share)
    if dataset.type == 'RepeatDataset':
        times, dataset = times * dataset.times, dataset.dataset
    if dataset.type == 'ConcatDataset':
        raise StudyError(
            f'{where}: its training data are a ConcatDataset, and shares has {share:g}\n'
            '  expected: one data set that takes label_share\n  fix: leave shares out'
        )
    # other seeds keep other videos, so that the interval over seeds says how much that matters
    dataset.update(label_share=share, share_seed=seed)
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=times, dataset=dataset)


def _keep_measured_videos(cfg: Config) -> str | None:
    """Let the validation keep what it measured; the prefix of its figures."""
    evaluators = cfg.val_evaluator
    for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        if evaluator.get('type') == _METRIC:
            evaluator.measured_file = f'{{folder}}/{MEASURED_FILE}'
            return evaluator.get('prefix') or 'loc'
    return None


def _check_model(row: StudyRow, arm: str, cfg: Config) -> None:
    try:
        wanted = copy.deepcopy(cfg)
        settle_seconds(wanted)
        MODELS.build(wanted.model)
    except Exception as error:
        raise StudyError(
            f'{row.name}, arm {arm}: its model cannot be built: {error}\n'
            '  expected: settings that the model takes\n  fix: correct the options of the arm'
        ) from error
