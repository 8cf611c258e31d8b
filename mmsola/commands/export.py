r"""Write SoLa features of a whole data set, as localization toolboxes read them.

A killed export goes on where it stopped when the same command is run again.

mmsola export mmsola::sola/sola_pretrain_demo.py work_dirs/sola_pretrain_demo/epoch_300.pth \
    data/demo/sola_features --format npy
"""

import argparse
import json
from pathlib import Path

import torch

from mmsola.apis.export import (
    FORMATS,
    build_sola,
    export_features,
    feature_stores,
)
from mmsola.apis.gtad_files import check_gtad, write_gtad
from mmsola.apis.manifest import sha256_of
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.features.feature_writer import DTYPES
from mmsola.datasets.features.stream_store import open_features
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.device import usable_device
from mmsola.engine.config_file import add_cfg_options, read_config
from mmsola.engine.seconds import settle_seconds
from mmsola.engine.threads import compute_with_chosen_threads
from mmsola.engine.wrapped_datasets import dataset_configs
from mmsola.models.checkpoint_file import check_is_there
from mmsola.models.necks.nested_necks import channels_out


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of the pretraining')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument('out', help='folder for npy and csv, file for hdf5')
    parser.add_argument(
        '--format',
        choices=[*FORMATS, 'gtad'],
        default='npy',
        help="gtad: the four HDF5 files of G-TAD's THUMOS14 loader, made of npy files in OUT/npy",
    )
    parser.add_argument(
        '--keep-file-names',
        action='store_true',
        help="name the features as the source's files; default by the videos",
    )
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
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    device = usable_device(args.device)
    cfg = read_config(args.config, args.cfg_options)
    settle_seconds(cfg)
    compute_with_chosen_threads(args.cfg_options)
    checkpoint = check_is_there(args.checkpoint)
    neck = build_sola(cfg, checkpoint, args.prefix).to(device)
    num_channels = channels_out(neck)
    assert num_channels is not None  # a SoLa is in it
    training = dataset_configs(cfg.train_dataloader.dataset)[0]
    if args.features is None:
        stores = feature_stores(cfg)
    else:
        # laid out as the config says, but lying elsewhere
        settings = training.get('feature') or {}
        stores = [open_features(args.features, **settings)]
    about = {
        'checkpoint': str(checkpoint),
        'checkpoint_sha256': sha256_of(checkpoint),
        'config': str(args.config),
        'neck': json.loads(json.dumps(cfg.model.neck.to_dict())),
    }
    is_gtad = args.format == 'gtad'
    timeline = SnippetTimeline(**(training.get('timeline') or {}))
    if is_gtad:
        names = [name for store in stores for name in store.names()]
        check_gtad(names, num_channels, timeline)
    out = Path(args.out, 'npy') if is_gtad else Path(args.out)
    counts = export_features(
        neck,
        stores,
        out,
        'npy' if is_gtad else args.format,
        args.dtype,
        about,
        args.overwrite,
        device,
        args.keep_file_names,
    )
    print(f'{out}: {counts["written"]} videos written, {counts["kept"]} were there already.')
    if is_gtad:
        for path in write_gtad(FeatureStore(out, num_channels=num_channels), args.out, timeline):
            print(f'{path} written.')
