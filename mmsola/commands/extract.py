r"""Snippet features of videos, by any recognizer of MMAction2 as frozen encoder.

VIDEOS is a folder, a text file with a path in each line, or an annotation json (with --root). A
killed extraction goes on where it stopped when the same command is run again.

mmsola extract CONFIG CHECKPOINT data/mine/videos data/mine/features \
    --snippet-frames 16 --frame-interval 1 --stride 8

Several processes or GPUs, with the same files as one:
torchrun --nproc-per-node 4 -m mmsola extract ... --launcher pytorch
"""

import argparse
import os
import sys
import time
from datetime import timedelta

import torch
from mmaction.utils import register_all_modules

from mmsola.apis.extraction import MANIFEST, extract_features
from mmsola.apis.manifest import sha256_of
from mmsola.datasets.features.feature_writer import DTYPES
from mmsola.datasets.videos.video_list import find_videos
from mmsola.device import usable_device
from mmsola.engine.config_file import add_cfg_options, read_config
from mmsola.engine.cpu_process_group import init_gloo
from mmsola.engine.threads import compute_with_chosen_threads
from mmsola.models.checkpoint_file import the_one_file
from mmsola.models.encoders import SnippetEncoder

NAMED = 5  # failed videos that are named on the screen


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of a Recognizer2D or Recognizer3D')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('videos', help='folder, list of paths, or annotation json')
    parser.add_argument('out', help='folder for the features')
    frames = parser.add_argument_group('snippets, in frames')
    frames.add_argument('--snippet-frames', type=int, help="of one snippet; default the config's")
    frames.add_argument(
        '--frame-interval', type=int, help="from one of these to the next; default the config's"
    )
    frames.add_argument(
        '--stride', type=int, help='from one snippet to the next; default without overlap'
    )
    frames.add_argument(
        '--fps', type=float, help='bring all videos to this rate; default their own'
    )
    frames.add_argument('--short-side', type=int, help="resize to this; default the config's")
    frames.add_argument('--crop-size', type=int, help="crop to this; default the config's")
    which = parser.add_argument_group('which videos')
    which.add_argument('--root', help='folder of the videos of a list or an annotation json')
    which.add_argument('--subset', nargs='+', help='subsets of the annotation json')
    which.add_argument('--file-name', default='{name}', help="from name to file, e.g. 'v_{name}'")
    parser.add_argument('--batch-size', type=int, default=32, help='snippets at once')
    parser.add_argument('--num-workers', type=int, default=0, help='processes that decode ahead')
    parser.add_argument('--dtype', choices=DTYPES, default='float32')
    parser.add_argument('--amp', action='store_true', help='compute in half precision')
    parser.add_argument('--overwrite', action='store_true', help='begin anew')
    parser.add_argument('--device', help='default: the GPU of this process if there is one, or cpu')
    add_cfg_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    register_all_modules()
    if args.launcher != 'none':
        # processes meet at the beginning and at the end only, which may be days apart
        init_gloo(args.launcher, timedelta(days=30))
    cfg = read_config(args.config, args.cfg_options)
    compute_with_chosen_threads(args.cfg_options)
    device = usable_device(args.device or own_device())
    encoder = SnippetEncoder(
        cfg,
        args.checkpoint,
        args.snippet_frames,
        args.frame_interval,
        args.stride,
        args.short_side,
        args.crop_size,
        device,
        args.amp,
    )
    videos = find_videos(args.videos, args.root, args.subset, args.file_name)
    about = {
        'config': str(args.config),
        'checkpoint': str(the_one_file(args.checkpoint).resolve()),
        'checkpoint_sha256': sha256_of(the_one_file(args.checkpoint)),
        'model': cfg.model.to_dict(),
    }
    began = time.perf_counter()
    total = extract_features(
        encoder,
        videos,
        args.out,
        args.batch_size,
        args.fps,
        args.dtype,
        args.num_workers,
        about,
        args.overwrite,
    )
    if int(os.environ.get('RANK', 0)) == 0:
        report(args, encoder, total, time.perf_counter() - began)
    if total['failed'] and not total['written'] + total['kept']:
        raise SystemExit(1)


def own_device() -> str:
    if not torch.cuda.is_available():
        return 'cpu'
    return f'cuda:{int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count()}'


def report(args: argparse.Namespace, encoder: SnippetEncoder, total: dict, sec: float) -> None:
    """What was done, what was not, and what to write into a config."""
    print(
        f'{args.out}: {total["written"]} videos written ({total["snippets"]} snippets, '
        f'{total["snippets"] / sec:.0f} a second), {total["kept"]} were there already, '
        f'{len(total["failed"])} failed.'
    )
    for name, why in list(total['failed'].items())[:NAMED]:
        print(f'- {name}: {why}', file=sys.stderr)
    if len(total['failed']) > NAMED:
        print(f'... all of them: {args.out}/{MANIFEST}', file=sys.stderr)
    sampling = encoder.sampling
    fps = '' if args.fps is None else f', fps={args.fps:g}'
    print(
        f"For a config: data_prefix=dict(feature='{args.out}'), timeline=dict("
        f'stride_frames={sampling.stride}, window_frames={sampling.window_frames}{fps})'
    )


#: Errors of other libraries whose message is enough.
EXPECTED_ERRORS = (
    ValueError,
    FileNotFoundError,
)
