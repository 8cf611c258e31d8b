r"""Keep every k-th snippet of each video, as npy files: a trial on long videos takes less time.

mmsola thin-features data/captaincook_pe/features data/captaincook_pe_4s/features \
    --every 4 --dtype float16

In the timeline of a config, stride_frames is then k times as long. The annotations stay the same.
"""

import argparse
from pathlib import Path

from mmsola.datasets.features.feature_store import FeatureError, FeatureStore
from mmsola.datasets.features.feature_writer import DTYPES
from mmsola.datasets.prepare.output import OutputError
from mmsola.datasets.prepare.thinned import thin_features

EXPECTED_ERRORS = (FeatureError, OutputError)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', help='folder of features, or an HDF5 file')
    parser.add_argument('out', type=Path, help='folder to write')
    parser.add_argument('--every', type=int, required=True, metavar='K', help='2 or more')
    parser.add_argument('--dtype', choices=DTYPES, default='float32')
    args = parser.parse_args()
    if args.every < 2:
        parser.error(f'--every is {args.every}; expected 2 or more')
    return args


def main() -> None:
    args = parse_args()
    store = FeatureStore(args.source, cache=False)
    number = thin_features(store, args.out, args.every, args.dtype)
    print(f'{args.out}: 1 of {args.every} snippets of {number} videos, {args.dtype}')
