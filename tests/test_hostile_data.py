"""Files from strangers: nothing in them is executed, and nothing is read or written elsewhere."""

import json
import pickle
from pathlib import Path

import mmengine.runner.checkpoint as mmengine_checkpoint
import numpy as np
import pytest
from mmengine.runner import CheckpointLoader

import mmsola  # noqa: F401
from mmsola.apis.extraction import MANIFEST, ExtractionError, encoder_of, extract_features
from mmsola.apis.plain_config import ConfigNotPlainError, check_plain, without_files
from mmsola.datasets.annotations import AnnotationError, load_annotations
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.file_names import leads_out
from mmsola.models.checkpoint_file import CheckpointError, the_one_file

PLAIN = {
    'type': 'Recognizer3D',
    'backbone': {'type': 'ResNet3d', 'depth': 18, 'norm_cfg': {'type': 'BN3d'}},
    'cls_head': {'type': 'TSNHead', 'consensus': {'type': 'AvgConsensus', 'dim': 1}},
    'data_preprocessor': {'type': 'ActionDataPreprocessor', '_scope_': 'mmaction'},
}
OUTSIDE = ['../outside', '/outside', 'a/../../b', '..', 'a\\..\\..\\b', 'C:\\outside', '']


def test_a_config_of_registered_modules_is_plain():
    check_plain(PLAIN, 'model')
    check_plain([{'type': 'Resize', 'scale': [-1, 64]}, {'type': 'FormatShape'}], 'pipeline')


@pytest.mark.parametrize(
    ('where', 'value'),
    [
        ('backbone', {'type': 'os.system', 'command': 'true'}),
        ('backbone', {'type': 'this'}),  # a module that is imported, and prints
        ('backbone', {'type': 'mmaction.models.ResNet3d'}),
        ('backbone', {'type': ['os.system']}),
        ('backbone', {'type': 'ResNet3d', 'norm_cfg': {'type': 'builtins.print'}}),
        ('backbone', {'type': 'ResNet3d', 'pretrained': 'https://example.org/a.pth'}),
        ('backbone', {'type': 'ResNet3d', 'init_cfg': [{'type': 'Pretrained'}]}),
        ('data_preprocessor', {'type': 'subprocess.run', 'args': ['true']}),
        ('data_preprocessor', {'type': 'ActionDataPreprocessor', '_scope_': 'os'}),
        ('custom_imports', {'imports': ['this']}),
    ],
)
def test_a_config_that_names_code_or_files_is_refused(where, value):
    with pytest.raises(ConfigNotPlainError, match=rf'model\.{where}'):
        check_plain({**PLAIN, where: value}, 'model')


def test_what_names_files_is_not_written_into_data():
    cfg = {**PLAIN, 'backbone': {**PLAIN['backbone'], 'pretrained': 'x.pth', 'init_cfg': {}}}
    assert without_files(cfg) == PLAIN


@pytest.mark.parametrize('key', ['model', 'frame_pipeline', 'snippet_pipeline'])
def test_a_manifest_runs_nothing(tmp_path, key):
    marker = tmp_path / 'marker'
    call = {'type': 'os.system', 'command': f'touch {marker}'}
    content = {'model': PLAIN, 'frame_pipeline': [], 'snippet_pipeline': [], 'checkpoint': 'x.pth'}
    content[key] = {**PLAIN, 'backbone': call} if key == 'model' else [call]
    (tmp_path / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ConfigNotPlainError, match=key):
        encoder_of(tmp_path)
    assert not marker.exists()


class _Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_a_checkpoint_of_an_address_is_not_unpickled(tmp_path, monkeypatch):
    marker, source = tmp_path / 'marker', tmp_path / 'evil.pth'
    source.write_bytes(pickle.dumps({'state_dict': _Payload(marker)}))
    # a file that was downloaded before is not asked for again: no network
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))
    cached = tmp_path / 'hub' / 'hub' / 'checkpoints' / 'evil.pth'
    cached.parent.mkdir(parents=True)
    cached.write_bytes(source.read_bytes())
    assert mmengine_checkpoint.load_url.keywords == {'weights_only': True}
    with pytest.raises(pickle.UnpicklingError):
        CheckpointLoader.load_checkpoint('https://example.invalid/evil.pth', 'cpu')
    assert not marker.exists()


def test_an_address_is_no_checkpoint_file():
    with pytest.raises(CheckpointError, match='https://example.org/a.pth: .*\n.*\n.*download it'):
        the_one_file('https://example.org/a.pth')


@pytest.mark.parametrize('name', OUTSIDE)
def test_no_name_leads_out_of_its_folder(tmp_path, name):
    assert leads_out(name)
    annotations = tmp_path / 'annotations.json'
    annotations.write_text(json.dumps({name: {'duration_second': 1.0, 'annotations': []}}))
    with pytest.raises(AnnotationError, match='leads out'):
        load_annotations(annotations)

    np.save(tmp_path / 'outside.npy', np.ones((3, 2), np.float32))
    (tmp_path / 'features').mkdir()
    np.save(tmp_path / 'features' / 'inside.npy', np.ones((3, 2), np.float32))
    store = FeatureStore(tmp_path / 'features')
    for use in (store.read, store.shape, lambda name: store.check([name]), store.path):
        with pytest.raises(FeatureError, match='leads out'):
            use(name)


@pytest.mark.parametrize('name', ['abc', 'v_a..b', 'train/abc', '.hidden', 'zwei Wörter 東'])
def test_other_names_stay(name):
    assert not leads_out(name)


class _Encoder:
    def settings(self):
        return {}


def test_an_extraction_writes_nothing_outside(tmp_path):
    out = tmp_path / 'out'
    with pytest.raises(ExtractionError, match=r"'\.\./outside'"):
        extract_features(_Encoder(), {'../outside': tmp_path / 'outside.mp4'}, out)
    assert not list(tmp_path.iterdir())
