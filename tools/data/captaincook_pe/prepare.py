r"""Make captaincook_pe of the features of aml-2025-mistake-detection and CaptainCook4D's steps.

python tools/data/captaincook_pe/prepare.py aml-2025-mistake-detection/data/step3/features \
    --annotations annotations --out data/captaincook_pe

Here `annotations` is a clone of github.com/CaptainCook4D/annotations.
"""

import argparse
from pathlib import Path

from mmsola.datasets.prepare.captaincook_pe import LONGEST_SEC, prepare_captaincook_pe
from mmsola.engine.command_line import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='folder of the npz files')
    parser.add_argument(
        '--annotations', type=Path, required=True, metavar='FOLDER', help='the annotations'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('data/captaincook_pe'), help='folder to write'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    recordings = prepare_captaincook_pe(args.source, args.annotations, args.out)
    subsets = [entry['subset'] for entry in recordings.database.values()]
    print(
        f'{args.out}: {subsets.count("training")} training and {subsets.count("validation")} '
        f'validation recordings; left out {len(recordings.left_out)} of other persons and '
        f'{len(recordings.too_long)} of more than {LONGEST_SEC:g} s'
    )


if __name__ == '__main__':
    run(main)
