r"""Convert published files into a data set that the configs read.

mmsola prepare isl_i3d sign-segmentation-isl/test_data --out data/isl_i3d
mmsola prepare charades_clip \
    video-moment-retrieval/results/charades_sta_full_test_clip/embeddings \
    --annotations Charades/Charades_v1_test.csv --out data/charades_clip
mmsola prepare captaincook_pe aml-2025-mistake-detection/data/step3/features \
    --annotations annotations --out data/captaincook_pe
mmsola prepare activitynet \
    BSN-boundary-sensitive-network/data/activitynet_annotations --out data/ActivityNet

Where the files come from: tools/data/<set>/README.md. The other sets need no conversion.
"""

import argparse
from pathlib import Path

from mmsola.datasets.prepare.activitynet import prepare_activitynet
from mmsola.datasets.prepare.captaincook_pe import LONGEST_SEC, prepare_captaincook_pe
from mmsola.datasets.prepare.charades_clip import prepare_charades_clip
from mmsola.datasets.prepare.isl_i3d import prepare_isl_i3d


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sets = parser.add_subparsers(dest='set', required=True, metavar='SET')
    for name, folder, prepare, source, annotations in (
        ('isl_i3d', 'isl_i3d', isl_i3d, 'test_data, with VIA_annotations.csv', None),
        ('charades_clip', 'charades_clip', charades_clip, 'folder of the npz files', 'CSV'),
        ('captaincook_pe', 'captaincook_pe', captaincook_pe, 'folder of the npz files', 'FOLDER'),
        (
            'activitynet',
            'ActivityNet',
            activitynet,
            'folder of anet_anno_action.json and video_info_new.csv',
            None,
        ),
    ):
        one = sets.add_parser(name, help=prepare.__doc__)
        one.add_argument('source', type=Path, help=source)
        if annotations:
            one.add_argument(
                '--annotations',
                type=Path,
                required=True,
                metavar=annotations,
                help='Charades_v1_test.csv' if annotations == 'CSV' else 'the annotations',
            )
        out = Path('data', folder)
        one.add_argument('--out', type=Path, default=out, help=f'folder to write; default {out}')
        one.set_defaults(prepare=prepare)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    args.prepare(args)


def isl_i3d(args: argparse.Namespace) -> None:
    """Indian Sign Language sentences, I3D: one HDF5 file and an annotation file a subset."""
    videos = prepare_isl_i3d(args.source, args.out)
    print(
        f'{args.out}: {len(videos.training)} training and {len(videos.validation)} validation '
        f'videos; left out {len(videos.left_out)} of other sentences and '
        f'{len(videos.without_segments)} without segments'
    )


def charades_clip(args: argparse.Namespace) -> None:
    """Charades' test split, CLIP: npy files and an annotation file."""
    videos = prepare_charades_clip(args.source, args.annotations, args.out)
    print(
        f'{args.out}: {subsets_in_words(videos.database)} videos; left out '
        f'{len(videos.left_out)} of other persons and {len(videos.unknown)} that the csv file lacks'
    )


def captaincook_pe(args: argparse.Namespace) -> None:
    """CaptainCook4D, Perception Encoder: npy files and an annotation file."""
    recordings = prepare_captaincook_pe(args.source, args.annotations, args.out)
    print(
        f'{args.out}: {subsets_in_words(recordings.database)} recordings; left out '
        f'{len(recordings.left_out)} of other persons and {len(recordings.too_long)} of more '
        f'than {LONGEST_SEC:g} s'
    )


def subsets_in_words(database: dict[str, dict]) -> str:
    """How many entries each subset has: ``688 training and 327 validation``."""
    subsets = [entry['subset'] for entry in database.values()]
    return f'{subsets.count("training")} training and {subsets.count("validation")} validation'


def activitynet(args: argparse.Namespace) -> None:
    """ActivityNet-1.3: an annotation file a subset."""
    videos = prepare_activitynet(args.source, args.out)
    for name, entries in videos.videos_of.items():
        print(f'written: {args.out / f"anet_anno_{name}.json"}, {len(entries)} videos')
    print(f'left out {len(videos.left_out)} videos that video_info_new.csv lacks')
