"""Test a checkpoint with the test set of its config; arguments as in MMAction2's tools/test.py.

mmsola test mmsola::bmn/bmn_demo.py work_dirs/bmn_demo/epoch_12.pth

Several processes:
torchrun --nproc-per-node 4 -m mmsola test my_config.py CHECKPOINT --launcher pytorch
"""

import argparse

from mmsola.apis.training import test
from mmsola.engine.launch import add_run_arguments, load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--dump', help='write the predictions to this .pkl file')
    add_run_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    if args.dump is not None:
        if not args.dump.endswith(('.pkl', '.pickle')):
            raise SystemExit(f'--dump: expected a file ending in .pkl, found {args.dump}')
        evaluators = cfg.test_evaluator
        evaluators = list(evaluators) if isinstance(evaluators, (list, tuple)) else [evaluators]
        cfg.test_evaluator = [*evaluators, dict(type='DumpResults', out_file_path=args.dump)]
    test(cfg, args.checkpoint)
