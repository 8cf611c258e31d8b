"""G-TAD: the published map of all proposals against ours, which never builds it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from measure import DEVICE, Row, in_a_process, peak_megabytes, seconds, side_by_side
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData

from mmsola.models import GTAD

_BATCH_SIZE = 2
#: As published for whole videos (ActivityNet, HACS) and for windows (THUMOS14).
_SETTINGS = {
    'whole videos': dict(
        feat_dim=400,
        temporal_dim=100,
        max_duration=100,
        num_inner=32,
        num_context=4,
        kernel_size_2d=1,
        regression_weight=10.0,
        classification_weight=1.0,
    ),
    'windows': dict(feat_dim=2048, temporal_dim=256, max_duration=64),
}


def gtad(repeats: int, tiny: bool) -> list[Row]:
    """A training step of either setting: its time, and its memory above model and features."""
    rows = []
    for name in _SETTINGS:
        length, longest = (_setting(name, tiny)[key] for key in ('temporal_dim', 'max_duration'))
        what = f'G-TAD, T={length}, D={longest}'
        sides = dict(before_is='plain, the published map', after_is='ours', must='2x (4x)')
        time = Row(f'{what}, training step, batch {_BATCH_SIZE}', 's', **sides)
        plain, ours = (_training_step(name, fast, tiny) for fast in (False, True))
        side_by_side(
            time,
            lambda plain=plain: seconds(plain),
            lambda ours=ours: seconds(ours),
            min(repeats, 3),
        )
        sides['must'] = '2x (8x)'
        memory = Row(
            f'{what}, batch {_BATCH_SIZE}: peak memory of a step above the model', 'MB', **sides
        )
        side_by_side(
            memory,
            lambda name=name: in_a_process(_peak_of_step, name, False, tiny),
            lambda name=name: in_a_process(_peak_of_step, name, True, tiny),
            1 if tiny else min(repeats, 2),
            warm_up=False,
        )
        rows += [time, memory]
    return rows


def _setting(name: str, tiny: bool) -> dict:
    setting = dict(_SETTINGS[name])
    if tiny:
        setting.update(feat_dim=8, temporal_dim=12, max_duration=setting['max_duration'] // 10)
        setting.update(hidden_dim_1d=16, hidden_dim_3d=16, graph_dim=8, graph_groups=4)
    return setting


def _training_step(name: str, fast: bool, tiny: bool) -> Callable[[], None]:
    """A closure: forward, losses, backward and Adam on generated features."""
    torch.manual_seed(0)
    setting = _setting(name, tiny)
    model = GTAD(**setting, fast=fast).to(DEVICE)
    shape = (_BATCH_SIZE, setting['feat_dim'], setting['temporal_dim'])
    inputs = list(torch.randn(shape, device=DEVICE))
    samples = []
    for _ in inputs:
        sample = ActionDataSample(metainfo=dict(video_name='v'))
        segments = torch.tensor([[0.1, 0.2], [0.5, 0.6], [0.7, 0.9]], device=DEVICE)
        sample.gt_instances = InstanceData(gt_bbox=segments)
        samples.append(sample)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-5)
    model._aligned_on(inputs[0])  # made once, a part of the model
    if not fast:
        alignment = model._alignment
        alignment._pooling = [alignment._pooling_of(num_bins) for num_bins in alignment.bins]

    def step() -> None:
        optimizer.zero_grad()
        sum(model(inputs, samples, mode='loss').values()).backward()
        optimizer.step()

    return step


def _peak_of_step(name: str, fast: bool, tiny: bool) -> float:
    """Memory of a training step, to be called in a fresh process."""
    # tiny shapes fit into what is already there, and a ratio takes more than 0
    return max(peak_megabytes(_training_step(name, fast, tiny)), 1e-3)
