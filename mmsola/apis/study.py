"""Train what a study compares, and write its tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmaction.utils import register_all_modules
from mmengine.config import Config

from mmsola.apis.study_comparisons import Comparison, FinishedRuns
from mmsola.apis.study_tables import share_in_words, write_study
from mmsola.engine.run_versions import versions_of
from mmsola.engine.seed_runs import SeedRun, SeedRunError, train_all
from mmsola.engine.study_config import Study, read_study
from mmsola.engine.study_data import check_data_are_there
from mmsola.engine.study_part import StudyError
from mmsola.engine.study_runs import StudyRuns, runs_of
from mmsola.evaluation.video_bootstrap import NUM_RESAMPLES
from mmsola.files.folder_lock import only_writer
from mmsola.messages.argument_checks import check_argument
from mmsola.messages.progress import Progress

#: Fewer give no 95 % interval that is worth printing.
FEWEST_RESAMPLES = 500


@dataclass(frozen=True)
class StudyResult:
    """What the finished runs of a study say.

    Attributes:
        work_dir: Folder of runs, tables and pictures.
        comparisons: Every comparison, measured or not.
        tables: As ``tables.md`` has them.
    """

    work_dir: Path
    comparisons: Sequence[Comparison]
    tables: str


def run_study(
    config: str | Path | Config,
    work_dir: str | Path | None = None,
    jobs: int = 1,
    only: Collection[str] = (),
    train: bool = True,
    num_resamples: int = NUM_RESAMPLES,
) -> StudyResult:
    """Train what is not finished, and write the tables of all that is.

    Args:
        config: A study (:func:`read_study`).
        work_dir: Folder of its runs; None takes ``work_dirs/study/<name>``.
        jobs: Trainings at a time.
        only: Train those of these sets, localizers or rows (``<set>_<localizer>``); none means all.
        train: False writes the tables of what is finished, and trains nothing.
        num_resamples: Of the bootstrap over videos, 500 or more.

    Raises:
        StudyError: The study cannot be done as it is written, its data are not there, or another
            process trains it.
        SeedRunError: A folder holds a run of other settings; or trainings failed, which is said
            after all others were trained and the tables written.
        ArgumentError: ``jobs`` or ``num_resamples`` is too small.

    Example::

        from mmsola.apis import run_study

        print(run_study('mmsola::study/study_demo.py').tables)
    """
    check_argument(jobs >= 1, 'run_study', 'jobs', jobs, '1 or more')
    check_argument(
        num_resamples >= FEWEST_RESAMPLES,
        *('run_study', 'num_resamples', num_resamples, f'{FEWEST_RESAMPLES} or more'),
    )
    study, folder, runs = planned_study(config, work_dir, build_models=train)
    chosen = runs.only(only)
    check_folders(chosen)
    failures = []
    if train:
        check_data_are_there([*(p.run for p in chosen.pretrainings), *(r.run for r in chosen.runs)])
        # two at once would both train the runs that are not finished
        with only_writer(folder, StudyError, 'study'):
            failures = _train_chosen(chosen, jobs)
    finished = FinishedRuns(runs.runs, num_resamples)
    comparisons = finished.comparisons()
    made = [run.run for run in finished.runs]
    made += [p.run for p in runs.pretrainings if p.run.is_finished()]
    tables = write_study(folder, study, runs, finished, comparisons, versions_of(made))
    if failures:
        raise SeedRunError('\n'.join([*map(str, failures), f'Tables of the others: {folder}']))
    return StudyResult(folder, comparisons, tables)


def planned_study(
    config: str | Path | Config, work_dir: str | Path | None = None, build_models: bool = True
) -> tuple[Study, Path, StudyRuns]:
    """A study, its folder and all its runs; nothing is trained.

    Raises:
        StudyError: It cannot be done as it is written.
    """
    register_all_modules()
    study = read_study(config)
    folder = Path('work_dirs/study') / study.name if work_dir is None else Path(work_dir)
    return study, folder, runs_of(study, folder, build_models)


def plan_table(runs: StudyRuns) -> str:
    """Markdown: how many runs there are, are finished and are left, and the minutes they take.

    Minutes are those of finished runs of the same arm, else of the same row.
    """
    kinds: dict[tuple[str, str, str], list[SeedRun]] = {}
    for pretraining in runs.pretrainings:
        kinds.setdefault(('pretraining', '', pretraining.name), []).append(pretraining.run)
    for run in runs.runs:
        key = (run.row.name, share_in_words(run.share), run.arm)
        kinds.setdefault(key, []).append(run.run)
    lines = [
        '| row | labels | arm | runs | finished | minutes each | minutes left |',
        '| --- | --- | --- | --- | --- | --- | --- |',
    ]
    left_min, unknown, total, done = 0.0, 0, 0, 0
    for (row, labels, arm), of_kind in kinds.items():
        finished = sum(run.is_finished() for run in of_kind)
        number = len(of_kind) - finished
        minutes = _minutes_of(kinds, row, arm)
        each, left = '', ''
        if minutes is not None:
            each, left = f'{minutes:.1f}', f'{minutes * number:.0f}'
            left_min += minutes * number
        else:
            unknown += number
        total, done = total + len(of_kind), done + finished
        lines.append(
            f'| {row} | {labels} | {arm} | {len(of_kind)} | {finished} | {each} | {left} |'
        )
    summary = f'{total} runs, {done} finished; about {left_min:.0f} minutes left, one at a time'
    if unknown:
        summary += f', and {unknown} runs of unknown time: none of their row is finished'
    return '\n'.join([*lines, '', f'{summary}.'])


def check_folders(runs: StudyRuns) -> None:
    """Refuse folders of other settings before anything is trained.

    Raises:
        SeedRunError: There is one.
    """
    for run in (*(p.run for p in runs.pretrainings), *(r.run for r in runs.runs)):
        run.check()


def _train_chosen(chosen: StudyRuns, jobs: int) -> list[SeedRunError]:
    """Train what can be trained; what failed."""
    failures = _train([p.run for p in chosen.pretrainings], jobs, 'Pretraining')
    ready = [run.run for run in chosen.runs if all(p.run.is_finished() for p in run.pretrainings)]
    if len(ready) < len(chosen.runs):
        number = len(chosen.runs) - len(ready)
        failures.append(SeedRunError(f'{number} runs were skipped: their pretraining failed.'))
    figures_of = {id(run.run): run.figures for run in chosen.runs}
    # a figure that is not measured ends the study after its first run, not after hours
    return failures + _train(ready, jobs, 'Training', lambda run: figures_of[id(run)]())


def _train(
    runs: Sequence[SeedRun],
    jobs: int,
    task: str,
    check: Callable[[SeedRun], object] = lambda run: None,
) -> list[SeedRunError]:
    if runs:
        with Progress(sum(run.max_epochs for run in runs), task, 'epochs') as progress:
            try:
                train_all(runs, jobs, progress.update, stop_at_failure=False, check=check)
            except SeedRunError as error:
                return [error]
    return []


def _minutes_of(
    kinds: dict[tuple[str, str, str], list[SeedRun]], row: str, arm: str
) -> float | None:
    of_row = {key: runs for key, runs in kinds.items() if key[0] == row}
    of_arm = {key: runs for key, runs in of_row.items() if key[2] == arm}
    # pretrainings have little in common
    for chosen in (of_arm, {} if row == 'pretraining' else of_row):
        seconds = [
            run.cost()['seconds'] for runs in chosen.values() for run in runs if run.is_finished()
        ]
        if seconds:
            return float(np.mean(seconds)) / 60
    return None
