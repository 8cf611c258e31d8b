r"""Make charades_clip of the embeddings of video-moment-retrieval and Charades' own csv file.

python tools/data/charades_clip/prepare.py \
    video-moment-retrieval/results/charades_sta_full_test_clip/embeddings \
    --annotations Charades/Charades_v1_test.csv --out data/charades_clip
"""

import argparse
from pathlib import Path

from mmsola.datasets.prepare.charades_clip import prepare_charades_clip
from mmsola.engine.command_line import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='folder of the npz files')
    parser.add_argument(
        '--annotations', type=Path, required=True, metavar='CSV', help='Charades_v1_test.csv'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('data/charades_clip'), help='folder to write'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    videos = prepare_charades_clip(args.source, args.annotations, args.out)
    subsets = [entry['subset'] for entry in videos.database.values()]
    print(
        f'{args.out}: {subsets.count("training")} training and {subsets.count("validation")} '
        f'validation videos; left out {len(videos.left_out)} of other persons and '
        f'{len(videos.unknown)} that the csv file lacks'
    )


if __name__ == '__main__':
    run(main)
