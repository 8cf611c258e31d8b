"""Generate untrimmed videos with annotations, and trimmed clips of the same classes.

mmsola video-world data/video_world
"""

import argparse

from mmsola.datasets.generated.video_world import make_video_world


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', help='folder to write, for example data/video_world')
    parser.add_argument('--num-training', type=int, default=60, help='untrimmed training videos')
    parser.add_argument(
        '--num-validation', type=int, default=40, help='untrimmed validation videos'
    )
    parser.add_argument(
        '--clips-per-class',
        type=int,
        default=60,
        help='trimmed training clips of each class; a third as many for validation',
    )
    parser.add_argument(
        '--seconds',
        type=float,
        nargs=2,
        default=(15, 90),
        metavar=('SHORTEST', 'LONGEST'),
        help='length of the untrimmed videos',
    )
    parser.add_argument('--size', type=int, default=64, help='width and height in pixels')
    parser.add_argument('--fps', type=float, default=16, help='frames per second')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    annotation_file = make_video_world(**vars(args))
    print(f'Annotations, written last: {annotation_file}')
