"""Draw the temporal self-similarity of one video's features, before and after SoLa."""

import argparse
from pathlib import Path

import torch

from mmsola.datasets.annotations import load_annotations
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.files.name_match import NameLookup
from mmsola.models.necks import SoLa
from mmsola.structures.video_record import VideoRecord
from mmsola.visualization.tsm import draw_tsm, figure_to_rgb, save_rgb


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('features', type=Path, help='feature file of one video, or an HDF5 file')
    parser.add_argument('checkpoint', nargs='?', help='SoLa checkpoint; without it, before only')
    parser.add_argument('--out', type=Path, help='picture; default <video>_tsm.png')
    parser.add_argument('--video', help='entry of an HDF5 file; default its first')
    parser.add_argument('--layout', choices=['TC', 'CT'], default='TC', help='of the file')
    parser.add_argument('--entry', help='name of the array in an npz, pt or HDF5 group')
    parser.add_argument('--prefix', help='where the module begins in the checkpoint')
    parser.add_argument(
        '--dilations', type=int, nargs=2, default=(1, 1), help='of the module, when not 1 1'
    )
    parser.add_argument('--ann-file', help='annotation file, to draw the segments')
    parser.add_argument('--ann-video', help="the video's name in it; default the file's name")
    parser.add_argument(
        '--stride-frames', type=float, help='default: snippets share the duration evenly'
    )
    parser.add_argument('--window-frames', type=float, help='default: equals the stride')
    parser.add_argument('--offset-frames', type=float, default=0.0)
    parser.add_argument('--fps', type=float, help="default: the annotation's")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.features.suffix in ('.h5', '.hdf5'):
        store = FeatureStore(args.features, layout=args.layout, entry=args.entry)
        video = args.video or store.names()[0]
    else:
        store = FeatureStore(
            args.features.parent, args.features.suffix[1:], args.layout, entry=args.entry
        )
        video = args.features.stem
    feature = torch.from_numpy(store.read(video))
    panels = {'untouched': feature}
    if args.checkpoint:
        neck = SoLa.from_checkpoint(args.checkpoint, args.prefix, args.dilations)
        with torch.inference_mode():
            panels['SoLa'] = neck(feature.T[None])[0].T

    centres_sec, segments = None, []
    if args.ann_file:
        record = find_record(args.ann_file, args.ann_video or video)
        timeline = SnippetTimeline(
            args.stride_frames, args.window_frames, args.fps, args.offset_frames
        )
        centres_sec = timeline.centres_sec(len(feature), record)
        segments = [
            {'segment': (segment.start_sec, segment.end_sec), 'label': segment.label}
            for segment in record.segments or ()
        ]
    out = args.out or Path(f'{Path(video).name}_tsm.png')
    save_rgb(figure_to_rgb(draw_tsm(panels, video, centres_sec, segments)), out)
    print(f'{out} written.')


def find_record(ann_file: str, video: str) -> VideoRecord:
    """The annotation of one video, or an error that names what is there."""
    records = {r.name: r for r in load_annotations(ann_file, on_bad_segment='drop').records}
    name = NameLookup(records).find(video)
    if name is None:
        raise SystemExit(
            f'{ann_file}: no video {video!r} among {len(records)} such as {next(iter(records))!r}; '
            'name it with --ann-video.'
        )
    return records[name]
