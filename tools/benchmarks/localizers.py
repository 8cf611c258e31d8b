"""Localizers: MMAction2's classes against ours with the same parameters, and what a neck costs."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from measure import DEVICE, Row, in_a_process, peak_megabytes, seconds, side_by_side
from mmaction.models.localizers import TCANet as StockTCANet
from mmaction.models.localizers.bmn import BMN as StockBMN
from mmaction.models.localizers.bsn import TEM as StockTEM
from mmaction.models.localizers.utils import post_processing
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData

from mmsola.models import BMN, TEM, SoLa, TCANet
from mmsola.models.localizers.proposals import boundary_matching_proposals, ranked_proposals

_SOFT_NMS = dict(soft_nms_alpha=0.4, soft_nms_low_threshold=0.5, soft_nms_high_threshold=0.9)
_BMN = dict(
    boundary_ratio=0.5,
    num_samples=32,
    num_samples_per_bin=3,
    feat_dim=400,
    post_process_top_k=100,
    **_SOFT_NMS,
)
_INFO = dict(duration_frame=3000, duration_second=100.0, feature_frame=3000, video_name='v')


def bmn(repeats: int, tiny: bool) -> list[Row]:
    """MMAction2's BMN of ActivityNet: inference, training, memory of training."""
    on_gpu = DEVICE.type == 'cuda'
    length, batch_size = (12, 2) if tiny else (100, 16 if on_gpu else 8)
    models = [_build(cls, length) for cls in (StockBMN, BMN)]
    models[1].load_state_dict(models[0].state_dict())
    # one video leaves most of a GPU idle
    videos = torch.randn(batch_size if on_gpu else 1, 400, length, device=DEVICE)
    forward = Row(
        f'BMN, T={length}, forward of {len(videos) if on_gpu else "a"} video{"s" * on_gpu}',
        's',
        before_is='MMAction2',
        after_is='ours',
        must='8x (15x)',
        gpu_must='4x',
    )
    with torch.inference_mode():
        side_by_side(
            forward,
            lambda: seconds(lambda: models[0]._forward(videos)),
            lambda: seconds(lambda: models[1]._forward(videos), 5),
            repeats,
        )
    train = Row(
        f'BMN, T={length}, training step, batch {batch_size}',
        's',
        before_is='MMAction2',
        after_is='ours',
        must='5x (10x)',
        gpu_must='10x',
    )
    steps = [_training_step(model, 400, length, batch_size) for model in models]
    side_by_side(
        train,
        lambda: seconds(steps[0]),
        lambda: seconds(steps[1]),
        min(repeats, 3),
        warm_up=tiny,
    )
    memory = Row(
        f'BMN, T={length}, batch {batch_size}: peak memory of a step above the model',
        'MB',
        before_is='MMAction2',
        after_is='ours',
        must='8x (20x)',
    )
    side_by_side(
        memory,
        lambda: in_a_process(_peak_of_step, StockBMN, length, batch_size, None),
        lambda: in_a_process(_peak_of_step, BMN, length, batch_size, None),
        1 if tiny else min(repeats, 2),
        warm_up=False,
    )
    return [forward, train, memory]


def neck(repeats: int, tiny: bool) -> list[Row]:
    """What a frozen SoLa adds to a training step of our BMN, in time and memory."""
    length, batch_size = (12, 2) if tiny else (100, 8)
    steps = [
        _training_step(_build(BMN, length, neck), 400, length, batch_size)
        for neck in (None, _frozen_sola())
    ]
    time = Row(
        f'frozen SoLa under BMN, T={length}, batch {batch_size}: time of a step',
        's',
        before_is='without',
        after_is='with',
        must='+3 % (1 %)',
        shows='extra',
    )
    side_by_side(time, lambda: seconds(steps[0]), lambda: seconds(steps[1]), 2 * repeats)
    memory = Row(
        f'frozen SoLa under BMN, T={length}, batch {batch_size}: peak memory of a step',
        'MB',
        before_is='without',
        after_is='with',
        must='+3 % (1 %)',
        shows='extra',
    )
    side_by_side(
        memory,
        lambda: in_a_process(_peak_of_step, BMN, length, batch_size, None),
        lambda: in_a_process(_peak_of_step, BMN, length, batch_size, 'SoLa'),
        1 if tiny else repeats,
        warm_up=False,
    )
    return [time, memory]


