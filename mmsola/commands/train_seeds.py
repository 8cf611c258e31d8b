"""Pretrain SoLa with several seeds and tabulate what it gains over features without it.

Each seed trains in a folder of its own. Called again, finished seeds are kept and a killed one goes
on from its newest checkpoint.

mmsola train-seeds mmsola::sola/sola_pretrain_demo.py --seeds 0 1 2
"""

import argparse
import csv
from dataclasses import astuple, fields
from pathlib import Path

from mmsola.apis.gain_table import gain_table
from mmsola.atomic import replacing
from mmsola.engine.config_file import add_cfg_options, read_config
from mmsola.engine.measured_config import chosen_by
from mmsola.engine.misspelt_keys import warn_of_misspelt_keys
from mmsola.engine.run_versions import version_columns, versions_in_words, versions_of
from mmsola.engine.seed_runs import (
    SeedRun,
    check_seeds_and_jobs,
    train_all,
)
from mmsola.engine.threads import threads_of
from mmsola.evaluation.seeds import Gain, chosen_epoch, summarise, validations_of
from mmsola.messages.progress import Progress


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of the pretraining')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2, 3, 4])
    parser.add_argument('--work-dir', type=Path, help='default work_dirs/<config name>')
    add_cfg_options(parser)
    parser.add_argument(
        '--jobs', type=int, default=1, help='trainings at a time; figures do not depend on it'
    )
    args = parser.parse_args()
    check_seeds_and_jobs(parser, args.seeds, args.jobs)
    return args


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    warn_of_misspelt_keys(cfg)
    work_dir = args.work_dir or Path('work_dirs') / Path(args.config).stem
    key = chosen_by(cfg, args.config)
    runs = [SeedRun(cfg, seed, work_dir / f'seed_{seed}') for seed in args.seeds]
    rows = []
    total = sum(run.max_epochs for run in runs)
    with Progress(total, f'Training {Path(args.config).stem}', 'epochs') as progress:
        train_all(runs, args.jobs, progress.update)
    versions = versions_of(runs)
    for run in runs:
        validations = validations_of(run.folder)
        epoch = chosen_epoch(validations, key)
        rows.append(validations[epoch])
        print(
            f'seed {run.seed}: epoch {epoch} of {max(validations)} has the greatest {key}; '
            f'log: {run.folder / "train.log"}'
        )

    gains = summarise(rows)
    measured_with = [' '.join(map(str, args.seeds)), threads_of(cfg), *version_columns(versions)]
    with replacing(work_dir / 'seeds.csv') as partial, partial.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(
            [*(field.name for field in fields(Gain)), 'seeds', 'num_threads', 'mmsola', 'commit']
        )
        writer.writerows([*astuple(gain), *measured_with] for gain in gains)
    table = '\n'.join(
        [
            f'{args.config}, seeds {args.seeds}, at the epoch chosen by {key}; '
            f'num_threads {threads_of(cfg)}; {versions_in_words(versions)}:',
            *gain_table(gains, len(rows)),
        ]
    )
    with replacing(work_dir / 'table.md') as partial:
        partial.write_text(f'{table}\n')
    print(f'{table}\n\nwritten: {work_dir}/seeds.csv, table.md')
