"""Non-maximum suppression of segments as it is described: one class, one pick after the other."""

from __future__ import annotations

import torch

from mmsola.structures.candidates import Candidates


def plain_segment_nms(
    candidates,
    method='soft',
    sigma=0.5,
    tiou=0.1,
    min_score=0.001,
    per_class=True,
    max_segments=200,
    voting_tiou=None,
    voting_by='score_tiou',
):
    """What ``SegmentNMS`` must give; same arguments."""
    if method is None:
        return candidates
    segments, scores, labels = candidates
    groups = labels.unique() if per_class else [None]
    picked_rows, picked_scores = [], []
    for group in groups:
        rows = torch.arange(len(labels)) if group is None else (labels == group).nonzero()[:, 0]
        if method == 'soft':
            picks = soft_picks(segments[rows], scores[rows], sigma, min_score)
        else:
            picks = hard_picks(segments[rows], scores[rows], tiou, min_score)
        for row, score in picks[:max_segments]:
            picked_rows.append(rows[row])
            picked_scores.append(score)
    if not picked_rows:
        return Candidates(segments[:0], scores[:0], labels[:0])
    rows, new_scores = torch.stack(picked_rows), torch.stack(picked_scores)
    new_segments = segments[rows]
    if voting_tiou is not None:
        new_segments = voted(new_segments, segments, scores, voting_tiou, voting_by)
    order = new_scores.argsort(descending=True)[:max_segments]
    return Candidates(new_segments[order], new_scores[order], labels[rows][order])


def soft_picks(segments, scores, sigma, min_score):
    """Pairs of row and decayed score, in the order of the picks."""
    rows, picks = torch.arange(len(scores)), []
    while len(rows):
        best = scores.argmax()
        picks.append((rows[best], scores[best]))
        weight = (-(overlap(segments[best], segments) ** 2) / sigma).exp()
        weight[best] = 0
        scores = scores * weight
        kept = scores >= min_score
        kept[best] = False
        segments, scores, rows = segments[kept], scores[kept], rows[kept]
    return picks


def hard_picks(segments, scores, tiou, min_score):
    """As :func:`soft_picks`, with scores as they were."""
    rows = (scores > min_score).nonzero()[:, 0]
    rows = rows[scores[rows].argsort(descending=True)]
    picks = []
    while len(rows):
        best, rest = rows[0], rows[1:]
        picks.append((best, scores[best]))
        rows = rest[overlap(segments[best], segments[rest]) < tiou]
    return picks


def overlap(segment, others, extra=1e-6):
    """TIoU ``(N,)``, every length ``extra`` longer."""
    start = torch.maximum(segment[0], others[:, 0])
    end = torch.minimum(segment[1], others[:, 1])
    shared = (end - start).clamp(min=0)
    lengths = others[:, 1] - others[:, 0] + extra
    return shared / ((segment[1] - segment[0] + extra) + lengths - shared)


def voted(picked, segments, scores, tiou, by):
    """Each picked segment as the mean of those that overlap it."""
    means = []
    for segment in picked:
        shared = overlap(segment, segments, extra=0)
        weight = scores * (shared >= tiou)
        weight = weight * shared if by == 'score_tiou' else weight
        means.append((weight[:, None] * segments).sum(dim=0) / weight.sum())
    return torch.stack(means)
