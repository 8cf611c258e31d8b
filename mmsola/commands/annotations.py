r"""Make an annotation file from a table of segments and a folder of videos.

mmsola annotations segments.csv videos/ annotations.json

The table is a csv file whose first row names its columns: video, start, end and, if known, label,
subset and subject. Times are seconds, mm:ss or hh:mm:ss. A row with neither start nor end
means: this video contains no action.
"""

import argparse

from mmsola.datasets.annotations import AnnotationError
from mmsola.datasets.tables.csv_annotations import annotate_from_csv
from mmsola.datasets.tables.csv_summary import summary_lines
from mmsola.datasets.videos.video import VideoError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('segments', help='csv file, one row a segment')
    parser.add_argument('videos', help='folder of the videos')
    parser.add_argument('out', help='annotation file to write')
    parser.add_argument(
        '--validation-share',
        type=float,
        default=0.25,
        help='about what share of videos, or subjects, is for validation; without column subset',
    )
    parser.add_argument('--seed', type=int, default=0, help='another one draws other videos')
    parser.add_argument(
        '--with-unnamed',
        action='store_true',
        help='take videos that the table does not name as videos without action',
    )
    parser.add_argument(
        '--on-bad',
        choices=['stop', 'skip'],
        default='stop',
        help='what to do about videos that cannot be decoded',
    )
    args = parser.parse_args()
    if not 0 < args.validation_share < 1:
        parser.error(f'--validation-share is {args.validation_share}; expected between 0 and 1')
    return args


def main() -> None:
    args = parse_args()
    try:
        annotations = annotate_from_csv(
            args.segments,
            args.videos,
            args.validation_share,
            args.seed,
            args.with_unnamed,
            args.on_bad,
        )
    except (AnnotationError, VideoError) as error:
        raise SystemExit(str(error)) from error
    annotations.write(args.out)
    print('\n'.join(summary_lines(annotations)))
    if annotations.unnamed:
        print('  left out; --with-unnamed takes them as videos without action')
    print(f'written: {args.out}')
