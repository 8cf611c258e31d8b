r"""Bring a published checkpoint of ActionFormer, TemporalMaxer or OpenTAD's TriDet under our names.

mmsola convert mmsola::actionformer/actionformer_thumos14.py \
    epoch_034.pth.tar work_dirs/actionformer_thumos14/published.pth --classes thumos14_classes.txt

Then: mmsola test mmsola::actionformer/actionformer_thumos14.py \
    work_dirs/actionformer_thumos14/published.pth
"""

import argparse

from mmaction.utils import register_all_modules

from mmsola.apis.published_localizer import convert_published
from mmsola.datasets.class_names import read_class_names
from mmsola.engine.config_file import add_cfg_options, read_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config whose model is that of the checkpoint')
    parser.add_argument('checkpoint', help="of the authors' code")
    parser.add_argument('out', help='where to write it')
    parser.add_argument(
        '--weights',
        choices=['average', 'last'],
        default='average',
        help='the moving average that the authors test (default), or the last step',
    )
    parser.add_argument('--classes', help='text file with the classes in the order of its training')
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    register_all_modules()
    cfg = read_config(args.config, args.cfg_options)
    names = None if args.classes is None else read_class_names(args.classes)
    count = convert_published(cfg, args.checkpoint, args.out, args.weights, names)
    print(f'written: {args.out}, {count:,} parameters')
