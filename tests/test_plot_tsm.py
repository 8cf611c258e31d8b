"""plot-tsm: SoLa is not applied a second time to features that were exported."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from mmsola.apis.export import ExportError, export_features
from mmsola.apis.gtad_files import write_gtad
from mmsola.commands import plot_tsm
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.models.necks import SoLa

VIDEOS = ('val_a', 'train/val_b')


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / 'raw'
    for i, name in enumerate(VIDEOS):
        path = folder / f'{name}.npy'
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.random.default_rng(i).random((12, 8), np.float32))
    return folder


@pytest.fixture
def checkpoint(tmp_path):
    neck = SoLa(8, 4)
    torch.nn.init.ones_(neck.alpha)
    path = tmp_path / 'sola.pth'
    torch.save({'state_dict': neck.state_dict()}, path)
    return path


@pytest.fixture
def plot(tmp_path, monkeypatch):
    """Run the command; the titles of its panels."""

    def run(*arguments) -> list[str]:
        drawn = []
        draw = plot_tsm.draw_tsm
        monkeypatch.setattr(
            plot_tsm, 'draw_tsm', lambda panels, *a: drawn.extend(panels) or draw(panels, *a)
        )
        out = tmp_path / 'tsm.png'
        monkeypatch.setattr(sys, 'argv', ['plot-tsm', *map(str, arguments), '--out', str(out)])
        plot_tsm.main()
        assert out.read_bytes()[1:4] == b'PNG'
        return drawn

    return run


def export(raw: Path, checkpoint: Path, kind: str) -> Path:
    """A file of the export, with its features named as an argument of the command."""
    neck = SoLa.from_checkpoint(str(checkpoint))
    out = raw.with_name('out')
    if kind == 'hdf5':
        export_features(neck, [FeatureStore(raw)], out / 'all.h5', 'hdf5')
        return out / 'all.h5'
    if kind == 'gtad':
        export_features(neck, [FeatureStore(raw)], out / 'npy')
        return write_gtad(FeatureStore(out / 'npy'), out, SnippetTimeline(stride_frames=1))[0]
    export_features(neck, [FeatureStore(raw)], out, kind)
    return out / f'{VIDEOS[1]}.{kind}'


@pytest.mark.parametrize('kind', ['npy', 'csv', 'hdf5', 'gtad'])
def test_sola_is_not_applied_again_to_exported_features(raw, checkpoint, plot, capsys, kind):
    file = export(raw, checkpoint, kind)
    with pytest.raises(ExportError, match='a second time') as refused:
        plot(file, checkpoint)
    manifest = next(raw.with_name('out').rglob('*sola_export.json'))
    for part in (str(file), str(manifest), str(raw), 'leave the checkpoint out'):
        assert part in str(refused.value)
    assert not raw.with_name('tsm.png').exists()
    assert plot(file) == ['after SoLa']
    assert f'{file}: drawn as features after SoLa, since {manifest}' in capsys.readouterr().out


def test_features_before_sola_are_drawn_before_and_after_also_beside_an_export(
    raw, checkpoint, plot, tmp_path
):
    export(raw, checkpoint, 'hdf5')
    assert plot(raw / f'{VIDEOS[0]}.npy', checkpoint) == ['before SoLa', 'after SoLa']
    # a folder of raw features within that of an export, which does not list them
    (tmp_path / 'sola_export.json').write_text('{"videos": ["a"]}')
    assert plot(raw / f'{VIDEOS[1]}.npy') == ['before SoLa']
    with h5py.File(tmp_path / 'out' / 'raw.h5', 'w') as file:
        file['a'] = np.ones((3, 8))
    assert plot(tmp_path / 'out' / 'raw.h5') == ['before SoLa']


def test_a_damaged_manifest_is_an_error(raw, plot):
    (raw / 'sola_export.json').write_text('{')
    with pytest.raises(ExportError, match=r'sola_export\.json'):
        plot(raw / f'{VIDEOS[0]}.npy')