def others(repeats: int, tiny: bool) -> list[Row]:
    """A training step of TEM and TCANet as their configs have them."""
    length = 12 if tiny else 100
    rows = []
    tem = dict(temporal_dim=length, boundary_ratio=0.1, tem_feat_dim=400, tem_hidden_dim=512)
    tem |= dict(tem_match_threshold=0.5)
    tcanet = dict(feat_dim=64 if tiny else 2048, temporal_dim=length, window_size=9, **_SOFT_NMS)
    for name, classes, settings, channels, batch_size in (
        ('TEM', (StockTEM, TEM), tem, 400, 16),
        ('TCANet', (StockTCANet, TCANet), tcanet, tcanet['feat_dim'], 2 if tiny else 8),
    ):
        models = [cls(**settings).to(DEVICE) for cls in classes]
        models[1].load_state_dict(models[0].state_dict())
        steps = [_training_step(model, channels, length, batch_size) for model in models]
        row = Row(
            f'{name}, T={length}, training step, batch {batch_size}',
            's',
            before_is='MMAction2',
            after_is='ours',
        )
        before, after = (partial(seconds, each) for each in steps)
        rows.append(side_by_side(row, before, after, min(repeats, 3)))
    return rows


def proposals(repeats: int, tiny: bool) -> list[Row]:
    """From BMN's scores of one video to its ranked proposals: pairs, soft-NMS, seconds."""
    length = 20 if tiny else 100
    rng = np.random.default_rng(0)
    start, end = (np.convolve(rng.random(length + 4), np.ones(5) / 5, 'valid') for _ in range(2))
    confidence = rng.random((2, length, length))
    soft_nms = (*_SOFT_NMS.values(), 100, 16)

    def stock() -> None:
        post_processing(_stock_pairs(start, end, confidence), _INFO, *soft_nms)

    def ours() -> None:
        pairs = boundary_matching_proposals(start, end, confidence)
        ranked_proposals(pairs, _INFO, *soft_nms)

    row = Row(
        f'proposals of one video, T={length}',
        's',
        before_is='MMAction2',
        after_is='ours',
        must='10x (50x)',
    )
    return [side_by_side(row, lambda: seconds(stock, 2), lambda: seconds(ours, 20), repeats)]


def _stock_pairs(start: np.ndarray, end: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """The loop of MMAction2's ``BMN.predict``, which has no function of its own."""
    length = len(start)
    likely = []
    for score, always in ((start, 0), (end, -1)):
        bins = np.zeros(length)
        bins[always] = 1
        for i in range(1, length - 1):
            is_peak = score[i] > score[i + 1] and score[i] > score[i - 1]
            if is_peak or score[i] > 0.5 * max(score):
                bins[i] = 1
        likely.append(bins)
    pairs = []
    for width in range(length):
        for first in range(length):
            last = first + width + 1
            if last < length and likely[0][first] == 1 and likely[1][last] == 1:
                parts = confidence[1, width, first], confidence[0, width, first]
                score = start[first] * end[last] * parts[0] * parts[1]
                pairs.append([first / length, last / length, *parts, score])
    return np.stack(pairs)


def _frozen_sola() -> dict[str, Any]:
    return dict(type='SoLa', in_channels=400, frozen=True)


def _build(cls: type, length: int, neck: dict | None = None) -> torch.nn.Module:
    torch.manual_seed(0)
    extra = {} if neck is None else {'neck': neck}
    model = cls(temporal_dim=length, **_BMN, **extra)
    model.init_weights()
    if neck is not None:
        weights = SoLa(400).state_dict()
        weights['alpha'] += 0.3
        model.neck.load_state_dict(weights)
    return model.to(DEVICE)


def _training_step(model: torch.nn.Module, channels: int, length: int, batch_size: int) -> Any:
    """A closure: forward, backward and Adam on generated features, ``length`` proposals each."""
    torch.manual_seed(0)
    inputs = torch.randn(batch_size, channels, length, device=DEVICE)
    samples = []
    for _ in range(batch_size):
        sample = ActionDataSample(metainfo=_INFO)
        segments = torch.tensor([[0.2, 0.5], [0.6, 0.9]])
        found = segments.repeat(length // 2, 1) + 0.05 * torch.randn(length, 2)
        found = found.clamp(0.01, 0.99).sort(dim=1)[0]
        sample.gt_instances = InstanceData(gt_bbox=segments.to(DEVICE))
        found = torch.cat([found, torch.rand(length, 1)], dim=1).to(DEVICE)
        sample.proposals = InstanceData(proposals=found)
        samples.append(sample)
    optimizer = torch.optim.Adam(p for p in model.parameters() if p.requires_grad)

    def step() -> None:
        optimizer.zero_grad()
        losses = model(list(inputs), samples, mode='loss')
        sum(value for key, value in losses.items() if 'loss' in key).backward()
        optimizer.step()

    return step


def _peak_of_step(cls: type, length: int, batch_size: int, neck: str | None) -> float:
    """Memory of a training step, to be called in a fresh process."""
    model = _build(cls, length, _frozen_sola() if neck else None)
    step = _training_step(model, 400, length, batch_size)
    if isinstance(model, BMN):
        model._boundary_matching(DEVICE)  # made once, a part of the model
    return peak_megabytes(step)
