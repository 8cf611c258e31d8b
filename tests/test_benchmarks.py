"""The benchmark runs from end to end, and compares ways of computing the same numbers.

Nothing is timed here.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData
from plain_segment_nms import soft_picks
from torch.testing import assert_close

import mmsola  # noqa: F401

BENCHMARKS = Path(__file__).parents[1] / 'tools' / 'benchmarks'
RUN = BENCHMARKS / 'run.py'
ROWS = [
    'step',
    'bmn',
    'neck',
    'others',
    'proposals',
    'gtad',
    'one_stage',
    'one_stage_neck',
    'metrics',
    'csv',
    'export',
    'scale',
    'hacs',
]


@pytest.mark.slow
def test_every_row_has_both_sides_in_the_table_and_in_the_json(tmp_path):
    out = tmp_path / 'benchmarks.json'
    done = subprocess.run(
        [sys.executable, RUN, '--tiny', '--repeats', '1', '--out', out, '--rows', *ROWS],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    content = json.loads(out.read_text())
    assert content['machine']['threads'] >= 1
    assert list(dict.fromkeys(row['name'] for row in content['rows'])) == ROWS
    for row in content['rows']:
        assert len(row['before']) == len(row['after']) >= 1
        assert all(map(math.isfinite, row['before'] + row['after'])), row['what']
        assert f'| {row["what"]} | ' in done.stdout


def test_without_a_gpu_the_row_that_needs_one_says_so():
    done = subprocess.run(
        [sys.executable, RUN, '--rows', 'hacs'],
        capture_output=True,
        text=True,
        env={'PATH': '', 'CUDA_VISIBLE_DEVICES': ''},
    )
    assert done.returncode == 1 and 'takes a GPU' in done.stderr


# --- the plain ActionFormer and ours --------------------------------------------------------------


@pytest.fixture(scope='module')
def plain_one_stage():
    spec = spec_from_file_location('plain_one_stage', BENCHMARKS / 'plain_one_stage.py')
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def twins(plain_one_stage):
    """The plain one and ours with the same weights, none of them at its trivial start."""
    torch.manual_seed(0)
    size = dict(feat_dim=12, num_classes=3, channels=16, num_levels=3, max_snippets=48)
    ours = MODELS.build(dict(type='ActionFormer', **size, backbone=dict(window=5)))
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    plain = plain_one_stage.PlainActionFormer(**size, window=5)
    plain.load_state_dict(ours.state_dict())
    return plain, ours


def videos():
    """One as long as the longest of a training, one shorter, and their segments and labels."""
    generator = torch.Generator().manual_seed(1)
    sequences = [torch.randn(12, length, generator=generator) for length in (48, 31)]
    segments = [
        torch.tensor([[3.0, 9.5], [5.2, 40.0], [20.0, 26.4], [20.0, 26.4]]),
        torch.tensor([[0.3, 7.0], [11.0, 30.0]]),
    ]
    return sequences, segments, [torch.tensor([0, 1, 2, 1]), torch.tensor([2, 0])]


def assert_near(found, expected):
    assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_plain_network_puts_out_what_ours_does(twins):
    plain, ours = (model.eval() for model in twins)
    sequences, *_ = videos()
    logits, offsets, _ = plain(*plain._padded(sequences))
    found = ours(sequences, mode='tensor')
    assert_near(torch.cat(logits, dim=1), found.logits)
    assert_near(torch.cat(offsets, dim=1), found.offsets)
    assert found.logits.std() > 0.1 and (found.offsets > 0).any()


def test_three_plain_training_steps_are_ours(twins):
    """With drop path, which draws the same from the same seed."""
    sequences, segments, labels = videos()
    samples = [ActionDataSample() for _ in sequences]
    for sample, segment, label in zip(samples, segments, labels):
        sample.gt_instances = InstanceData(gt_segments=segment, gt_labels=label)
    plain, ours = (model.double().train() for model in twins)  # AdamW blows up what is rounded
    sequences = [sequence.double() for sequence in sequences]
    found = []
    for model, losses in (
        (plain, lambda: plain.loss(sequences, segments, labels)),
        (ours, lambda: ours(sequences, samples, mode='loss')),
    ):
        torch.manual_seed(0)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(3):
            each = losses()
            optimizer.zero_grad()
            sum(each.values()).backward()
            optimizer.step()
            found.append(torch.stack([each['loss_cls'], each['loss_reg']]))
    assert_near(torch.stack(found[:3]), torch.stack(found[3:]))
    assert (torch.stack(found) > 0).all()
    for expected, parameter in zip(plain.state_dict().values(), ours.state_dict().values()):
        assert_near(parameter, expected)


@pytest.mark.parametrize('length', [48, 31, 70])
def test_the_plain_one_finds_the_segments_that_ours_finds(twins, length):
    plain, ours = (model.eval() for model in twins)
    video = torch.randn(12, length, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        before = ours.candidates(video)
        for found, expected in (
            (plain.candidates(video), before),
            (plain.predict(video), ours.nms(before)),
        ):
            assert torch.equal(found.labels, expected.labels)
            assert_near(found.segments, expected.segments)
            assert_near(found.scores, expected.scores)


def test_the_plain_loop_of_suppression_picks_what_is_described(plain_one_stage):
    generator = torch.Generator().manual_seed(3)
    start = 50 * torch.rand(300, generator=generator)
    segments = torch.stack([start, start + 20 * torch.rand(300, generator=generator)], dim=1)
    scores = torch.rand(300, generator=generator)
    expected = soft_picks(segments, scores, 0.5, 0.05)
    found = plain_one_stage.soft_picks(segments.numpy(), scores.numpy(), 0.5, 0.05)
    assert [row for row, _ in found] == [int(row) for row, _ in expected]
    assert_near(
        torch.tensor([score for _, score in found]), torch.stack([score for _, score in expected])
    )
    assert 1 < len(found) < 300
