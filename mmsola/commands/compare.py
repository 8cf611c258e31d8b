r"""Compare configs over paired seeds: mean difference, its 95 % interval, and what each costs.

The first config is the baseline. Every config is trained with every seed in a folder of its own and
measured by its own validation after the last epoch, so nothing is chosen on what is scored. Called
again, finished runs are kept and a killed one goes on from its newest checkpoint.

mmsola compare configs/bmn/bmn_isl_i3d.py configs/bmn/sola_bmn_isl_i3d.py --seeds 0 1 2 3 4 \
    --options-for sola_bmn_isl_i3d \
    'model.neck.init_cfg.checkpoint=work_dirs/sola_pretrain_isl_i3d/seed_{seed}/best_*.pth'
"""

import argparse
import copy
import csv
from pathlib import Path

import numpy as np
from mmaction.registry import MODELS
from mmaction.utils import register_all_modules
from mmengine.config import Config

from mmsola.atomic import replacing
from mmsola.engine.config_file import add_cfg_options
from mmsola.engine.measured_config import read_measured_config
from mmsola.engine.run_versions import (
    Versions,
    version_columns,
    versions_in_words,
    versions_of,
)
from mmsola.engine.seconds import settle_seconds
from mmsola.engine.seed_runs import (
    SeedRun,
    check_seeds_and_jobs,
    train_all,
)
from mmsola.engine.threads import threads_of
from mmsola.evaluation.paired import paired_difference
from mmsola.messages.progress import Progress
from mmsola.models.necks.nested_necks import solas_in
from mmsola.visualization.differences import draw_differences

