"""Write SoLa features of a whole data set, as localization toolboxes read them.

A killed export goes on where it stopped when the same command is run again.
"""

import argparse
import json

import torch
from mmengine.config import Config, DictAction

import mmsola  # noqa: F401
from mmsola.apis.export import (
    DTYPES,
    FORMATS,
    build_sola,
    export_features,
    feature_stores,
)
from mmsola.apis.manifest import sha256_of
from mmsola.datasets.features.stream_store import open_features
from mmsola.engine.command_line import run
from mmsola.models.checkpoint_file import check_is_there


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config of the pretraining')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument('out', help='folder for npy and csv, file for hdf5')
    parser.add_argument('--format', choices=FORMATS, default='npy')
    parser.add_argument('--dtype', choices=DTYPES, default='float32')
    parser.add_argument(
        '--features', help="folder or HDF5 file to transform; default those of the config's data"
    )
    parser.add_argument('--prefix', help='where the module begins in the checkpoint')
    parser.add_argument('--overwrite', action='store_true', help='begin anew')
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='default: %(default)s',
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='settings to override')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    checkpoint = check_is_there(args.checkpoint)
    neck = build_sola(cfg, checkpoint, args.prefix).to(args.device)
    if args.features is None:
        stores = feature_stores(cfg)
    else:
        # laid out as the config says, but lying elsewhere
        settings = cfg.train_dataloader.dataset.get('feature') or {}
        stores = [open_features(args.features, **settings)]
    about = {
        'checkpoint': str(checkpoint),
        'checkpoint_sha256': sha256_of(checkpoint),
        'config': str(args.config),
        'neck': json.loads(json.dumps(cfg.model.neck.to_dict())),
    }
    counts = export_features(
        neck, stores, args.out, args.format, args.dtype, about, args.overwrite, args.device
    )
    print(f'{args.out}: {counts["written"]} videos written, {counts["kept"]} were there already.')


if __name__ == '__main__':
    run(main)
