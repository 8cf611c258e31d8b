"""Generate a small data set of snippet features with annotations.

mmsola demo-data data/demo
"""

import argparse

from mmsola.datasets.generated.demo_data import make_demo_data


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', help='folder to write, for example data/demo')
    parser.add_argument('--num-training', type=int, default=96, help='training videos')
    parser.add_argument('--num-validation', type=int, default=48, help='validation videos')
    parser.add_argument('--num-channels', type=int, default=64, help='channels of a feature')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    annotation_file = make_demo_data(
        args.root, args.num_training, args.num_validation, args.num_channels, seed=args.seed
    )
    print(
        f'{args.num_training} training and {args.num_validation} validation videos written: '
        f'{annotation_file}'
    )
