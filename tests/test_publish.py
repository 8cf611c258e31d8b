"""Published checkpoints: weights alone, named by their bytes."""

import hashlib

import pytest
import torch

from mmsola.apis.publish import publish_model
from mmsola.models import SoLa
from mmsola.models.checkpoint_file import CheckpointError


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