USUAL_FIGURES = (
    *('loc/AUC', 'loc/AR@1', 'loc/AR@10', 'loc/AR@100'),
    *('loc/mAP', 'loc/class_agnostic_AP'),
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', help='the baseline, then what is compared with it')
    parser.add_argument('--names', nargs='+', help="names in the tables; default the configs'")
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2, 3, 4])
    parser.add_argument(
        '--figures',
        nargs='+',
        help=f'figures of the validation; default those of {" ".join(USUAL_FIGURES)} that it has',
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/compare'))
    add_cfg_options(parser)
    parser.add_argument(
        '--options-for',
        nargs='+',
        action='append',
        default=[],
        metavar=('NAME', 'KEY=VALUE'),
        help='settings for one config; {seed} in a value stands for the seed',
    )
    parser.add_argument(
        '--jobs', type=int, default=1, help='trainings at a time; figures do not depend on it'
    )
    args = parser.parse_args()
    args.names = args.names or [Path(config).stem for config in args.configs]
    for wrong, message in (
        (len(args.configs) < 2, 'a baseline and at least one other config are needed'),
        (len(args.names) != len(args.configs), 'as many --names as configs are needed'),
        (len(set(args.names)) < len(args.names), 'two configs have the same name; use --names'),
    ):
        if wrong:
            parser.error(message)
    check_seeds_and_jobs(parser, args.seeds, args.jobs)
    for name, *_ in args.options_for:
        if name not in args.names:
            parser.error(f'--options-for {name}: not one of {args.names}')
    return args


def main() -> None:
    args = parse_args()
    register_all_modules()
    configs = {name: load(args, name, path) for name, path in zip(args.names, args.configs)}
    runs = [
        SeedRun(cfg, seed, args.work_dir / name / f'seed_{seed}')
        for seed in args.seeds
        for name, cfg in configs.items()
    ]
    args.num_threads = {name: threads_of(cfg) for name, cfg in configs.items()}
    train(args, runs)
    versions = versions_of(runs)
    if args.figures is None:
        measured = runs[0].figures()
        args.figures = [figure for figure in USUAL_FIGURES if figure in measured]
        if not args.figures:
            raise SystemExit(
                f'{args.names[0]}: its validation measures none of {USUAL_FIGURES}; it has '
                f'{sorted(measured)}. Choose of them with --figures.'
            )
    values = {name: collect(args, name, runs) for name in args.names}
    parameters = {name: count_parameters(cfg) for name, cfg in configs.items()}
    table = '\n'.join(
        [*figure_table(args, versions, values), '', *cost_table(args, runs, parameters)]
    )
    write(args, runs, versions, values, table)
    print(f'{table}\n\nwritten: {args.work_dir}/compare.csv, summary.csv, table.md, compare.png')


def load(args: argparse.Namespace, name: str, path: str) -> Config:
    """The config of one name, with its settings laid over it."""
    own = [option for who, *options in args.options_for if who == name for option in options]
    return read_measured_config(path, [*args.cfg_options, *own])


def train(args: argparse.Namespace, runs: list[SeedRun]) -> None:
    """Train what is not finished, seed after seed, so that an early look is already paired."""
    with Progress(sum(run.max_epochs for run in runs), 'Training', 'epochs') as progress:
        train_all(runs, args.jobs, progress.update)


def collect(args: argparse.Namespace, name: str, runs: list[SeedRun]) -> dict[str, list[float]]:
    """Each figure of one config, one value a seed."""
    rows = [run.figures() for run in runs if run.folder.parent.name == name]
    missing = [figure for figure in args.figures if figure not in rows[0]]
    if missing:
        raise SystemExit(
            f'{name}: its validation does not measure {missing}; it has {sorted(rows[0])}. '
            'Choose of them with --figures.'
        )
    return {figure: [row[figure] for row in rows] for figure in args.figures}


def count_parameters(cfg: Config) -> tuple[int, int]:
    """Parameters that are trained, and those of a frozen neck."""
    cfg = copy.deepcopy(cfg)
    settle_seconds(cfg)
    frozen = 0
    model = MODELS.build(cfg.model)
    for sola in solas_in(getattr(model, 'neck', None)).values():
        if sola.frozen:
            frozen += sum(value.numel() for value in sola.state_dict().values())
    return sum(p.numel() for p in model.parameters() if p.requires_grad), frozen


def write(
    args: argparse.Namespace,
    runs: list[SeedRun],
    versions: Versions,
    values: dict[str, dict[str, list[float]]],
    table: str,
) -> None:
    """Every value, every difference, the tables and the picture."""
    made_with = {(run.folder.parent.name, run.seed): run.made_with() for run in runs}
    with replacing(args.work_dir / 'compare.csv') as partial, partial.open('w', newline='') as file:
        rows = csv.writer(file)
        rows.writerow(['config', 'seed', 'figure', 'value', 'num_threads', 'mmsola', 'commit'])
        for name, figures in values.items():
            for figure, row in figures.items():
                rows.writerows(
                    [name, seed, figure, value, args.num_threads[name], *made_with[name, seed]]
                    for seed, value in zip(args.seeds, row)
                )
    with replacing(args.work_dir / 'summary.csv') as partial, partial.open('w', newline='') as file:
        rows = csv.writer(file)
        rows.writerow(
            ['figure', 'config', 'baseline', 'value', 'mean', 'std', 'low', 'high']
            + ['seeds', 'num_threads', 'mmsola', 'commit']
        )
        seeds = ' '.join(map(str, args.seeds))
        measured_with = [seeds, threads_in_words(args), *version_columns(versions)]
        for figure, name, d in differences(args, values):
            rows.writerow(
                [figure, name, d.baseline, d.candidate, d.mean, d.std, d.low, d.high]
                + measured_with
            )
    with replacing(args.work_dir / 'table.md') as partial:
        partial.write_text(f'{table}\n')
    picture = draw_differences(args.names[0], values, args.figures)
    with replacing(args.work_dir / 'compare.png') as partial:
        picture.savefig(partial, dpi=150, format='png')


def differences(args: argparse.Namespace, values: dict) -> list[tuple]:
    """Figure, candidate and what it has over the baseline."""
    baseline, *others = args.names
    return [
        (figure, name, paired_difference(values[baseline][figure], values[name][figure]))
        for figure in args.figures
        for name in others
    ]


def threads_in_words(args: argparse.Namespace) -> str:
    """One number if all configs have it, else one a config, in their order."""
    numbers = [args.num_threads[name] for name in args.names]
    return ' '.join(map(str, numbers if len(set(numbers)) > 1 else numbers[:1]))


def figure_table(args: argparse.Namespace, versions: Versions, values: dict) -> list[str]:
    """Markdown: who measured what, and whether the difference is more than noise."""
    lines = [
        f'{len(args.seeds)} seeds: {" ".join(map(str, args.seeds))}; baseline {args.names[0]}; '
        f'num_threads {threads_in_words(args)}; {versions_in_words(versions)}',
        '| figure | config | baseline | value | difference, mean ± std | its 95 % interval | |',
        '| --- | --- | --- | --- | --- | --- | --- |',
    ]
    for figure, name, d in differences(args, values):
        spread, interval = f' ± {d.std:.2f}', f'[{d.low:+.2f}, {d.high:+.2f}]'
        if len(args.seeds) == 1:
            spread, interval = '', ''
        lines.append(
            f'| {figure} | {name} | {d.baseline:.2f} | {d.candidate:.2f} '
            f'| {d.mean:+.2f}{spread} | {interval} | {d.verdict} |'
        )
    return lines


def cost_table(
    args: argparse.Namespace, runs: list[SeedRun], parameters: dict[str, tuple[int, int]]
) -> list[str]:
    """Markdown: time, memory and parameters; time and memory of whole processes."""
    lines = [
        '| config | seconds a run | to the baseline | peak memory, MB | trained parameters '
        '| frozen |',
        '| --- | --- | --- | --- | --- | --- |',
    ]
    cost = {
        name: [run.cost() for run in runs if run.folder.parent.name == name] for name in args.names
    }
    seconds = {name: np.mean([c['seconds'] for c in cost[name]]) for name in args.names}
    for name in args.names:
        trained, frozen = parameters[name]
        memory_mb = max(c['memory_mb'] for c in cost[name])
        lines.append(
            f'| {name} | {seconds[name]:.0f} | {seconds[name] / seconds[args.names[0]]:.2f} '
            f'| {memory_mb:.0f} | {trained:,} | {frozen:,} |'
        )
    return lines
