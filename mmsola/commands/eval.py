r"""Measure a submission json against an annotation file: AR@AN, AUC and mAP.

Results without labels have no mAP: class_agnostic_AP is printed for them.

mmsola eval results.json data/ActivityNet/anet_anno_val.json
mmsola eval results.json thumos14.json --subset test --map-tious 0.3 0.7 0.1 \
    --convention opentad --ignored-classes Ambiguous
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from mmsola.datasets.annotations import load_annotations
from mmsola.datasets.tables.csv_rows import read_rows
from mmsola.evaluation.conventions import CONVENTIONS
from mmsola.evaluation.localization_metric import LocalizationMetric
from mmsola.files.name_match import match_names
from mmsola.structures.labelled_segments import annotated_segments
from mmsola.structures.submission import read_submission


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('results', help='submission json')
    parser.add_argument('ann_file', help='annotation file')
    parser.add_argument('--subset', nargs='+', help='subsets of the annotation file')
    parser.add_argument(
        '--video-list',
        help='csv with columns video and subset; only its videos (of --subset, if given) count',
    )
    for option, figures in (('--map-tious', 'mAP'), ('--tious', 'AR and AUC')):
        parser.add_argument(
            option,
            nargs=3,
            type=float,
            default=(0.5, 0.95, 0.05),
            metavar=('FIRST', 'LAST', 'STEP'),
            help=f'tIoU grid of {figures}, default 0.5 0.95 0.05',
        )
    parser.add_argument(
        '--max-proposals', type=int, default=100, help='of a video, the greatest AN; default 100'
    )
    parser.add_argument('--average-numbers', nargs='+', type=int, help='AN at which AR is printed')
    parser.add_argument(
        '--strip-prefix', default='v_', help='what the names in RESULTS lack, default v_'
    )
    parser.add_argument('--class-scores', help='json of video-level class scores')
    parser.add_argument('--top-k', type=int, default=1, help='classes a proposal gets')
    parser.add_argument(
        '--multiply',
        nargs='?',
        const=True,
        default=False,
        choices=['root'],
        help='multiply with the class score; root takes the root of the product, as ActionFormer',
    )
    parser.add_argument('--class-agnostic', action='store_true', help='count all as one class')
    parser.add_argument(
        '--convention',
        choices=CONVENTIONS,
        default='activitynet',
        help='which segments count: opentad and actionformer leave out those of no length and '
        'those that are annotated twice; default activitynet, which counts all',
    )
    parser.add_argument(
        '--ignored-classes', nargs='+', default=[], help='classes that do not count'
    )
    parser.add_argument('--blocked-videos', default=(), help='json list of videos not to count')
    parser.add_argument('--per-class', action='store_true', help='print the AP of each class')
    return parser.parse_args()


def grid(first: float, last: float, step: float) -> list[float]:
    return np.arange(first, last + step / 2, step).round(6).tolist()


def read_video_list(file: str, subsets: list[str] | None) -> set[str]:
    """Names of the videos, of these subsets or of all.

    Raises:
        AnnotationError: The file or a column is missing, or it is no csv in UTF-8.
    """
    columns = ('video', 'subset') if subsets else ('video',)
    rows = read_rows(Path(file), columns, '--video-list')
    return {row['video'] for _, row in rows if not subsets or row['subset'] in subsets}


def main() -> None:
    args = parse_args()
    scores = dict(file=args.class_scores, top_k=args.top_k, multiply=args.multiply)
    metric = LocalizationMetric(
        tiou_thresholds=grid(*args.tious),
        map_tiou_thresholds=grid(*args.map_tious),
        average_numbers=args.average_numbers,
        max_proposals=args.max_proposals,
        class_scores=scores if args.class_scores else None,
        class_agnostic=args.class_agnostic,
        per_class=args.per_class,
        convention=args.convention,
        ignored_classes=args.ignored_classes,
        blocked_videos=args.blocked_videos,
    )
    results = read_submission(args.results)
    subset = None if args.video_list else args.subset
    truth = {}
    for record in load_annotations(args.ann_file, subset=subset, on_bad_segment='keep').records:
        annotated = annotated_segments(record)
        if annotated is not None:
            truth[record.name] = annotated
    if args.video_list:
        listed = read_video_list(args.video_list, args.subset)
        matched = set(match_names(listed, truth).values())
        truth = {n: video for n, video in truth.items() if n in listed or n in matched}
        if not truth:
            sys.exit(
                f'{args.video_list}: none of its {len(listed)} videos is in {args.ann_file}'
                '\n  expected: names as in the annotation file'
                '\n  fix: correct the list, or --subset'
            )
    prefix = args.strip_prefix
    results = {
        name if name in truth or prefix + name not in truth else prefix + name: video
        for name, video in results.items()
    }
    figures = metric.measure(truth, results)
    print(f'{args.results}: {len(truth)} videos of {args.ann_file}')
    width = max(map(len, figures), default=0)
    for key, value in figures.items():
        print(f'{key:{width}} {value:7.2f}')
