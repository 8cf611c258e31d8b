"""Reading features, and writing SoLa's."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from measure import DEVICE, Row, seconds, side_by_side

from mmsola.apis.export import export_features
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.models import SoLa


def csv(repeats: int, tiny: bool) -> list[Row]:
    """1,000 csv of ActivityNet's shape: an epoch of whole reads, against the parser and npy."""
    count = 5 if tiny else 1000
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, _cache(folder):
        for kind in ('csv', 'npy'):
            Path(folder, kind).mkdir()
        for i in range(count):
            array = rng.random((100, 400), np.float32)
            np.savetxt(Path(folder, 'csv', f'{i}.csv'), array, '%.6f', delimiter=',')
            np.save(Path(folder, 'npy', f'{i}.npy'), array)
        csv_store, npy_store = (FeatureStore(Path(folder, kind)) for kind in ('csv', 'npy'))
        names = csv_store.names()

        def parse() -> float:
            files = [csv_store.path(name) for name in names[: max(1, count // 10)]]
            once = seconds(lambda: [np.loadtxt(f, np.float32, delimiter=',') for f in files])
            return 1000 * once / len(files)

        def read(store: FeatureStore) -> float:
            return 1000 * seconds(lambda: [store.read(name) for name in names]) / count

        shape = f'{count:,} csv of 100 x 400'
        first = Row(f'{shape}: first epoch', 'ms a file', before_is='loadtxt', after_is='store')
        first.before.append(parse())
        first.after.append(read(csv_store))
        later = Row(
            f'{shape}: later epochs',
            'ms a file',
            before_is='loadtxt',
            after_is='store',
            must='as npy',
        )
        side_by_side(later, parse, lambda: read(csv_store), repeats)
        as_npy = Row(
            f'{shape}: later epochs against npy',
            'ms a file',
            before_is='npy',
            after_is='csv read before',
            must='1x',
        )
        side_by_side(as_npy, lambda: read(npy_store), lambda: read(csv_store), repeats)
        return [first, later, as_npy]


def export(repeats: int, tiny: bool) -> list[Row]:
    """`export_features` from npy to npy, against the module alone on features in memory."""
    count, length, channels = (3, 30, 16) if tiny else (60, 200, 2048)
    neck = SoLa(channels).to(DEVICE).eval()
    torch.nn.init.constant_(neck.alpha, 0.3)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, _cache(folder):
        Path(folder, 'in').mkdir()
        for i in range(count):
            array = rng.standard_normal((length, channels), np.float32)
            np.save(Path(folder, 'in', f'{i}.npy'), array)
        store = FeatureStore(Path(folder, 'in'))
        store.check()
        inputs = [torch.from_numpy(store.read(name)).T[None].to(DEVICE) for name in store.names()]
        numbers = iter(range(10**6))

        @torch.inference_mode()
        def bare() -> None:
            for each in inputs:
                neck(each)

        def exported() -> None:
            out = Path(folder, f'out{next(numbers)}')
            export_features(neck, [store], out, device=DEVICE)

        row = Row(
            f'export_features, {count} videos of {length} x {channels}',
            's',
            before_is='forward alone',
            after_is='export',
            must='0.8x',
        )
        return [
            side_by_side(row, lambda: seconds(bare), lambda: seconds(exported), max(repeats, 5))
        ]


@contextlib.contextmanager
def _cache(folder: str) -> Iterator[None]:
    """A cache of our own, so that nothing is there from before."""
    kept = os.environ.get('MMSOLA_CACHE')
    os.environ['MMSOLA_CACHE'] = str(Path(folder, 'cache'))
    try:
        yield
    finally:
        if kept is None:
            del os.environ['MMSOLA_CACHE']
        else:
            os.environ['MMSOLA_CACHE'] = kept
