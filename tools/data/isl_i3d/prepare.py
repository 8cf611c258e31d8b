r"""Make isl_i3d of the test data of sign-segmentation-isl.

python tools/data/isl_i3d/prepare.py sign-segmentation-isl/test_data --out data/isl_i3d
"""

import argparse
from pathlib import Path

from mmsola.datasets.prepare.isl_i3d import prepare_isl_i3d
from mmsola.engine.command_line import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='test_data, with VIA_annotations.csv')
    parser.add_argument('--out', type=Path, default=Path('data/isl_i3d'), help='folder to write')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    videos = prepare_isl_i3d(args.source, args.out)
    print(
        f'{args.out}: {len(videos.training)} training and {len(videos.validation)} validation '
        f'videos; left out {len(videos.left_out)} of other sentences and '
        f'{len(videos.without_segments)} without segments'
    )


if __name__ == '__main__':
    run(main)
