"""Train the model of a config; the arguments are those of MMAction2's tools/train.py.

mmsola train mmsola::sola/sola_pretrain_demo.py --seed 0
mmsola train my_config.py --resume --cfg-options train_dataloader.batch_size=8

Several processes, one on each GPU; the same on CPUs without any:
torchrun --nproc-per-node 4 -m mmsola train my_config.py --launcher pytorch
"""

import argparse

from mmsola.apis.training import train
from mmsola.engine.launch import add_run_arguments, load_config
from mmsola.engine.mixed_precision import enable_amp


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint; without a value, from the newest in the work directory',
    )
    parser.add_argument('--amp', action='store_true', help='train with mixed precision')
    parser.add_argument('--no-validate', action='store_true', help='train without validation')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the batch size over auto_scale_lr.base_batch_size',
    )
    parser.add_argument('--seed', type=int, help="random seed; default the config's")
    parser.add_argument(
        '--diff-rank-seed', action='store_true', help='a seed of its own for each process'
    )
    parser.add_argument('--deterministic', action='store_true', help='deterministic algorithms')
    add_run_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        if 'auto_scale_lr' not in cfg:
            raise SystemExit(
                f'{args.config}: --auto-scale-lr needs '
                'auto_scale_lr=dict(base_batch_size=...) in the config.'
            )
        cfg.auto_scale_lr.enable = True
    switched_on = {key: True for key in ('diff_rank_seed', 'deterministic') if getattr(args, key)}
    cfg.randomness = {**(cfg.get('randomness') or {}), **switched_on}
    train(cfg, seed=args.seed, resume=args.resume or False)
