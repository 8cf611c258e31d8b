"""One-stage localizers: the published arithmetic, written plainly, against ours."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from measure import DEVICE, Row, in_a_process, peak_megabytes, seconds, side_by_side
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData
from plain_one_stage import Detections, PlainActionFormer, decode, soft_nms
from torch import Tensor, nn

from mmsola.models import ActionFormer, SoLa
from mmsola.models.points.decoding import decode_points
from mmsola.models.points.pyramid_points import default_ranges, pyramid_points
from mmsola.structures.candidates import Candidates, join
from mmsola.structures.segment_nms import SegmentNMS

_HOUR = 22_500  # snippets of four frames, 25 of them a second


def one_stage(repeats: int, tiny: bool) -> list[Row]:
    """ActionFormer of THUMOS14: training, inference, suppression, memory, an hour of video."""
    return [
        _training(repeats, tiny),
        _inference(repeats, tiny),
        _suppression(repeats, tiny),
        *_memory(repeats, tiny),
        _hour(repeats, tiny),
    ]


def one_stage_neck(repeats: int, tiny: bool) -> list[Row]:
    """What a frozen SoLa adds to ActionFormer's training step and to its inference."""
    models = [_model(tiny, neck) for neck in (False, True)]
    sides = {'before_is': 'without', 'after_is': 'with', 'shows': 'extra'}
    under = f'frozen SoLa under ActionFormer, T={_longest(tiny)}'
    training = Row(f'{under}, batch 2: time of a step', 's', **sides)
    steps = [_training_step(model, tiny) for model in models]
    side_by_side(training, lambda: seconds(steps[0]), lambda: seconds(steps[1]), repeats)
    inference = Row(f'{under}: inference of a video without suppression', 's', **sides)
    videos = [_inference_of(model, _longest(tiny), tiny) for model in models]
    side_by_side(inference, lambda: seconds(videos[0]), lambda: seconds(videos[1]), 2 * repeats)
    return [training, inference]


def _training(repeats: int, tiny: bool) -> Row:
    row = _row(f'T={_longest(tiny)}, training step, batch 2', 's', '1x (1.3x)')
    plain, ours = (_training_step(model, tiny) for model in _twins(tiny))
    return side_by_side(row, lambda: seconds(plain), lambda: seconds(ours), repeats)


def _inference(repeats: int, tiny: bool) -> Row:
    row = _row(f'T={_longest(tiny)}, inference of a video without suppression', 's', '1x (2x)')
    plain, ours = (_inference_of(model, _longest(tiny), tiny) for model in _twins(tiny))
    return side_by_side(row, lambda: seconds(plain), lambda: seconds(ours), repeats)


