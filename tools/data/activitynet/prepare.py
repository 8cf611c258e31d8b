r"""Make one annotation file a subset of ActivityNet-1.3's annotations as BSN publishes them.

python tools/data/activitynet/prepare.py \
    BSN-boundary-sensitive-network/data/activitynet_annotations --out data/ActivityNet
"""

import argparse
from pathlib import Path

from mmsola.datasets.prepare.activitynet import prepare_activitynet
from mmsola.engine.command_line import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'source', type=Path, help='folder of anet_anno_action.json and video_info_new.csv'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('data/ActivityNet'), help='folder to write'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    for name, count in prepare_activitynet(args.source, args.out).items():
        print(f'written: {args.out / f"anet_anno_{name}.json"}, {count} videos')


if __name__ == '__main__':
    run(main)
