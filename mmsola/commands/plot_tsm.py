r"""Draw the temporal self-similarity of one video's features, before and after SoLa.

Features that ``mmsola export`` wrote are after SoLa already, and are drawn alone.

mmsola plot-tsm data/demo/features/demo_0100.npy work_dirs/sola_pretrain_demo/epoch_300.pth \
    --ann-file data/demo/annotations.json --stride-frames 8 --window-frames 16
"""

import argparse
from pathlib import Path

import torch

from mmsola.apis.export import MANIFEST, ExportError
from mmsola.apis.gtad_files import STREAMS, SUBSETS
from mmsola.apis.manifest import read_manifest
from mmsola.datasets.annotations import load_annotations
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.files.name_match import NameLookup
from mmsola.models.layers.channel_statistics import SCALES
from mmsola.models.necks import SoLa
from mmsola.structures.video_record import VideoRecord
from mmsola.visualization.tsm import draw_tsm, figure_to_rgb, save_rgb


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('features', type=Path, help='feature file of one video, or an HDF5 file')
    parser.add_argument('checkpoint', nargs='?', help='SoLa checkpoint; without it, before only')
    parser.add_argument('--out', type=Path, help='picture; default <video>_tsm.png')
    parser.add_argument('--video', help='entry of an HDF5 file; default its first')
    parser.add_argument('--layout', choices=['TC', 'CT'], default='TC', help='of the file')
    parser.add_argument('--entry', help='name of the array in an npz, pt or HDF5 group')
    parser.add_argument('--prefix', help='of the weights of SoLa in the checkpoint')
    parser.add_argument(
        '--dilations', type=int, nargs=2, help='of the module, where its checkpoint does not say'
    )
    parser.add_argument(
        '--scale',
        choices=SCALES,
        default='unit_variance',
        help='of the output of a module that standardises its input; default: %(default)s',
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
    manifest = export_manifest(args.features)
    if manifest is not None and args.checkpoint:
        sources = (read_manifest(manifest, ExportError) or {}).get('features')
        such_as = (
            f', such as those of {", ".join(map(str, sources))}'
            if isinstance(sources, list)
            else ''
        )
        raise ExportError(
            f'{args.features}: belongs to an export of SoLa features ({manifest}), and '
            f'{args.checkpoint} would be applied a second time\n  expected: features before '
            f'SoLa{such_as}\n  fix: give a file of these, or leave '
            'the checkpoint out to draw the exported features alone'
        )
    if args.features.suffix in ('.h5', '.hdf5'):
        store = FeatureStore(args.features, layout=args.layout, entry=args.entry)
        video = args.video or store.names()[0]
    else:
        store = FeatureStore(
            args.features.parent, args.features.suffix[1:], args.layout, entry=args.entry
        )
        video = args.features.stem
    feature = torch.from_numpy(store.read(video))
    panels = {'before SoLa' if manifest is None else 'after SoLa': feature}
    if args.checkpoint:
        neck = SoLa.from_checkpoint(args.checkpoint, args.prefix, args.dilations, scale=args.scale)
        with torch.inference_mode():
            panels['after SoLa'] = neck(feature.T[None])[0].T

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
    if manifest is not None:
        print(f'{args.features}: drawn as features after SoLa, since {manifest} belongs to them.')
    print(f'{out} written.')


def export_manifest(features: Path) -> Path | None:
    """The manifest of the export of SoLa features that a file belongs to; None if to none.

    Raises:
        ExportError: A manifest near the file is damaged.
    """
    file = features.resolve()
    of_file = file.with_name(f'{file.name}.{MANIFEST}')  # an HDF5 file of all videos
    if of_file.exists():
        return of_file
    if file.name in {f'{stream}_{subset}.h5' for stream in STREAMS for subset in SUBSETS}:
        of_gtad = file.parent / 'npy' / MANIFEST
        if of_gtad.exists():
            return of_gtad
    for folder in file.parents:  # names of videos may hold folders
        content = read_manifest(folder / MANIFEST, ExportError)
        if content is None:
            continue
        videos = content.get('videos')
        name = file.relative_to(folder).with_suffix('').as_posix()
        if folder == file.parent or (isinstance(videos, list) and name in videos):
            return folder / MANIFEST
    return None


def find_record(ann_file: str, video: str) -> VideoRecord:
    """The annotation of one video; an error that names another one if it has none."""
    records = {r.name: r for r in load_annotations(ann_file, on_bad_segment='drop').records}
    name = NameLookup(records).find(video)
    if name is None:
        raise SystemExit(
            f'{ann_file}: no video {video!r} among {len(records)} such as {next(iter(records))!r}; '
            'name it with --ann-video.'
        )
    return records[name]
