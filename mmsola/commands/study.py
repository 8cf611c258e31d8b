"""Train and tabulate a study: arms over sets, seeds and shares of the labels.

A study is a Python file that lists pretrainings, arms and rows (docs/study.md). What is finished is
kept, and a killed run goes on from its newest checkpoint. Tables have what is finished, and say
what is missing.

mmsola study mmsola::study/study_demo.py --jobs 2
mmsola study mmsola::study/study_demo.py --dry-run
"""

import argparse
from pathlib import Path

from mmsola.apis.study import FEWEST_RESAMPLES, plan_table, planned_study, run_study
from mmsola.evaluation.video_bootstrap import NUM_RESAMPLES


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='the study')
    parser.add_argument('--work-dir', type=Path, help='default work_dirs/study/<name>')
    parser.add_argument(
        '--only',
        nargs='+',
        default=[],
        metavar='NAME',
        help='train these sets, localizers or rows (SET_LOCALIZER) only; tables have all',
    )
    parser.add_argument(
        '--jobs', type=int, default=1, help='trainings at a time; figures do not depend on it'
    )
    parser.add_argument(
        '--resamples',
        type=int,
        default=NUM_RESAMPLES,
        help=f'of the bootstrap over videos, {FEWEST_RESAMPLES} or more; default {NUM_RESAMPLES}',
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--tables', action='store_true', help='train nothing; tables of what is done')
    what.add_argument(
        '--dry-run', action='store_true', help='list the runs and their time; train nothing'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.dry_run:
        *_, runs = planned_study(args.config, args.work_dir)
        print(plan_table(runs.only(args.only)))
        return
    result = run_study(
        args.config, args.work_dir, args.jobs, args.only, not args.tables, args.resamples
    )
    print(f'{result.tables}\n\nwritten: {result.work_dir}/tables.md, summary.csv, runs.csv, curves')
