"""What the finished runs of a study say: differences, how far the baselines rise, agreement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mmsola.engine.study_config import Study, StudyRow
from mmsola.engine.study_part import StudyError
from mmsola.engine.study_runs import MEASURED_FILE, StudyRun
from mmsola.evaluation.agreement import Agreement, agreement
from mmsola.evaluation.measured_videos import MeasuredVideos, MeasuredVideosError
from mmsola.evaluation.paired import PairedDifference, paired_difference
from mmsola.evaluation.probe import REFERENCES
from mmsola.evaluation.seeds import validations_of
from mmsola.evaluation.video_bootstrap import NUM_RESAMPLES, DrawnVideos, bootstrap_interval

_LAST_QUARTER = 0.75  # of the epochs, where it begins
_ROUNDING = 1e-6  # of figures in percent, in logs and of other machines


@dataclass(frozen=True)
class Comparison:
    """One figure of an arm, minus that of the baseline or a control, over the seeds of both.

    ``difference`` is None where no seed of both is finished. ``video_low`` and ``video_high`` are
    the 95 % interval of a bootstrap over the ``num_videos`` scored ones; NaN without them.
    """

    row: StudyRow
    share: float
    figure: str
    arm: str
    reference: str
    seeds: tuple[int, ...] = ()
    difference: PairedDifference | None = None
    reference_std: float = float('nan')
    video_low: float = float('nan')
    video_high: float = float('nan')
    num_videos: int = 0

    @property
    def is_main(self) -> bool:
        """Whether the arm was declared a main one."""
        return self.arm in self.row.main_arms

    @property
    def has_interval(self) -> bool:
        """Whether two seeds or more of both are finished, and have numbers."""
        return self.difference is not None and not np.isnan(self.difference.low)

    @property
    def verdict_of_both(self) -> str:
        """``'above 0'`` or ``'below 0'`` where both intervals are, else an empty text."""
        if self.difference is None:
            return ''
        if self.difference.low > 0 and self.video_low > 0:
            return 'above 0'
        return 'below 0' if self.difference.high < 0 and self.video_high < 0 else ''


@dataclass(frozen=True)
class Baseline:
    """One figure of a baseline, and how far it rose in the last quarter of the epochs.

    ``since_epoch`` is the last validation before that quarter; None, and ``risen`` NaN, where there
    is none.
    """

    row: StudyRow
    share: float
    figure: str
    seeds: tuple[int, ...]
    mean: float
    std: float
    since_epoch: int | None
    risen: float
    risen_std: float


@dataclass(frozen=True)
class GainAgreement:
    """Which figure of the pretrainings goes with what a localizer gains, over its runs."""

    row: StudyRow
    share: float
    figure: str
    found: tuple[Agreement, ...]


class FinishedRuns:
    """The finished runs of a study, whose figures are read once.

    Args:
        runs: Runs of localizers, finished or not.
        num_resamples: Of the bootstrap over videos.

    Raises:
        StudyError: A run does not measure what the study asks for, or its folder holds videos that
            other figures belong to.
    """

    def __init__(self, runs: Sequence[StudyRun], num_resamples: int = NUM_RESAMPLES) -> None:
        self.num_resamples = num_resamples
        self.rows = list({run.row.name: run.row for run in runs}.values())
        self._runs = {run.name: run for run in runs if run.run.is_finished()}
        self.values = {name: run.figures() for name, run in self._runs.items()}
        self._drawn: dict[str, DrawnVideos] = {}
        self._resampled: dict[tuple, np.ndarray | None] = {}

    @property
    def runs(self) -> list[StudyRun]:
        """Those that are finished."""
        return list(self._runs.values())

    def comparisons(self) -> list[Comparison]:
        """Every comparison of the study, measured or not, in the order of the tables."""
        return [
            self._comparison(row, share, figure, arm, reference)
            for row in self.rows
            for share in row.shares
            for figure in row.figures
            for arm, reference in row.pairs(share)
        ]

    def baselines(self) -> list[Baseline]:
        """Every figure of every baseline that has a finished run."""
        found = []
        for row in self.rows:
            for share in row.shares:
                seeds = self._seeds(row, share, row.baseline)
                for figure in row.figures if seeds else ():
                    found.append(self._baseline(row, share, figure, seeds))
        return found

    def curves(self, row: StudyRow, share: float) -> dict[str, list[dict[int, dict[str, float]]]]:
        """Validations by epoch, of the seeds of the baseline and the main arms."""
        return {
            arm: [
                validations_of(self._runs[row.name, share, arm, seed].run.folder)
                for seed in self._seeds(row, share, arm)
            ]
            for arm in dict.fromkeys([row.baseline, *row.main_arms])
        }

    def agreements(self, study: Study) -> list[GainAgreement]:
        """For the first figure of each row: what of the pretrainings goes with its gain."""
        found = []
        for row in self.rows:
            for share in row.shares:
                figures, gains, groups = pretrainings_and_gains(self, row, share)
                names = study.pretraining_figures or _without_references(figures)
                chosen = {name: figures[name] for name in names if name in figures}
                if gains and chosen:
                    results = tuple(agreement(chosen, gains, groups))
                    found.append(GainAgreement(row, share, row.figures[0], results))
        return found

    def _comparison(
        self, row: StudyRow, share: float, figure: str, arm: str, reference: str
    ) -> Comparison:
        seeds = [
            seed
            for seed in self._seeds(row, share, arm)
            if (row.name, share, reference, seed) in self._runs
        ]
        if not seeds:
            return Comparison(row, share, figure, arm, reference)
        before, after = (
            np.array([self.values[row.name, share, name, seed][figure] for seed in seeds])
            for name in (reference, arm)
        )
        low, high, num_videos = self._over_videos(row, share, figure, arm, reference, seeds)
        return Comparison(
            row=row,
            share=share,
            figure=figure,
            arm=arm,
            reference=reference,
            seeds=tuple(seeds),
            difference=paired_difference(before, after),
            reference_std=_std(before),
            video_low=low,
            video_high=high,
            num_videos=num_videos,
        )

    def _baseline(self, row: StudyRow, share: float, figure: str, seeds: Sequence[int]) -> Baseline:
        runs = [self._runs[row.name, share, row.baseline, seed] for seed in seeds]
        values = np.array([self.values[run.name][figure] for run in runs])
        since, risen = None, np.array([np.nan])
        validations = [validations_of(run.run.folder) for run in runs]
        last = runs[0].run.max_epochs
        # seeds of one config validate at the same epochs
        before = [
            epoch
            for epoch in set.intersection(*map(set, validations))
            if 0 < epoch <= _LAST_QUARTER * last and all(figure in v[epoch] for v in validations)
        ]
        if before:
            since = max(before)
            risen = values - np.array([v[since][figure] for v in validations])
        return Baseline(
            row=row,
            share=share,
            figure=figure,
            seeds=tuple(seeds),
            mean=float(values.mean()),
            std=_std(values),
            since_epoch=since,
            risen=float(risen.mean()),
            risen_std=_std(risen),
        )

    def _seeds(self, row: StudyRow, share: float, arm: str) -> list[int]:
        return [s for s in row.seeds_of(arm) if (row.name, share, arm, s) in self._runs]

    def _over_videos(
        self,
        row: StudyRow,
        share: float,
        figure: str,
        arm: str,
        reference: str,
        seeds: Sequence[int],
    ) -> tuple[float, float, int]:
        figures = []
        for name in (reference, arm):
            rows = [
                self._resampled_figure(self._runs[row.name, share, name, s], figure) for s in seeds
            ]
            if any(values is None for values in rows):
                return float('nan'), float('nan'), 0
            figures.append(np.stack([values for values in rows if values is not None]))
        return *bootstrap_interval(*figures), len(self._drawn[row.name].names)

    def _resampled_figure(self, run: StudyRun, figure: str) -> np.ndarray | None:
        """A figure in each resample ``(num_resamples,)``; None of what is not about videos."""
        if run.name not in self._resampled:
            self._resampled[run.name] = self._resample(run)
        values = self._resampled[run.name]
        if values is None or figure not in _of_videos(run):
            return None
        return values[:, _of_videos(run).index(figure)]

    def _resample(self, run: StudyRun) -> np.ndarray | None:
        figures = _of_videos(run)
        if not figures:
            return None
        file = run.run.folder / MEASURED_FILE
        measured = MeasuredVideos.read(file)
        # the same draws for all arms, shares and seeds of a row
        drawn = self._drawn.setdefault(
            run.row.name, DrawnVideos(measured.names, self.num_resamples)
        )
        names = [figure.partition('/')[2] for figure in figures]
        once = np.ones((1, len(measured.names)))
        try:
            times = np.concatenate([once, drawn.times(measured.names)])
            values = measured.figures(names, times)
        except (ValueError, MeasuredVideosError) as error:
            raise StudyError(f'{file}: {error}') from error
        logged = [self.values[run.name][figure] for figure in figures]
        if not np.allclose(values[0], logged, rtol=0, atol=_ROUNDING, equal_nan=True):
            raise StudyError(
                f'{file}: gives {dict(zip(figures, values[0].tolist()))}\n'
                f'  expected: what was logged after the last epoch, {logged}\n'
                f'  fix: remove {run.run.folder}, and run the study again'
            )
        return values[1:]


def pretrainings_and_gains(
    finished: FinishedRuns, row: StudyRow, share: float
) -> tuple[dict[str, list[float]], list[float], list[str]]:
    """Of each finished run with weights of one pretraining: what that measured, and the gain.

    Returns:
        Each figure that all these pretrainings have as a number at their chosen epochs, one value
        for each run; of the same runs, what the first figure of the row has over the baseline of
        the same seed; and which pretraining each is of, by its folder.
    """
    rows, gains, groups = [], [], []
    for run in finished.runs:
        baseline = (row.name, share, row.baseline, run.run.seed)
        if (run.row.name, run.share) != (row.name, share) or run.arm == row.baseline:
            continue
        used = run.weights_of
        if len(used) == 1 and baseline in finished.values:
            figure = row.figures[0]
            gain = finished.values[run.name][figure] - finished.values[baseline][figure]
            if np.isfinite(gain):
                rows.append(used[0].figures())
                gains.append(gain)
                groups.append(str(used[0].run.folder))
    common = [
        name
        for name in (rows[0] if rows else ())
        if all(np.isfinite(r.get(name, np.nan)) for r in rows)
    ]
    return {name: [values[name] for values in rows] for name in common}, gains, groups


def _without_references(figures: Iterable[str]) -> list[str]:
    """Without what was measured on features before SoLa, or smoothed ones."""
    ends = tuple(f'_{reference}' for reference in REFERENCES)
    return [figure for figure in figures if not figure.endswith(ends)]


def _of_videos(run: StudyRun) -> list[str]:
    """The figures that can be computed for any of the scored videos."""
    if run.prefix is None:
        return []
    return [figure for figure in run.row.figures if figure.startswith(f'{run.prefix}/')]


def _std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float('nan')
