"""ActionFormer in the arithmetic that was published with it, to be measured beside ours.

Written plainly and by ourselves: norms as means and means of squares, convolutions of width 1 as
convolutions, local attention over overlapping chunks whose products are copied into a band, points
against all segments, one level and one class after the other. Parameters have the names of
:class:`mmsola.models.ActionFormer`, whose state dict it loads; both give the same numbers.

Suppression is a NumPy loop here. The published one is a compiled loop over all candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

_FAR = 10000.0


class Detections(NamedTuple):
    """Segments ``(N, 2)`` in grid units, scores ``(N,)`` and labels ``(N,)`` of one video."""

    segments: Tensor
    scores: Tensor
    labels: Tensor


class PlainActionFormer(nn.Module):
    """Same arguments, parameters and numbers as our ``ActionFormer``, with THUMOS14's settings.

    Args:
        feat_dim: C of the features.
        num_classes: K.
        channels: Width.
        num_levels: Levels of the pyramid.
        max_snippets: What sequences are padded to; a multiple of ``length_divisor``.
        window: Of the attention, odd.
        drop_path: Share of samples that skip a branch in training.
    """

    def __init__(
        self,
        feat_dim: int,
        num_classes: int,
        channels: int = 512,
        num_levels: int = 6,
        max_snippets: int = 2304,
        window: int = 19,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.max_snippets = max_snippets
        self.length_divisor = 2 ** (num_levels - 1) * 2 * (window // 2)
        settings = (channels, window // 2, drop_path)
        self.embedding = _Tower(feat_dim, channels)
        self.backbone = nn.ModuleDict(
            {
                'stem': nn.ModuleList(_Block(1, *settings) for _ in range(2)),
                'levels': nn.ModuleList(_Block(2, *settings) for _ in range(num_levels - 1)),
            }
        )
        norms = nn.ModuleList(_Norm(channels) for _ in range(num_levels))
        self.pyramid = nn.ModuleDict({'norms': norms})
        self.head = nn.ModuleDict(
            {
                'classification': _Tower(channels, channels, num_classes),
                'regression': _Tower(channels, channels, 2),
            }
        )
        self.head.register_parameter('level_scales', nn.Parameter(torch.ones(num_levels)))
        self.head.register_buffer('running_norm', torch.tensor(100.0))

    def forward(self, batch: Tensor, mask: Tensor) -> tuple[list[Tensor], ...]:
        """Of each level: logits ``(B, T_l, K)``, offsets ``(B, T_l, 2)``, mask ``(B, T_l)``."""
        x = self.embedding(batch, mask)
        for block in self.backbone['stem']:
            x, mask = block(x, mask)
        levels = [(x, mask)]
        for block in self.backbone['levels']:
            levels.append(block(*levels[-1]))
        features = [norm(x) for norm, (x, _) in zip(self.pyramid['norms'], levels)]
        masks = [mask for _, mask in levels]
        classification, regression = self.head['classification'], self.head['regression']
        logits = [classification(x, mask) for x, mask in zip(features, masks)]
        scales = self.head.level_scales
        offsets = [
            (regression(x, mask) * scale).relu() for x, mask, scale in zip(features, masks, scales)
        ]
        return (
            [x.transpose(1, 2) for x in logits],
            [x.transpose(1, 2) for x in offsets],
            [mask[:, 0] for mask in masks],
        )

    def loss(
        self, sequences: Sequence[Tensor], segments: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Losses of sequences ``(C, T_i)`` with segments ``(N_i, 2)`` of labels ``(N_i,)``."""
        logits, offsets, masks = self(*self._padded(sequences))
        points = torch.cat(points_of([x.shape[1] for x in logits], logits[0].device))
        valid = torch.cat(masks, dim=1)
        targets = [
            targets_of(points, *of_video, self.num_classes) for of_video in zip(segments, labels)
        ]
        classes, wanted = (torch.stack(column) for column in zip(*targets))
        positive = (classes.sum(dim=2) > 0) & valid
        num_positive = positive.sum().item()
        self.head.running_norm.mul_(0.9).add_(0.1 * max(num_positive, 1))
        norm = self.head.running_norm
        of_classes = focal_loss(torch.cat(logits, dim=1)[valid], classes[valid]).sum() / norm
        of_offsets = diou_loss(torch.cat(offsets, dim=1)[positive], wanted[positive]).sum() / norm
        return {'loss_cls': of_classes, 'loss_reg': of_offsets}

    @torch.no_grad()
    def candidates(self, sequence: Tensor) -> Detections:
        """What is found in one video ``(C, T)`` before suppression."""
        logits, offsets, masks = (
            [x[0] for x in level] for level in self(*self._padded([sequence]))
        )
        return decode(logits, offsets, masks, 0.001, 2000, 0.05)

    def predict(self, sequence: Tensor) -> Detections:
        """At most 200 segments of one video ``(C, T)``, best first."""
        return soft_nms(self.candidates(sequence), 0.5, 0.001, 200)

    def _padded(self, sequences: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        lengths = torch.tensor([x.shape[1] for x in sequences], device=sequences[0].device)
        length = int(lengths.max())
        if length <= self.max_snippets:
            length = self.max_snippets
        else:
            length += -length % self.length_divisor
        batch = sequences[0].new_zeros(len(sequences), len(sequences[0]), length)
        for row, sequence in zip(batch, sequences):
            row[:, : sequence.shape[1]] = sequence
        steps = torch.arange(length, device=lengths.device)
        return batch, (steps < lengths[:, None])[:, None]


# --- network --------------------------------------------------------------------------------------


class _MaskedConv(nn.Conv1d):
    """A convolution, then the mask."""

    def __init__(self, inside: int, outside: int, stride: int = 1, **kwargs) -> None:
        super().__init__(inside, outside, 3, stride, padding=1, **kwargs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x) * _reduced(mask, self.stride[0]).to(x.dtype)


def _reduced(mask: Tensor, stride: int) -> Tensor:
    if stride == 1:
        return mask
    return F.interpolate(mask.float(), scale_factor=1 / stride, mode='nearest').bool()


class _Norm(nn.Module):
    """Over the channels of ``(B, C, T)``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        variance = (centred**2).mean(dim=1, keepdim=True)
        normed = centred / torch.sqrt(variance + 1e-5)
        normed *= self.weight[:, None]
        normed += self.bias[:, None]
        return normed


class _Tower(nn.Module):
    """Two convolutions with norm and ReLU, and one more where something is predicted."""

    def __init__(self, inside: int, channels: int, outside: int | None = None) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            _MaskedConv(width, channels, bias=False) for width in (inside, channels)
        )
        self.norms = nn.ModuleList(_Norm(channels) for _ in range(2))
        self.out = None if outside is None else _MaskedConv(channels, outside)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms):
            x = norm(conv(x, mask)).relu_()
        return x if self.out is None else self.out(x, mask)


class _Block(nn.Module):
    """Attention and MLP, each added."""

    def __init__(self, stride: int, channels: int, reach: int, drop_path: float) -> None:
        super().__init__()
        self.stride = stride
        self.norm1, self.norm2 = _Norm(channels), _Norm(channels)
        self.attention = _Attention(stride, channels, reach)
        self.expand = nn.Conv1d(channels, 4 * channels, 1)
        self.contract = nn.Conv1d(4 * channels, channels, 1)
        self.drop_path_attention = _DropPath(channels, drop_path)
        self.drop_path_mlp = _DropPath(channels, drop_path)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        attended = self.attention(self.norm1(x), mask)
        mask = _reduced(mask, self.stride)
        real = mask.to(x.dtype)
        if self.stride > 1:
            x = F.max_pool1d(x, 3, self.stride, padding=1)
        x = x * real + self.drop_path_attention(attended)
        change = self.contract(F.gelu(self.expand(self.norm2(x)))) * real
        return x + self.drop_path_mlp(change), mask


class _DropPath(nn.Module):
    def __init__(self, channels: int, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob
        self.scale = nn.Parameter(torch.full((channels, 1), 1e-4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.scale * x
        if not self.training:
            return x
        keep_prob = 1 - self.drop_prob
        kept = torch.rand(len(x), 1, 1, dtype=x.dtype, device=x.device) < keep_prob
        return x / keep_prob * kept


class _Attention(nn.Module):
    """Four heads that see ``reach`` steps to each side."""

    num_heads = 4

    def __init__(self, stride: int, channels: int, reach: int) -> None:
        super().__init__()
        self.stride, self.reach = stride, reach
        for name in ('query', 'key', 'value'):
            conv = _MaskedConv(channels, channels, stride, groups=channels, bias=False)
            setattr(self, f'{name}_conv', conv)
            setattr(self, f'{name}_norm', _Norm(channels))
            setattr(self, name, nn.Conv1d(channels, channels, 1))
        self.project = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value = (self._heads(name, x, mask) for name in ('query', 'key', 'value'))
        mask = _reduced(mask, self.stride)
        out = banded_attention(query, key, value, mask[:, 0], self.reach)
        out = out.transpose(1, 2).reshape(len(x), x.shape[1], -1)  # B x C x T
        return self.project(out) * mask.to(x.dtype)

    def _heads(self, name: str, x: Tensor, mask: Tensor) -> Tensor:
        conv, norm, pointwise = (getattr(self, f'{name}{part}') for part in ('_conv', '_norm', ''))
        x = pointwise(norm(conv(x, mask)))
        x = x.view(len(x) * self.num_heads, -1, x.shape[2])  # BH x D x T
        return x.transpose(1, 2).contiguous()


def banded_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, reach: int) -> Tensor:
    """Of each step to real ones at most ``reach`` away; T must be a multiple of ``2 * reach``.

    Args:
        query: ``(BH, T, D)``; and ``key`` and ``value``.
        mask: ``(B, T)``.
        reach: Steps to each side.

    Returns:
        ``(BH, T, D)``.
    """
    num_heads = len(query) // len(mask)
    band = products_in_band(query * query.shape[2] ** -0.5, key, reach)  # BH x T x (2r + 1)
    penalty = torch.where(mask, 0.0, -1e4)[:, :, None].to(query.dtype)  # B x T x 1
    penalty = products_in_band(torch.ones_like(penalty), penalty, reach)
    band = band.view(len(mask), num_heads, *band.shape[1:]) + penalty[:, None]
    weights = band.softmax(dim=3).masked_fill(~mask[:, None, :, None], 0.0)
    return sums_of_band(weights.flatten(0, 1), value, reach)


def products_in_band(query: Tensor, key: Tensor, reach: int) -> Tensor:
    """``query[t] @ key[t - reach + j]`` as ``(BH, T, 2 * reach + 1)``, -inf outside of T.

    Chunks of ``2 * reach`` steps, each half of which is in the next chunk as well, are multiplied
    as a whole. A row more and another view of the same memory make columns of the diagonals.
    """
    num_rows, num_steps, _ = query.shape
    queries, keys = (_chunks(x, 2 * reach, reach) for x in (query, key))  # BH x N x 2r x D
    products = torch.einsum('bnxd,bnyd->bnxy', queries, keys)
    skewed = F.pad(products, (0, 0, 0, 1)).view(num_rows, -1, 2 * reach, 2 * reach + 1)
    band = skewed.new_empty(num_rows, num_steps // reach, reach, 2 * reach + 1)
    band[:, :-1, :, reach:] = skewed[:, :, :reach, : reach + 1]
    band[:, -1, :, reach:] = skewed[:, -1, reach:, : reach + 1]
    band[:, 1:, :, :reach] = skewed[:, :, reach - 1 : -1, reach + 1 :]
    band[:, 0, 1:, 1:reach] = skewed[:, 0, : reach - 1, reach + 2 :]
    band = band.view(num_rows, num_steps, 2 * reach + 1)
    row = torch.arange(reach, device=band.device)[:, None]
    before = row + torch.arange(2 * reach + 1, device=band.device) < reach  # r x (2r + 1)
    band[:, :reach].masked_fill_(before, -torch.inf)
    band[:, -reach:].masked_fill_(before.flip(0, 1), -torch.inf)
    return band


def sums_of_band(weights: Tensor, value: Tensor, reach: int) -> Tensor:
    """Sum over j of ``weights[t, j] * value[t - reach + j]``, ``(BH, T, D)``."""
    num_rows, num_steps, width = weights.shape
    values = _chunks(F.pad(value, (0, 0, reach, reach)), 3 * reach, reach)  # BH x N x 3r x D
    spread = F.pad(weights.view(num_rows, -1, reach, width), (0, reach)).flatten(2)
    spread = spread[:, :, :-reach].view(num_rows, -1, reach, 3 * reach)  # each row shifted by one
    return torch.einsum('bnxy,bnyd->bnxd', spread, values).reshape(num_rows, num_steps, -1)


def _chunks(x: Tensor, length: int, step: int) -> Tensor:
    """Overlapping views ``(BH, N, length, D)`` of a contiguous ``(BH, T, D)``."""
    of_row, of_step, of_channel = x.stride()
    size = (len(x), (x.shape[1] - length) // step + 1, length, x.shape[2])
    return x.as_strided(size, (of_row, step * of_step, of_step, of_channel))


# --- points ---------------------------------------------------------------------------------------


def points_of(lengths: Sequence[int], device: torch.device) -> list[Tensor]:
    """Of each level ``(T_l, 4)``: time, least reach, greatest reach, stride."""
    points = []
    for level, length in enumerate(lengths):
        stride = 2.0**level
        least = 0.0 if level == 0 else 2 * stride
        most = _FAR if level == len(lengths) - 1 else 4 * stride
        time = stride * torch.arange(length, device=device, dtype=torch.float32)
        points.append(
            torch.stack([time, *(torch.full_like(time, x) for x in (least, most, stride))], dim=1)
        )
    return points


def targets_of(
    points: Tensor, segments: Tensor, labels: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Classes ``(S, K)`` and offsets ``(S, 2)`` of one video, all points against all segments."""
    if not len(segments):
        return points.new_zeros(len(points), num_classes), points.new_zeros(len(points), 2)
    time, least, most, stride = (x[:, None] for x in points.unbind(1))  # S x 1
    start, end = (x[None] for x in segments.to(points).unbind(1))  # 1 x N
    ends = torch.stack([time - start, end - time], dim=2)  # S x N x 2
    centre = 0.5 * (start + end)
    first = torch.maximum(centre - 1.5 * stride, start)
    last = torch.minimum(centre + 1.5 * stride, end)
    inside = torch.stack([time - first, last - time], dim=2).amin(dim=2) > 0
    farther = ends.amax(dim=2)
    in_range = (farther >= least) & (farther <= most)
    lengths = (end - start).repeat(len(points), 1).masked_fill_(~(inside & in_range), torch.inf)
    shortest, winner = lengths.min(dim=1)
    wins = (lengths <= shortest[:, None] + 1e-3) & (lengths < torch.inf)
    classes = wins.to(points.dtype) @ F.one_hot(labels, num_classes).to(points.dtype)
    row = torch.arange(len(points), device=points.device)
    return classes.clamp_(max=1), ends[row, winner] / stride


def focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Of each logit, alpha 0.25 and gamma 2."""
    probability = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction='none')
    hit = probability * targets + (1 - probability) * (1 - targets)
    weight = 0.25 * targets + 0.75 * (1 - targets)
    return weight * entropy * (1 - hit) ** 2


def diou_loss(offsets: Tensor, targets: Tensor) -> Tensor:
    """``(N,)`` of distances to start and end ``(N, 2)`` from a common point."""
    left, right = offsets.unbind(1)
    wanted_left, wanted_right = targets.unbind(1)
    shared = torch.minimum(left, wanted_left) + torch.minimum(right, wanted_right)
    union = (left + right) + (wanted_left + wanted_right) - shared
    hull = torch.maximum(left, wanted_left) + torch.maximum(right, wanted_right)
    distance = 0.5 * (right - left - wanted_right + wanted_left)
    return 1 - shared / union.clamp(min=1e-8) + (distance / hull.clamp(min=1e-8)) ** 2


# --- detections -----------------------------------------------------------------------------------


def decode(
    logits: Sequence[Tensor],
    offsets: Sequence[Tensor],
    masks: Sequence[Tensor],
    threshold: float,
    top_k: int | None,
    min_length: float,
) -> Detections:
    """Candidates of one video, level by level: ``(T_l, K)``, ``(T_l, 2)`` and ``(T_l,)``."""
    found = []
    points = points_of([len(x) for x in logits], logits[0].device)
    for of_level, distances, mask, where in zip(logits, offsets, masks, points):
        scores = (of_level.sigmoid() * mask[:, None]).flatten()
        rows = (scores > threshold).nonzero()[:, 0]
        scores, order = scores[rows].sort(descending=True)
        scores, rows = scores[:top_k], rows[order[:top_k]]
        point = torch.div(rows, of_level.shape[1], rounding_mode='floor')
        labels = torch.fmod(rows, of_level.shape[1])
        time, stride = where[point, 0], where[point, 3]
        start = time - distances[point, 0] * stride
        end = time + distances[point, 1] * stride
        kept = end - start > min_length
        found.append((torch.stack([start, end], dim=1)[kept], scores[kept], labels[kept]))
    return Detections(*(torch.cat(column) for column in zip(*found)))


def soft_nms(
    candidates: Detections, sigma: float, min_score: float, max_segments: int
) -> Detections:
    """Each class is suppressed to its end, then the best of all classes are kept."""
    segments, scores, labels = (x.cpu().numpy() for x in candidates)
    segments = segments.astype(np.float32)
    rows, new_scores = [], []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        picks = soft_picks(segments[of_class], scores[of_class], sigma, min_score)
        for row, score in picks[:max_segments]:
            rows.append(of_class[row])
            new_scores.append(score)
    order = np.argsort(-np.array(new_scores), kind='stable')[:max_segments]
    rows = np.array(rows, dtype=np.int64)[order]
    picked = (segments[rows], np.array(new_scores, dtype=np.float32)[order], labels[rows])
    return Detections(*(torch.from_numpy(x) for x in picked))


def soft_picks(
    segments: np.ndarray, scores: np.ndarray, sigma: float, min_score: float
) -> list[tuple[int, float]]:
    """Row and decayed score of every pick of one class: the best, and what it leaves of others."""
    start, end = segments.T
    length = end - start + np.float32(1e-6)
    rows, picks = np.arange(len(scores)), []
    while len(rows):
        best = scores.argmax()
        picks.append((int(rows[best]), float(scores[best])))
        shared = np.minimum(end, end[best]) - np.maximum(start, start[best])
        shared = np.maximum(shared, 0)
        overlap = shared / (length + length[best] - shared)
        scores = scores * np.exp(-(overlap**2) / sigma)
        kept = scores >= min_score
        kept[best] = False
        start, end, length = start[kept], end[kept], length[kept]
        scores, rows = scores[kept], rows[kept]
    return picks
