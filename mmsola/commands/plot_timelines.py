r"""Draw annotated segments against the best proposals of one or several methods.

A class has one colour, in pictures of any videos of the annotation file.

mmsola plot-timelines data/demo/annotations.json plain=plain.json SoLa=sola.json \
    --subset validation --out timelines.png
"""

import argparse
from pathlib import Path

import numpy as np

from mmsola.atomic import replacing
from mmsola.datasets.annotations import load_annotations
from mmsola.files.name_match import match_names
from mmsola.structures.labelled_segments import LabelledSegments, annotated_segments
from mmsola.structures.submission import read_submission
from mmsola.visualization.methods_picture import draw_methods, pick_videos


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('ann_file', help='annotation file')
    parser.add_argument('results', nargs='+', help='NAME=FILE, a submission json')
    parser.add_argument('--subset', nargs='+', help='subsets of the annotation file')
    parser.add_argument('--videos', nargs='+', help='names of videos; default some of all')
    parser.add_argument('--num-videos', type=int, default=4)
    parser.add_argument('--top-k', type=int, default=10, help='best proposals of each method')
    parser.add_argument('--out', type=Path, default=Path('timelines.png'))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    proposals = {}
    for item in args.results:
        name, _, file = item.rpartition('=')
        found = read_submission(file)
        proposals[name or Path(file).stem] = found
    records = {
        record.name: record
        for record in load_annotations(
            args.ann_file, subset=args.subset, on_bad_segment='keep'
        ).records
    }
    # of all subsets and videos, so that a class has one colour in pictures of any of them
    everything = load_annotations(args.ann_file, on_bad_segment='drop').records
    classes = {s.label for record in everything for s in record.segments or ()}
    for found in proposals.values():
        classes.update(label for entry in found.values() for label in entry.labels)
    for method, found in proposals.items():
        matched = match_names(found, records)
        proposals[method] = {matched.get(name, name): rows for name, rows in found.items()}
    in_all = [name for name in records if all(name in found for found in proposals.values())]
    chosen = args.videos or pick_videos(in_all, args.num_videos)
    missing = [name for name in chosen if name not in records]
    if missing or not chosen:
        raise SystemExit(
            f'{args.ann_file}: has no video {missing or "that all results contain"}; it has, for '
            f'example, {list(records)[:3]}.'
        )
    videos, nothing = {}, LabelledSegments(np.zeros((0, 2)), [])
    for name in chosen:
        ends = [
            found[name].segments[:, 1].max(initial=1.0)
            for found in proposals.values()
            if name in found
        ]
        duration_sec = records[name].duration_sec or float(max(ends))
        videos[name] = (annotated_segments(records[name]) or nothing, duration_sec)
    figure = draw_methods(videos, proposals, args.top_k, classes)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(args.out) as partial:
        figure.savefig(partial, dpi=130, format='png')
    print(f'written: {args.out}')
