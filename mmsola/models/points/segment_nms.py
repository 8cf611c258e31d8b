"""Non-maximum suppression of labelled segments, all classes at once."""

from __future__ import annotations

import torch
from mmaction.registry import TASK_UTILS
from torch import Tensor

from mmsola.models.points.decoding import Candidates

_EXTRA = 1e-6  # what the published code adds to every length
_GONE = -torch.inf  # score of what was picked or suppressed
_PICKS_BETWEEN = 16  # after so many, what is gone is left out of the tensors


@TASK_UTILS.register_module()
class SegmentNMS:
    """Pick the best segment, weaken or remove what overlaps it, and so on (ActionFormer's).

    Soft: the scores of all others are multiplied by ``exp(-tIoU**2 / sigma)``, and what falls below
    ``min_score`` is left out; only the first pick is never tested. Hard: what is not above
    ``min_score`` is left out first, then all whose tIoU with a pick reaches ``tiou``.

    Args:
        method: ``'soft'``, ``'hard'``, or None, which keeps all.
        sigma: How much an overlap weakens; of ``'soft'``.
        tiou: Of ``'hard'``.
        min_score: Least score.
        per_class: Suppress each class by itself.
        max_segments: The best so many of a class, and then of a video.
        voting_tiou: Move each picked segment to the mean of all candidates whose tIoU with it
            reaches this; scores and labels stay. Only without ``per_class``, as published.
        voting_by: Weight of a candidate in that mean, ``'score_tiou'`` (ActionFormer) or
            ``'score'`` (OpenTAD).

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        method: str | None = 'soft',
        sigma: float = 0.5,
        tiou: float = 0.1,
        min_score: float = 0.001,
        per_class: bool = True,
        max_segments: int = 200,
        voting_tiou: float | None = None,
        voting_by: str = 'score_tiou',
    ) -> None:
        for is_wrong, found, expected in (
            (method not in ('soft', 'hard', None), f'method={method!r}', "'soft', 'hard' or None"),
            (not sigma > 0, f'sigma={sigma}', 'a number above 0'),
            (not 0 < tiou <= 1, f'tiou={tiou}', 'a number above 0 and up to 1'),
            (not 0 <= min_score < 1, f'min_score={min_score}', 'a number from 0 to below 1'),
            (max_segments < 1, f'max_segments={max_segments}', '1 or more'),
            (
                voting_tiou is not None and not 0 < voting_tiou <= 1,
                f'voting_tiou={voting_tiou}',
                'a number above 0 and up to 1, or None',
            ),
            (
                voting_by not in ('score_tiou', 'score'),
                f'voting_by={voting_by!r}',
                "'score_tiou' or 'score'",
            ),
            (
                voting_tiou is not None and per_class,
                'voting_tiou with per_class=True',
                'per_class=False, since the published voting is not applied per class',
            ),
        ):
            if is_wrong:
                raise ValueError(f'{type(self).__name__}: {found}; expected {expected}.')
        self.method = method
        self.sigma = sigma
        self.tiou = tiou
        self.min_score = min_score
        self.per_class = per_class
        self.max_segments = max_segments
        self.voting_tiou = voting_tiou
        self.voting_by = voting_by

    def __call__(self, candidates: Candidates) -> Candidates:
        """What remains, the best first; float32, as the published code computes it."""
        segments, scores, labels = candidates
        if self.method is None or not len(scores):
            return candidates
        segments, scores = segments.float(), scores.float()
        row, score = self._picked(segments, scores, labels)
        order = score.argsort(descending=True, stable=True)[: self.max_segments]
        row, score = row[order], score[order]
        picked = segments[row]
        if self.voting_tiou is not None:
            picked = self._voted(picked, segments, scores)
        return Candidates(picked, score, labels[row])

    def _picked(self, segments: Tensor, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and scores of the picks, those of a class side by side, the best first."""
        if not self.per_class:
            labels = torch.zeros_like(labels)
        if self.method == 'hard':
            kept = (scores > self.min_score).nonzero().squeeze(1)
        else:
            kept = torch.arange(len(scores), device=scores.device)
        row = _by_class(labels[kept], kept)  # K x N, -1 behind the last of a class
        score = torch.where(row >= 0, scores[row], _GONE)
        start, end = (segments[row, column] for column in (0, 1))  # K x N
        rows, values = [], []
        for pick in range(min(self.max_segments, row.shape[1])):
            if pick % _PICKS_BETWEEN == 0 and pick:
                alive = score > _GONE
                width = int(alive.sum(dim=1).max())
                if width == 0:
                    break
                if width < 0.8 * row.shape[1]:  # the order of what remains is kept
                    order = (~alive).to(torch.uint8).argsort(dim=1, stable=True)[:, :width]
                    row, score, start, end = (x.gather(1, order) for x in (row, score, start, end))
            best_score, best = score.max(dim=1, keepdim=True)  # K x 1
            rows.append(row.gather(1, best))
            values.append(best_score)
            score.scatter_(1, best, _GONE)
            overlap = _overlap(start.gather(1, best), end.gather(1, best), start, end, _EXTRA)
            if self.method == 'hard':
                score.masked_fill_(overlap >= self.tiou, _GONE)
            else:
                score.mul_(overlap.square_().div_(-self.sigma).exp_())
                score.masked_fill_(score < self.min_score, _GONE)
        picked_rows, picked_scores = torch.cat(rows, dim=1), torch.cat(values, dim=1)
        is_pick = picked_scores > _GONE
        return picked_rows[is_pick], picked_scores[is_pick]

    def _voted(self, picked: Tensor, segments: Tensor, scores: Tensor) -> Tensor:
        overlap = _overlap(*picked[:, None].unbind(2), *segments.unbind(1), 0.0)  # picks x N
        weight = (overlap >= self.voting_tiou) * scores
        if self.voting_by == 'score_tiou':
            weight = weight * overlap
        return weight / weight.sum(dim=1, keepdim=True) @ segments


def _by_class(labels: Tensor, rows: Tensor) -> Tensor:
    """Rows of each class side by side in their order, ``(K, N)``, filled up with -1."""
    order = labels.argsort(stable=True)
    _, index, counts = labels[order].unique_consecutive(return_inverse=True, return_counts=True)
    turn = torch.arange(len(labels), device=labels.device) - (counts.cumsum(0) - counts)[index]
    table = rows.new_full((len(counts), int(counts.max()) if len(counts) else 0), -1)
    table[index, turn] = rows[order]
    return table


def _overlap(
    start: Tensor, end: Tensor, other_start: Tensor, other_end: Tensor, extra: float
) -> Tensor:
    """TIoU of segments, broadcast; every length ``extra`` longer."""
    shared = torch.minimum(end, other_end).sub_(torch.maximum(start, other_start)).clamp_(min=0)
    lengths = (end - start + extra) + (other_end - other_start + extra)
    return shared / (lengths - shared)
