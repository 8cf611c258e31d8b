"""The numbers of the authors' published networks and loss, on small random tensors.

``data/sola_reference.npz`` was written by their code: settings, initial weights, inputs, and what
came out of six steps of AdamW.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS

import mmsola  # noqa: F401

EXACT = dict(rtol=1e-6, atol=1e-6)
AFTER_STEPS = dict(rtol=1e-5, atol=1e-5)


@pytest.fixture(scope='module')
def reference():
    with np.load(Path(__file__).parent / 'data' / 'sola_reference.npz') as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


@pytest.fixture
def setting(reference):
    return {k.removeprefix('cfg.'): v.item() for k, v in reference.items() if k.startswith('cfg.')}


@pytest.fixture
def model(reference, setting):
    """The pretrainer of the published recipe with the authors' initial weights."""
    model = MODELS.build(
        dict(
            type='SoLaPretrainer',
            neck=dict(
                type='SoLa',
                in_channels=setting['out_feature_dim'],
                hidden_channels=setting['network_hidden_unit'],
                kernel_sizes=(setting['kernel_size1'], setting['kernel_size2']),
                dilations=(setting['dilation1'], setting['dilation2']),
            ),
            head=dict(
                type='SimilarityMatchingHead',
                in_channels=setting['out_feature_dim'],
                predictor_channels=setting['dissim_proj_hidden_unit'],
                num_projection_layers=setting['mlp_layer_num'],
                loss=dict(type='SimilarityMatchingLoss', coef=setting['oracle_coef']),
            ),
            start=setting['step_start'],
            step=setting['step'],
            num_gathered=setting['tsm_size'],
        )
    )
    model.load_state_dict(ours(reference))
    return model


def ours(reference, kind=''):
    """Weights, or what is stored for each of them, under this package's names."""
    prefixes = {'sola.': 'neck.', 'predictor.network.': 'head.predictor.'}
    return {
        here + key.removeprefix(kind + there): value
        for there, here in prefixes.items()
        for key, value in reference.items()
        if key.startswith(kind + there)
    }


def assert_all_close(found, expected, **tolerance):
    assert expected and set(found) >= set(expected)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, msg=lambda m, key=key: f'{key}: {m}',
                                   **tolerance)  # fmt: skip


def test_whole_sequences_come_out_as_published(model, reference):
    windows = reference['inputs'][0].transpose(1, 2)
    output = model(windows, mode='tensor')
    torch.testing.assert_close(output.transpose(1, 2), reference['sola_output'], **EXACT)
    assert not torch.allclose(output, windows, atol=1e-2), 'the reference is not the identity'


def test_gathered_positions_alone_come_out_as_published(model, reference, setting):
    windows, index = reference['inputs'][0].transpose(1, 2), reference['gather_index']
    change = model.neck.change_at(windows, setting['step_start'], setting['step'], len(index))
    gathered = windows[..., index] + change
    expected = reference['sola_output'][:, index].transpose(1, 2)
    torch.testing.assert_close(gathered, expected, **EXACT)


def test_target_is_the_published_one(model, reference, setting):
    target = model.head.loss_module.target(setting['tsm_size'])
    torch.testing.assert_close(target, reference['target_tsm'], **EXACT)


def test_cosine_tsm_is_the_published_one(model, reference):
    gathered = reference['sola_output'][:, reference['gather_index']].transpose(1, 2)
    torch.testing.assert_close(model.head(gathered), reference['cosine_tsm'], **EXACT)


def test_first_gradients_are_the_published_ones(model, reference):
    model(reference['inputs'][0].transpose(1, 2), mode='loss')['loss'].backward()
    gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
    expected = ours(reference, 'grad.')
    assert set(gradients) == set(expected)
    assert_all_close(gradients, expected, **EXACT)


def test_training_follows_the_published_losses_to_the_published_weights(model, reference, setting):
    optimizer = torch.optim.AdamW(model.parameters(), lr=setting['learning_rate'])
    losses = []
    for windows in reference['inputs']:
        loss = model(windows.transpose(1, 2), mode='loss')['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    torch.testing.assert_close(torch.tensor(losses).double(), reference['losses'], **AFTER_STEPS)
    final = ours(reference, 'final.')
    assert_all_close(model.state_dict(), final, **AFTER_STEPS)
    moved = max((final[k] - v).abs().max() for k, v in ours(reference).items() if k in final)
    assert moved > 100 * AFTER_STEPS['atol'], 'else no step would pass as well'
