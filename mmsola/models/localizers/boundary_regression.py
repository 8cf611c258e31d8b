"""TCANet's temporal boundary regressors, at a fraction of their cost."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmaction.models.localizers.tcanet import TBR
from torch import Tensor, nn


def regress_boundaries(
    tbr: TBR, segments: Tensor, features: Tensor, video: Tensor
) -> tuple[Tensor, Tensor]:
    """What ``tbr`` predicts for each segment, without a copy of the features for each.

    Gradients reach the features, the weights and, through the sampling, the segments.

    Args:
        tbr: MMAction2's regressor, whose weights and sample numbers count.
        segments: ``(N, 2)`` of start and end in units of the video; what is outside is cut off.
        features: ``(B, C, T)``.
        video: ``(N,)``, the row of ``features`` that each segment lies in.

    Returns:
        Offsets of start and end ``(N, 2)``, and of centre, width and the tIoU before its sigmoid
        ``(N, 3)``.
    """
    ttn = tbr.ttn
    start, end = segments.to(precise(tbr.reg1se[0].weight)).unbind(1)  # (N,) each
    context = ttn.prop_boundary_ratio * (end - start)
    num_positions = features.shape[-1]
    starts = _positions(start - context, start, ttn.se_sample_num, num_positions)
    actions = _positions(start, end, ttn.action_sample_num, num_positions)
    ends = _positions(end, end + context, ttn.se_sample_num, num_positions)
    sides = torch.stack([starts, ends], dim=1)  # (N, 2, L)
    whole = torch.cat([starts, actions, ends], dim=1).unsqueeze(1)  # (N, 1, 2 * L + L')
    start_end = _later_layers(
        tbr.reg1se, sampled_convolution(tbr.reg1se[0], sides, features, video)
    )
    centre_width = _later_layers(
        tbr.reg1xw, sampled_convolution(tbr.reg1xw[0], whole, features, video)
    )
    return start_end.to(precise(start_end)), centre_width.to(precise(centre_width))


def sampled_convolution(
    conv: nn.Conv1d, positions: Tensor, features: Tensor, video: Tensor
) -> Tensor:
    """Apply ``conv`` to features at fractional positions, linearly interpolated, zero outside.

    The stock layers copy the features of a video for each of its segments, sample every copy at
    some 128 points and convolve those. Both steps are linear, so the convolution's weights can go
    first, on the T positions of a video, which its hundred segments share; what is left for each
    output is a sum over the taps, of two neighbouring positions each.

    Args:
        conv: Of ``S * C`` channels, no group of which sees two of the S sides.
        positions: ``(N, S, L)``, from -1 to below T. The input of ``conv`` is, of each side, the
            features there, side by side along the channels.
        features: ``(B, C, T)``.
        video: ``(N,)``, the row of ``features`` for each row of ``positions``.

    Returns:
        ``(N, O, L')``, in memory ``(N, L', O)``, and in float32 at least, whatever autocast says:
        half precision has too few fractions of a snippet.
    """
    dtype = precise(conv.weight)
    num_sides, num_taps = positions.shape[1], conv.kernel_size[0]
    with torch.autocast(features.device.type, enabled=False):
        # K = taps, o = O / S; zeros at positions -1 and T stand for everything outside
        padded = F.pad(features.to(dtype), (1, 1)).repeat(1, num_sides, 1)  # (B, S * C, T + 2)
        weight = conv.weight.to(dtype).transpose(1, 2)  # (O, C', K) -> (O, K, C')
        weight = weight.flatten(0, 1).unsqueeze(-1)  # (O * K, C', 1)
        mixed = F.conv1d(padded, weight, groups=conv.groups)  # (B, O * K, T + 2)
        mixed = mixed.unflatten(1, (num_sides, -1, num_taps))  # (B, S, o, K, T + 2)
        mixed = mixed.permute(0, 1, 3, 4, 2)  # (B, S, K, T + 2, o)
        # the convolution's own padding is zero too, as position -1 is
        points = F.pad(positions, 2 * conv.padding, value=-1.0)
        points = points.unfold(-1, num_taps, conv.stride[0])  # (N, S, L', K)
        left = points.detach().floor()
        share = points - left
        # clamped for the sake of NaN, whose share stays NaN
        row = (left.long() + 1).clamp(0, mixed.shape[3] - 2)
        first = torch.arange(mixed[..., 0].numel(), device=row.device)
        first = first.view(mixed.shape[:-1])  # (B, S, K, T + 2), rows of the flat mixed
        row = row + first[video, :, None, :, 0]  # (N, S, L', K)
        bags = torch.stack([row, row + 1], dim=-1)  # (N, S, L', K, 2)
        bags = bags.flatten(3).flatten(0, 2)  # (N * S * L', K * 2)
        shares = torch.stack([1 - share, share], dim=-1).view_as(bags)
        sampled = F.embedding_bag(bags, mixed.flatten(0, 3), mode='sum', per_sample_weights=shares)
        num_rows, _, num_outputs, _ = row.shape
        sampled = sampled.view(num_rows, num_sides, num_outputs, mixed.shape[-1])  # (N, S, L', o)
        sampled = sampled.transpose(1, 2).flatten(2)  # (N, L', S * o), which is (N, L', O)
        return (sampled + conv.bias.to(dtype)).transpose(1, 2)  # (N, O, L')


def precise(x: Tensor) -> torch.dtype:
    """Single precision, or double where this is double."""
    return torch.promote_types(x.dtype, torch.float32)


def _later_layers(regressor: nn.Sequential, x: Tensor) -> Tensor:
    """All layers but the first, ``(N, O)`` of ``(N, C, L)`` that lies in memory as (N, L, C)."""
    _, relu, conv, _, last = regressor[:5]
    x = x.to(conv.weight.dtype)  # of a model in half precision; autocast rounds by itself
    # as an image of height 1, which PyTorch convolves in that layout; sequences it would rearrange
    x = F.conv2d(
        relu(x).unsqueeze(2),
        conv.weight.unsqueeze(2),
        conv.bias,
        stride=(1, conv.stride[0]),
        padding=(0, conv.padding[0]),
        groups=conv.groups,
    )
    # a convolution as wide as its input is a matrix product, and takes several times as long
    # G = groups, c and o = channels of one group, in and out
    x = relu(x).squeeze(2).transpose(1, 2)  # (N, C, 1, L) -> (N, L, C)
    x = x.unflatten(2, (last.groups, -1))  # (N, L, G, c)
    x = x.permute(2, 0, 1, 3).flatten(2)  # (G, N, L * c)
    weight = last.weight.unflatten(0, (last.groups, -1))  # (G, o, c, L)
    weight = weight.permute(0, 3, 2, 1).flatten(1, 2)  # (G, L * c, o)
    x = torch.bmm(x, weight).transpose(0, 1).flatten(1) + last.bias  # (N, G * o)
    return regressor[5:](x.unsqueeze(2)).flatten(1)


def _positions(start: Tensor, end: Tensor, number: int, num_positions: int) -> Tensor:
    """Centres of ``number`` cells between ``start`` and ``end``, where position 0 is a centre."""
    start, end = start.clamp(0, 1)[:, None], end.clamp(0, 1)[:, None]
    centres = (torch.arange(number, device=start.device) + 0.5) / number
    return (start + (end - start) * centres) * num_positions - 0.5
