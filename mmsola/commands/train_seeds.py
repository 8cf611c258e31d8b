"""Pretrain SoLa with several seeds and tabulate what it gains over features without it.

Each seed trains in a folder of its own. Called again, finished seeds are kept and a killed one goes
on from its newest checkpoint.

mmsola train-seeds mmsola::sola/sola_pretrain_demo.py --seeds 0 1 2
"""

import argparse
import csv
from dataclasses import astuple, fields
from pathlib import Path

from tqdm import tqdm

from mmsola.atomic import replacing
from mmsola.engine.config_file import add_cfg_options, read_config
from mmsola.engine.seed_runs import SeedRun
from mmsola.evaluation.seeds import Gain, chosen_epoch, summarise, validations_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of the pretraining')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2, 3, 4])
    parser.add_argument('--work-dir', type=Path, help='default work_dirs/<config name>')
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    work_dir = args.work_dir or Path('work_dirs') / Path(args.config).stem
    key = cfg.default_hooks.checkpoint.get('save_best')
    if not isinstance(key, str) or cfg.get('val_evaluator') is None:
        raise SystemExit(
            f'{args.config}: needs validation and one figure to choose the epoch by; set '
            "default_hooks=dict(checkpoint=dict(save_best='probe/auc'))."
        )
    epochs, rows = [], []
    total = len(args.seeds) * cfg.train_cfg.max_epochs
    with tqdm(total=total, unit='epoch', desc=Path(args.config).stem) as progress:
        for seed in args.seeds:
            run = SeedRun(cfg, seed, work_dir / f'seed_{seed}')
            run.check()
            if not run.is_finished():
                progress.write(f'seed {seed}: training, see {run.folder / "train.log"}')
                run.train(progress.update)
            progress.update((args.seeds.index(seed) + 1) * run.max_epochs - progress.n)
            validations = validations_of(run.folder)
            epochs.append(chosen_epoch(validations, key))
            rows.append(validations[epochs[-1]])
            progress.write(
                f'seed {seed}: epoch {epochs[-1]} of {max(validations)} has the greatest {key}'
            )

    gains = summarise(rows)
    table = work_dir / 'seeds.csv'
    with replacing(table) as partial, partial.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Gain)])
        writer.writerows(astuple(gain) for gain in gains)
    print(f'\n{args.config}, seeds {args.seeds}, at the epoch chosen by {key}:')
    print('| figure | reference | | SoLa | gain, mean ± std | 95 % interval of the mean |')
    print('| --- | --- | --- | --- | --- | --- |')
    for g in gains:
        spread, interval = f' ± {g.std:.4f}', f'[{g.low:+.4f}, {g.high:+.4f}]'
        if len(rows) == 1:
            spread, interval = '', 'one seed has none'
        print(
            f'| {g.metric} | {g.reference} | {g.reference_value:.4f} | {g.sola:.4f} '
            f'| {g.gain:+.4f}{spread} | {interval} |'
        )
    print(f'\nwritten: {table}')
