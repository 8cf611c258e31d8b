"""BSN's middle step: what TEM dumped becomes proposals, and features of them for PEM.

A killed call goes on where it stopped when it is repeated. After a change of settings, add
--overwrite.

mmsola bsn-proposals mmsola::bsn/bsn_pgm_anet.py --mode train
"""

import argparse
import os

from mmsola.apis.bsn_proposals import ProposalError, ProposalGeneration, load_videos
from mmsola.engine.config_file import add_cfg_options, read_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, such as mmsola::bsn/bsn_pgm_anet.py')
    parser.add_argument(
        '--mode',
        choices=['train', 'test'],
        default='test',
        help='the videos of ann_file_train, or those of ann_file_val (the default)',
    )
    parser.add_argument('--overwrite', action='store_true', help='make existing files again')
    parser.add_argument(
        '--num-processes',
        type=int,
        help="default: the config's pgm_features_thread, but at most one a CPU",
    )
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    wanted = cfg[f'pgm_features_{args.mode}_cfg'].get('pgm_features_thread', 1)
    generation = ProposalGeneration.from_config(cfg, args.mode, args.overwrite)
    try:
        videos = load_videos(cfg.ann_file_train if args.mode == 'train' else cfg.ann_file_val)
        written = generation.run(videos, args.num_processes or min(wanted, os.cpu_count() or 1))
    except ProposalError as error:
        raise SystemExit(str(error)) from None
    print(
        f'{len(videos)} videos: {written} files are written, {2 * len(videos) - written} were '
        f'there; proposals in {generation.proposals}, features in {generation.features}'
    )
