"""The variants of pretraining that the recipes of the small sets were chosen of, and figures.

Each is trained with a few seeds. Figures are those of training videos alone: cross-validated ones,
and change/contrast, which reads no labels. Run it again to go on; needs the sets in data/.

python tools/small_set_recipes.py --jobs 2
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from mmengine.config import Config

from mmsola.atomic import replacing
from mmsola.engine.config_file import read_config
from mmsola.engine.seed_runs import SeedRun, train_all
from mmsola.messages.progress import Progress

FIGURES = ('probe/cv_auc', 'boundary/cv_auc', 'change/contrast')
CHOSEN_BY = 'boundary/cv_auc'
PUBLISHED = dict(kernel_sizes=(5, 1), dilations=(1, 1), start=4, step=2, window=23)
#: What differs from the published reach and step, in snippets.
RATES = {
    'isl_i3d': {  # 25 snippets a second, 39 to 175 a video
        'published': {},
        'other rate': dict(dilations=(4, 1), start=8, step=4, window=45),
        'several rates': dict(dilations=(4, 1), start=8, step=(2, 4), window=45),
    },
    'charades_clip': {  # 1 a second, about 30 a video
        'published': {},
        'other rate': dict(kernel_sizes=(3, 1), start=1, step=1, window=10),
        'several rates': dict(start=2, step=(1, 2), window=19),
    },
    'captaincook_pe': {  # 1 a second, hundreds a video
        'published': {},
        'other rate': dict(dilations=(5, 1), start=10, step=8, window=77),
        'several rates': dict(dilations=(5, 1), start=10, step=(2, 4, 8), window=77),
    },
}
SCALES = {'raw': None, 'standardised': dict(scale='input')}
EPOCHS = {'charades_clip': 60}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--sets', nargs='+', choices=list(RATES), default=list(RATES))
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--jobs', type=int, default=1, help='trainings at a time')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/recipes'))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    runs = {
        (name, scale, rate): [
            SeedRun(config_of(name, scale, rate), seed, folder_of(args, name, scale, rate, seed))
            for seed in args.seeds
        ]
        for name in args.sets
        for scale in SCALES
        for rate in RATES[name]
    }
    each = [run for several in runs.values() for run in several]
    with Progress(sum(run.max_epochs for run in each), 'Training', 'epochs') as progress:
        train_all(each, args.jobs, progress.update)
    rows = [[*variant, *figures_of(several)] for variant, several in runs.items()]
    with replacing(args.work_dir / 'recipes.csv') as partial, partial.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(
            ['set', 'scale', 'rate', *FIGURES, *(f'{key}_untouched' for key in FIGURES)]
        )
        writer.writerows(rows)
    print(f'seeds {args.seeds}, after the last epoch; means')
    print(f'| set | scale | rate | {" | ".join(f"{key}, gain" for key in FIGURES)} |')
    print('| --- | --- | --- |' + ' --- |' * len(FIGURES))
    for *variant, a, b, c, ua, ub, uc in rows:
        cells = [f'{x:.4f}, {x - u:+.4f}' for x, u in ((a, ua), (b, ub), (c, uc))]
        print(f'| {" | ".join([*variant, *cells])} |')


def folder_of(args: argparse.Namespace, name: str, scale: str, rate: str, seed: int) -> Path:
    return args.work_dir / name / f'{scale}_{rate}'.replace(' ', '_') / f'seed_{seed}'


def config_of(name: str, scale: str, rate: str) -> Config:
    """The pretraining of one variant, judged by figures of training videos."""
    cfg = read_config(f'configs/sola/sola_pretrain_{name}.py')
    wanted = {**PUBLISHED, **RATES[name][rate]}
    neck = dict(kernel_sizes=wanted['kernel_sizes'], dilations=wanted['dilations'])
    if SCALES[scale] is not None:
        neck['standardize'] = SCALES[scale]
    cfg.merge_from_dict(
        {'model': dict(neck=neck, start=wanted['start'], step=wanted['step'])},
    )
    cfg.train_dataloader.dataset.pipeline[0].window = wanted['window']
    epochs = EPOCHS.get(name, 100)
    cfg.train_cfg.update(max_epochs=epochs, val_interval=epochs // 2)
    probes = [
        cfg.val_evaluator[0],
        dict(type='BoundaryProbe', folds=5),
        dict(type='ChangeContrast'),
    ]
    cfg.val_evaluator = cfg.test_evaluator = probes
    cfg.default_hooks.checkpoint.save_best = CHOSEN_BY
    return cfg


def figures_of(runs: list[SeedRun]) -> list[float]:
    """The means over seeds of the figures, then those of untouched features."""
    last = [run.figures() for run in runs]
    keys = [*FIGURES, *(f'{key}_untouched' for key in FIGURES)]
    return [float(np.mean([row[key] for row in last])) for key in keys]


if __name__ == '__main__':
    main()
