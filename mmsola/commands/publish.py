r"""Write a checkpoint for publication: only the weights, with their hash in the file name.

mmsola publish work_dirs/sola_pretrain_hacs_i3d/best_probe_auc_epoch_140.pth \
    published/sola_hacs-i3d --sola-only --config configs/sola/sola_pretrain_hacs_i3d.py
"""

import argparse
from importlib.metadata import version

from mmsola.apis.publish import publish_model
from mmsola.engine.config_file import read_config
from mmsola.version import provenance


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', help='checkpoint of mmsola train')
    parser.add_argument('out', help='path without the hash and .pth')
    parser.add_argument('--sola-only', action='store_true', help='only the SoLa module')
    parser.add_argument('--config', help='config to write beside the weights')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    meta: dict = {'published_with': {**provenance(), 'torch': version('torch')}}
    if args.config is not None:
        meta['cfg'] = read_config(args.config).pretty_text
    print(f'written: {publish_model(args.checkpoint, args.out, args.sola_only, meta)}')