def _suppression(repeats: int, tiny: bool) -> Row:
    """From logits to segments; scores so distributed that most are small."""
    num_classes, per_class = (3, 20) if tiny else (20, 2000)
    lengths = [_longest(tiny) // 2**level for level in range(3 if tiny else 6)]
    generator = torch.Generator().manual_seed(0)
    logits = torch.full((sum(lengths), num_classes), -20.0)  # of which nothing is found
    for column in logits.unbind(1):
        rows = torch.randperm(len(column), generator=generator)[:per_class]
        column[rows] = 2 * torch.randn(per_class, generator=generator).abs() + _logit(0.001)
    offsets = 0.5 + 4 * torch.rand(len(logits), 2, generator=generator)
    rule = {'top_k': None, 'min_length': 0.05}
    nms = SegmentNMS(sigma=0.5, min_score=0.001, max_segments=200)

    def plain() -> Detections:
        levels = (x.split(lengths) for x in (logits, offsets, torch.ones(len(logits))))
        return soft_nms(decode(*levels, threshold=0.001, **rule), 0.5, 0.001, 200)

    def ours() -> Candidates:
        points = torch.cat(pyramid_points(lengths, default_ranges(len(lengths)), logits))
        levels = zip(*(x.split(lengths) for x in (logits.sigmoid(), offsets, points)))
        return nms(join([decode_points(*each, score_threshold=0.001, **rule) for each in levels]))

    row = _row(
        f'decoding and soft-NMS of a video, {num_classes} classes x {per_class:,} candidates',
        's',
        '5x (20x)',
        before_is='plain, a NumPy loop',
    )
    return side_by_side(row, lambda: seconds(plain), lambda: seconds(ours, 5), repeats)


def _memory(repeats: int, tiny: bool) -> list[Row]:
    at = f'T={_longest(tiny)}'
    rows = [
        _row(f'{at}, batch 2: peak memory of a step above model and features', 'MB', '1x'),
        _row(f'{at}: peak memory of inference above model and features', 'MB', '1x'),
    ]
    for row, function in zip(rows, (_peak_of_step, _peak_of_inference)):
        side_by_side(
            row,
            lambda function=function: in_a_process(function, 'plain', tiny),
            lambda function=function: in_a_process(function, 'ours', tiny),
            1 if tiny else min(repeats, 2),
            warm_up=False,
        )
    return rows


def _hour(repeats: int, tiny: bool) -> Row:
    row = _row(
        f'T={100 if tiny else _HOUR:,}, an hour of video: peak memory of localizing it, model and '
        'features included',
        'MB',
        'under 2,000 MB',
    )
    return side_by_side(
        row,
        lambda: in_a_process(_peak_of_hour, 'plain', tiny),
        lambda: in_a_process(_peak_of_hour, 'ours', tiny),
        1 if tiny else min(repeats, 2),
        warm_up=False,
    )


def _row(what: str, unit: str, must: str, before_is: str = 'plain') -> Row:
    return Row(f'ActionFormer, {what}', unit, before_is=before_is, after_is='ours', must=must)


# --- models and what they are given ---------------------------------------------------------------


def _size(tiny: bool) -> dict[str, int]:
    if tiny:
        return dict(feat_dim=16, num_classes=3, channels=16, num_levels=3, max_snippets=48)
    return dict(feat_dim=2048, num_classes=20, channels=512, num_levels=6, max_snippets=2304)


def _longest(tiny: bool) -> int:
    return _size(tiny)['max_snippets']


def _window(tiny: bool) -> int:
    return 5 if tiny else 19


def _model(tiny: bool, neck: bool = False) -> ActionFormer:
    torch.manual_seed(0)
    size = _size(tiny)
    extra = {'neck': dict(type='SoLa', in_channels=size['feat_dim'], frozen=True)} if neck else {}
    model = ActionFormer(**size, backbone={'window': _window(tiny)}, **extra)
    if neck:
        weights = SoLa(size['feat_dim']).state_dict()
        weights['alpha'] += 0.3  # at 0 it would be the identity
        model.neck.load_state_dict(weights)
    return model.to(DEVICE)


def _plain_model(tiny: bool) -> PlainActionFormer:
    torch.manual_seed(0)
    return PlainActionFormer(**_size(tiny), window=_window(tiny)).to(DEVICE)


def _twins(tiny: bool) -> tuple[PlainActionFormer, ActionFormer]:
    ours, plain = _model(tiny), _plain_model(tiny)
    plain.load_state_dict(ours.state_dict())
    return plain, ours


def _of_kind(kind: str, tiny: bool) -> nn.Module:
    return _model(tiny) if kind == 'ours' else _plain_model(tiny)


def _video(length: int, tiny: bool) -> Tensor:
    return torch.randn(_size(tiny)['feat_dim'], length, device=DEVICE)


def _training_step(model: nn.Module, tiny: bool) -> Callable[[], None]:
    """A closure: forward, losses, backward and AdamW on two generated videos of 15 segments."""
    torch.manual_seed(0)
    longest = _longest(tiny)
    sequences = [_video(length, tiny) for length in (longest, 3 * longest // 4)]
    segments, labels, samples = [], [], []
    for sequence in sequences:
        start = 0.9 * sequence.shape[1] * torch.rand(15)
        segments.append(torch.stack([start, start + 2 + 40 * torch.rand(15)], dim=1).to(DEVICE))
        labels.append(torch.randint(_size(tiny)['num_classes'], (15,), device=DEVICE))
        sample = ActionDataSample()
        sample.gt_instances = InstanceData(gt_segments=segments[-1], gt_labels=labels[-1])
        samples.append(sample)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-4, weight_decay=0.05)

    def losses() -> dict[str, Tensor]:
        if isinstance(model, PlainActionFormer):
            return model.loss(sequences, segments, labels)
        return model(sequences, samples, mode='loss')

    def step() -> None:
        model.train()
        optimizer.zero_grad()
        sum(losses().values()).backward()
        optimizer.step()

    return step


def _inference_of(model: nn.Module, length: int, tiny: bool) -> Callable[[], Any]:
    """A closure: what is found in a generated video before suppression."""
    video = _video(length, tiny)
    neck = getattr(model, 'neck', None)

    @torch.no_grad()
    def infer() -> Any:
        model.eval()
        return model.candidates(video if neck is None else neck(video[None])[0])

    return infer


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


# --- called in fresh processes --------------------------------------------------------------------


def _peak_of_step(kind: str, tiny: bool) -> float:
    return _peak_of(_training_step(_of_kind(kind, tiny), tiny))


def _peak_of_inference(kind: str, tiny: bool) -> float:
    return _peak_of(_inference_of(_of_kind(kind, tiny), _longest(tiny), tiny))


def _peak_of_hour(kind: str, tiny: bool) -> float:
    """From nothing to the segments: model, features, network, decoding and soft-NMS."""

    def localize() -> Any:
        model, video = _of_kind(kind, tiny).eval(), _video(100 if tiny else _HOUR, tiny)
        if isinstance(model, PlainActionFormer):
            return model.predict(video)
        return model([video], mode='predict')

    return _peak_of(localize)


def _peak_of(function: Callable[[], Any]) -> float:
    # tiny shapes fit into what is already there, and a ratio takes more than 0
    return max(peak_megabytes(function), 1e-3)
