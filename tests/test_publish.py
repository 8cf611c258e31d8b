"""Published checkpoints: weights alone, named by their bytes."""

import hashlib
import sys
from importlib.metadata import version

import pytest
import torch

from mmsola.apis.publish import publish_model
from mmsola.commands import publish
from mmsola.models import SoLa
from mmsola.models.checkpoint_file import CheckpointError, class_names_in, read_checkpoint
from mmsola.version import provenance


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    weights = SoLa(6, hidden_channels=3).state_dict()
    state = {f'neck.{key}': value for key, value in weights.items()} | {'head.w': torch.ones(2)}
    path = tmp_path / 'epoch_3.pth'
    torch.save({'state_dict': state, 'optimizer': {'lr': 1}, 'meta': {'epoch': 3}}, path)
    return path


def test_the_name_is_the_hash_of_the_bytes(checkpoint, tmp_path):
    file = publish_model(checkpoint, tmp_path / 'out' / 'sola.pth')
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.name == f'sola-{digest[:8]}.pth'
    assert list(file.parent.iterdir()) == [file]


def test_a_pattern_of_one_checkpoint_is_that_checkpoint(checkpoint, tmp_path):
    pattern = str(tmp_path / 'epoch_*.pth')
    named, matched = (publish_model(path, tmp_path / 'sola') for path in (checkpoint, pattern))
    assert named == matched
    (tmp_path / 'epoch_4.pth').write_bytes(checkpoint.read_bytes())
    with pytest.raises(CheckpointError, match='expected one matching checkpoint, found'):
        publish_model(pattern, tmp_path / 'sola')


def test_all_weights_and_nothing_else_are_published(checkpoint, tmp_path):
    content = torch.load(publish_model(checkpoint, tmp_path / 'all'), weights_only=True)
    expected = torch.load(checkpoint, weights_only=True)['state_dict']
    assert content.keys() == {'state_dict', 'meta'}
    assert content['state_dict'].keys() == expected.keys()
    assert all(torch.equal(content['state_dict'][key], expected[key]) for key in expected)


def test_a_published_sola_is_a_neck_again(checkpoint, tmp_path):
    file = publish_model(checkpoint, tmp_path / 'sola', sola_only=True, meta={'cfg': 'text'})
    content = torch.load(file, weights_only=True)
    assert 'head.w' not in content['state_dict'] and content['meta'] == {'cfg': 'text'}
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    for key, value in SoLa.from_checkpoint(str(file)).state_dict().items():
        assert torch.equal(value, weights[f'neck.{key}'])


@pytest.fixture
def trained(checkpoint):
    """With what ProvenanceHook, ClassNamesHook and MMEngine write."""
    content = torch.load(checkpoint, weights_only=True)
    content['meta'] |= {'mmsola': '0.0.1', 'commit': 'abcdef1', 'threads': 99}
    content['meta']['dataset_meta'] = {'classes': ['run', 'jump'], 'ann_file': 'a.json'}
    torch.save(content, checkpoint)
    return checkpoint


def test_what_made_the_weights_stays_beside_the_publisher(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['publish', str(trained), str(tmp_path / 'out')])
    publish.main()
    (file,) = tmp_path.glob('out-*.pth')
    meta = read_checkpoint(file)['meta']
    assert {key: meta[key] for key in provenance()} == {
        'mmsola': '0.0.1',
        'commit': 'abcdef1',
        'threads': 99,
    }
    assert meta['published_with'] == {**provenance(), 'torch': version('torch')}


def test_the_classes_of_a_localizer_are_published_and_no_other_data(trained, tmp_path):
    file = publish_model(trained, tmp_path / 'all')
    assert class_names_in(file, read_checkpoint(file)) == ('run', 'jump')
    assert read_checkpoint(file)['meta']['dataset_meta'].keys() == {'classes'}
    neck = publish_model(trained, tmp_path / 'sola', sola_only=True)
    assert 'dataset_meta' not in read_checkpoint(neck)['meta'], 'a neck has no classes'


def test_only_plain_data_of_a_checkpoint_are_copied(trained, tmp_path):
    content = torch.load(trained, weights_only=True)
    content['meta'] |= {'mmsola': torch.ones(2), 'commit': ['a'], 'threads': {}}
    torch.save(content, trained)
    meta = read_checkpoint(publish_model(trained, tmp_path / 'all'))['meta']
    assert meta.keys() == {'dataset_meta'}
    content['meta']['dataset_meta'] = {'classes': [1, 2]}
    torch.save(content, trained)
    with pytest.raises(CheckpointError, match='the classes of its training data'):
        publish_model(trained, tmp_path / 'other')


def test_what_cannot_be_published_is_told(tmp_path):
    with pytest.raises(CheckpointError, match='no such checkpoint'):
        publish_model(tmp_path / 'none.pth', tmp_path / 'out')
    (tmp_path / 'text.pth').write_text('no checkpoint')
    with pytest.raises(CheckpointError, match='text.pth: not a checkpoint'):
        publish_model(tmp_path / 'text.pth', tmp_path / 'out')
    torch.save({'state_dict': {'head.w': torch.ones(1)}}, tmp_path / 'head.pth')
    with pytest.raises(CheckpointError, match='expected one SoLa module'):
        publish_model(tmp_path / 'head.pth', tmp_path / 'out', sola_only=True)
    assert not list(tmp_path.glob('out*'))
