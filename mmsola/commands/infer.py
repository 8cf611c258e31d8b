r"""Find actions in videos or in files of snippet features.

mmsola infer holiday.mp4 --config bmn_mine.py \
    --checkpoint work_dirs/bmn_mine/epoch_9.pth

A folder takes all its videos (else its features). Videos are encoded as the features were that the
localizer learned from: as _extraction.json in the config's folder of features says, or in another
one that --encoder names.
"""

import argparse
import sys
from pathlib import Path

from mmsola.apis.inference import LocalizationInferencer
from mmsola.engine.config_file import add_cfg_options, read_config
from mmsola.engine.threads import compute_with_chosen_threads

SHOWN = 3  # segments of each video on the screen


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('inputs', nargs='+', help='videos, feature files, or folders of either')
    parser.add_argument('--config', required=True, help="the localizer's config")
    parser.add_argument('--checkpoint', required=True, help='its checkpoint')
    parser.add_argument('--encoder', help='folder of features made by mmsola extract')
    parser.add_argument('--encoder-checkpoint', help='its weights, if they lie elsewhere by now')
    parser.add_argument(
        '--classes', help="text file with the names of the encoder's own classes, to label segments"
    )
    parser.add_argument('--out', default='work_dirs/infer', help='default: %(default)s')
    parser.add_argument('--video', action='store_true', help='write an mp4 with the timeline, too')
    parser.add_argument('--no-pictures', action='store_true', help='write the json only')
    parser.add_argument('--ann-file', help='annotations: drawn, and durations of feature files')
    parser.add_argument('--fps', type=float, help='of the videos that feature files came from')
    parser.add_argument('--top-k', type=int, default=10, help='segments that are drawn')
    parser.add_argument('--batch-size', type=int, default=1, help='videos localized at once')
    parser.add_argument('--device', help='default: a GPU if there is one')
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    compute_with_chosen_threads(args.cfg_options)
    names = Path(args.classes).read_text('utf-8').splitlines() if args.classes else None
    inferencer = LocalizationInferencer(
        cfg,
        args.checkpoint,
        args.encoder,
        args.encoder_checkpoint,
        names and [name for name in names if name.strip()],
        args.device,
    )
    result = inferencer(
        args.inputs,
        batch_size=args.batch_size,
        fps=args.fps,
        ann_file=args.ann_file,
        vid_out_dir='' if args.no_pictures else args.out,
        video_out=args.video and not args.no_pictures,
        top_k=args.top_k,
        pred_out_file=f'{args.out}/results.json',
    )
    for prediction in result['predictions']:
        print(f'{prediction["video_name"]} ({prediction["duration_sec"]:.1f} s)')
        for found in prediction['segments'][:SHOWN]:
            start_sec, end_sec = found['segment']
            print(f'  {start_sec:7.1f} to {end_sec:7.1f} s  {found["score"]:.3f}  {found["label"]}')
    pictures = '' if args.no_pictures else ' and a picture of each'
    count = len(result['predictions'])
    print(f'{args.out}: results.json of {count} video{"s" * (count != 1)}{pictures}.')
    for name, why in result['failed'].items():
        print(f'- {name} failed: {why}', file=sys.stderr)


#: Errors of other libraries whose message is enough.
EXPECTED_ERRORS = (
    ValueError,
    FileNotFoundError,
)
