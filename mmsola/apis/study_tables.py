"""Tables of a study: what was compared, what was found, and what is missing."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmsola.apis.gain_table import gain_table
from mmsola.apis.study_comparisons import Baseline, Comparison, FinishedRuns, GainAgreement
from mmsola.atomic import replacing
from mmsola.engine.run_versions import Versions, version_columns, versions_in_words
from mmsola.engine.study_config import Study, StudyRow
from mmsola.engine.study_runs import StudyRuns
from mmsola.evaluation.paired import PairedDifference
from mmsola.evaluation.seeds import summarise
from mmsola.visualization.curves import draw_curves

_CHANCE = 0.05  # of 95 % intervals that exclude 0 where there is no difference
_SUMMARY = (
    *('set', 'localizer', 'share', 'figure', 'arm', 'main_arm', 'against', 'is_baseline'),
    *('seeds', 'reference', 'reference_std', 'value', 'mean', 'std', 'low', 'high'),
    *('num_videos', 'video_low', 'video_high', 'baseline_rose', 'baseline_rose_std'),
    *('baseline_rose_since_epoch', 'mmsola', 'commit'),
)


def study_tables(
    study: Study,
    runs: StudyRuns,
    finished: FinishedRuns,
    comparisons: Sequence[Comparison],
    versions: Versions,
) -> str:
    """Markdown of a whole study: counts on top, then tables for each row and share."""
    baselines, agreements = finished.baselines(), finished.agreements(study)
    lines = [f'# {study.name}', '', *_state(runs, finished, versions), '', *_counts(comparisons)]
    lines += _main_table(comparisons)
    for row in finished.rows:
        lines += ['', f'## {row.set}, {row.localizer}', '', _declared(row)]
        for share in row.shares:
            here: list[Any] = [row.name, share]
            lines += ['', f'### {share_in_words(share)}', '']
            lines += _baseline_table(b for b in baselines if [b.row.name, b.share] == here)
            lines += ['', *_table(c for c in comparisons if [c.row.name, c.share] == here)]
            for found in agreements:
                if [found.row.name, found.share] == here:
                    lines += ['', *_agreement_table(found)]
    return '\n'.join([*lines, *_pretraining_tables(study, runs)])


def write_study(
    work_dir: Path,
    study: Study,
    runs: StudyRuns,
    finished: FinishedRuns,
    comparisons: Sequence[Comparison],
    versions: Versions,
) -> str:
    """Write ``tables.md``, ``summary.csv``, ``runs.csv`` and a picture of curves for each row.

    Returns:
        The tables.
    """
    tables = study_tables(study, runs, finished, comparisons, versions)
    with replacing(work_dir / 'tables.md') as partial:
        partial.write_text(f'{tables}\n')
    _write_csv(work_dir / 'summary.csv', _SUMMARY, _summary(comparisons, finished, versions))
    header = ['set', 'localizer', 'share', 'arm', 'seed', 'figure', 'value', 'seconds']
    _write_csv(work_dir / 'runs.csv', [*header, 'num_threads', 'mmsola', 'commit'], _each(finished))
    for row in finished.rows:
        panels = {share_in_words(share): finished.curves(row, share) for share in row.shares}
        picture = draw_curves(panels, row.figures, f'{row.set}, {row.localizer}')
        with replacing(work_dir / f'curves_{row.name}.png') as partial:
            picture.savefig(partial, dpi=150, format='png')
    return tables


def share_in_words(share: float) -> str:
    """``all labels``, or ``25 % of the labelled videos``."""
    return 'all labels' if share == 1 else f'{100 * share:g} % of the labelled videos'


def _state(runs: StudyRuns, finished: FinishedRuns, versions: Versions) -> list[str]:
    """How much is finished, and what is missing."""
    done = {run.name for run in finished.runs}
    missing = Counter(
        (run.row.name, run.share, run.arm) for run in runs.runs if run.name not in done
    )
    line = f'{len(done)} of {len(runs.runs)} runs are finished'
    untrained = sum(not p.run.is_finished() for p in runs.pretrainings)
    if untrained:
        line += f'; {untrained} of {len(runs.pretrainings)} pretrainings are not'
    lines = [f'{line}; {versions_in_words(versions)}.' if versions else f'{line}.']
    if missing:
        lines += ['', f'Missing are {sum(missing.values())} runs:', '']
        lines += [
            f'- {name}, {share_in_words(share)}, {arm}: {number}'
            for (name, share, arm), number in missing.items()
        ]
    return lines


def _counts(comparisons: Sequence[Comparison]) -> list[str]:
    """How many comparisons there are, and how many differ from 0, with what chance alone gives."""
    lines = [
        'A comparison is one figure of one arm minus that of the baseline or a control, at one '
        'share of the labels. Where no arm differed at all, 5 % of the intervals would exclude 0. '
        'Figures of the same runs go together, so they are no independent tests.',
        '',
        '| comparisons | planned | measured with 2 seeds or more | t interval above 0 | below 0 '
        '| by chance, either side | both intervals above 0 | both below 0 |',
        '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ]
    for name, chosen in (
        ('all', list(comparisons)),
        ('of main arms', [c for c in comparisons if c.is_main]),
    ):
        measured = [c for c in chosen if c.has_interval]
        above = [c for c in measured if c.difference is not None and c.difference.low > 0]
        below = [c for c in measured if c.difference is not None and c.difference.high < 0]
        both = [c.verdict_of_both for c in measured]
        lines.append(
            f'| {name} | {len(chosen)} | {len(measured)} | {len(above)} | {len(below)} '
            f'| {_CHANCE * len(measured):.1f} | {both.count("above 0")} | {both.count("below 0")} |'
        )
    return lines


def _main_table(comparisons: Iterable[Comparison]) -> list[str]:
    """What the study is about, on one page: the first figure of each row, the main arms."""
    lines = []
    for c in comparisons:
        d = c.difference
        if d is None or not c.is_main or c.figure != c.row.figures[0]:
            continue
        lines.append(
            f'| {c.row.set}, {c.row.localizer}, {share_in_words(c.share)} | {c.figure} | {c.arm} '
            f'| {c.reference} | {d.baseline:.2f} | {_difference_cells(c, d)} '
            f'| {c.verdict_of_both} |'
        )
    if not lines:
        return []
    header = [
        '| row | figure | arm | minus | its mean | difference, mean ± std | seeds '
        '| 95 % over seeds (t) | 95 % over videos (bootstrap) | both |',
        '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ]
    return ['', '## Main arms', '', 'The first figure of each row.', '', *header, *lines]


def _declared(row: StudyRow) -> str:
    main = ', '.join(row.main_arms) or 'none'
    return f'Baseline {row.baseline}; main arms, declared in the config: {main}.'


def _baseline_table(baselines: Iterable[Baseline]) -> list[str]:
    lines = [
        '| baseline | figure | mean ± std | seeds | risen in the last quarter of the epochs |',
        '| --- | --- | --- | --- | --- |',
    ]
    for b in baselines:
        risen = 'not validated before'
        if b.since_epoch is not None:
            risen = f'{b.risen:+.2f}{_spread(b.risen_std)}, since epoch {b.since_epoch}'
        lines.append(
            f'| {b.row.baseline} | {b.figure} | {b.mean:.2f}{_spread(b.std)} | {len(b.seeds)} '
            f'| {risen} |'
        )
    return lines if len(lines) > 2 else ['No run of the baseline is finished.']


def _table(comparisons: Iterable[Comparison]) -> list[str]:
    lines = [
        '| figure | arm | minus | its mean ± std | difference, mean ± std | seeds '
        '| 95 % over seeds (t) | 95 % over videos (bootstrap) | over seeds |',
        '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ]
    for c in comparisons:
        arm = f'**{c.arm}** (main)' if c.is_main else c.arm
        d = c.difference
        if d is None:
            lines.append(f'| {c.figure} | {arm} | {c.reference} | | | 0 | | | not finished |')
            continue
        lines.append(
            f'| {c.figure} | {arm} | {c.reference} | {d.baseline:.2f}{_spread(c.reference_std)} '
            f'| {_difference_cells(c, d)} | {d.verdict} |'
        )
    return lines


def _difference_cells(c: Comparison, d: PairedDifference) -> str:
    """Difference, number of seeds, and both intervals."""
    return (
        f'{d.mean:+.2f}{_spread(d.std)} | {len(c.seeds)} | {_interval(d.low, d.high)} '
        f'| {_interval(c.video_low, c.video_high)}'
    )


def _agreement_table(found: GainAgreement) -> list[str]:
    lines = [
        f'Which figure of the pretraining goes with the gain in {found.figure} over the baseline, '
        'over runs; the interval draws pretrainings:',
        '',
        '| its figure | runs | pretrainings | rank correlation | its 95 % interval | |',
        '| --- | --- | --- | --- | --- | --- |',
    ]
    for a in found.found:
        correlation = '' if np.isnan(a.spearman) else f'{a.spearman:+.2f}'
        lines.append(
            f'| {a.figure} | {a.num_runs} | {a.num_groups} | {correlation} '
            f'| {_interval(a.low, a.high)} | {a.verdict} |'
        )
    return lines


def _pretraining_tables(study: Study, runs: StudyRuns) -> list[str]:
    """What each pretraining gains at its chosen epochs, before any localizer."""
    lines = []
    for name in study.pretrainings:
        finished = [p for p in runs.pretrainings if p.name == name and p.run.is_finished()]
        gains = [
            gain
            for gain in summarise([pretraining.figures() for pretraining in finished])
            if gain.metric in (study.pretraining_figures or [gain.metric])
        ]
        if gains:
            seeds = ', '.join(str(pretraining.run.seed) for pretraining in finished)
            lines += ['', f'### {name}', '', f'Seeds {seeds}; epochs chosen by {finished[0].key}.']
            lines += ['', *gain_table(gains, len(finished))]
    return ['', '## Pretrainings', *lines] if lines else []


def _spread(std: float) -> str:
    return '' if np.isnan(std) else f' ± {std:.2f}'


def _interval(low: float, high: float) -> str:
    return '' if np.isnan(low) else f'[{low:+.2f}, {high:+.2f}]'


def _summary(
    comparisons: Sequence[Comparison], finished: FinishedRuns, versions: Versions
) -> Iterable[list[Any]]:
    rose = {(b.row.name, b.share, b.figure): b for b in finished.baselines()}
    for c in comparisons:
        key, d, b = c.row, c.difference, rose.get((c.row.name, c.share, c.figure))
        about = [key.set, key.localizer, c.share, c.figure, c.arm, c.is_main, c.reference]
        about += [c.reference == key.baseline, ' '.join(map(str, c.seeds))]
        values: list[Any] = [''] * 10
        if d is not None:
            values = [d.baseline, c.reference_std, d.candidate, d.mean, d.std, d.low, d.high]
            values += [c.num_videos, c.video_low, c.video_high]
        values += ['', '', ''] if b is None else [b.risen, b.risen_std, b.since_epoch]
        yield [*about, *values, *(version_columns(versions) or ['', ''])]


def _each(finished: FinishedRuns) -> Iterable[list[Any]]:
    for run in finished.runs:
        key, cost = run.row, run.run.cost()
        made = [cost['seconds'], run.run.num_threads, *run.run.made_with()]
        for figure in key.figures:
            value = finished.values[run.name][figure]
            yield [
                *(key.set, key.localizer, run.share, run.arm, run.run.seed, figure, value),
                *made,
            ]


def _write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with replacing(file) as partial, partial.open('w', newline='') as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
