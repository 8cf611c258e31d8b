"""Non-maximum suppression of labelled segments."""

from __future__ import annotations

import heapq

import numpy as np
import torch
from mmaction.registry import TASK_UTILS
from torch import Tensor

from mmsola.messages.argument_checks import check_argument, check_choice
from mmsola.structures.candidates import Candidates

_EXTRA = np.float32(1e-6)  # added to each length, as published
_PICKS_PER_CLEANING = 16
_ROWS_PER_BLOCK = 64  # what voting holds at once: that many times all candidates


@TASK_UTILS.register_module()
class SegmentNMS:
    """Picks the best segment, lowers the score of those that overlap it, and so on.

    Soft suppression multiplies a score by ``exp(-tIoU^2 / sigma)``. After each pick, all that fell
    below ``min_score`` are dropped; the first pick is not tested. Hard suppression drops what
    overlaps a pick by ``tiou`` or more, and at the beginning what does not exceed ``min_score``.

    Voting moves each picked segment to the weighted mean of all candidates that overlap it by
    ``voting_tiou`` or more; scores and labels stay. It needs ``per_class=False``: the published
    code does not vote where classes are apart, whatever its ``voting_thresh`` is.

    Ends at ``max_segments`` picks. Scores of picks never rise, so the best pick of any class comes
    next, and this gives what the published code gives, which suppresses each class to its end. All
    of it runs on the CPU in float32, as there; a pick is too small a step for a GPU.

    Args:
        method: ``'soft'``, ``'hard'``, or None, which changes nothing.
        sigma: Of soft suppression; a larger one lowers scores less.
        tiou: Of hard suppression.
        min_score: See above.
        per_class: Segments of other classes do not suppress each other.
        max_segments: How many are kept at most, of all classes together.
        voting_tiou: None does not vote.
        voting_by: Weight of a candidate: ``'score_tiou'``, its score before suppression times its
            tIoU (ActionFormer), or ``'score'`` alone (OpenTAD).

    Raises:
        ValueError: An argument is out of its range, or would have no effect as given.

    Source: ActionFormer (ECCV 2022); soft suppression is that of Bodla et al., ICCV 2017.

    Examples:
        >>> segments = torch.tensor([[0.0, 4.0], [0.0, 5.0], [6.0, 8.0]])
        >>> scores, labels = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([1, 1, 1])
        >>> candidates = Candidates(segments, scores, labels)
        >>> SegmentNMS(method='hard', tiou=0.5)(candidates).segments
        tensor([[0., 4.],
                [6., 8.]])
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
        check_choice(self, 'method', method, ('soft', 'hard', None))
        check_argument(sigma > 0, self, 'sigma', sigma, 'more than 0')
        check_argument(0 < tiou <= 1, self, 'tiou', tiou, 'more than 0, at most 1')
        check_argument(min_score >= 0, self, 'min_score', min_score, '0 or more')
        is_count = isinstance(max_segments, int) and max_segments > 0
        check_argument(is_count, self, 'max_segments', max_segments, 'a whole number, 1 or more')
        check_choice(self, 'voting_by', voting_by, ('score_tiou', 'score'))
        if voting_tiou is not None:
            is_share = 0 < voting_tiou <= 1
            check_argument(is_share, self, 'voting_tiou', voting_tiou, 'more than 0, at most 1')
            check_argument(
                method is not None and not per_class,
                self,
                'voting_tiou',
                voting_tiou,
                'None, since nothing votes with per_class=True or method=None; leave it out, or '
                'set per_class=False and a method',
            )
        self.method = method
        self.sigma = sigma
        self.tiou = tiou
        self.min_score = min_score
        self.per_class = per_class
        self.max_segments = max_segments
        self.voting_tiou = voting_tiou
        self.voting_by = voting_by

    def __call__(self, candidates: Candidates) -> Candidates:
        """The segments that remain, best first, on the device of the candidates."""
        if self.method is None or not len(candidates.scores):
            return candidates
        segments, scores, labels = (x.detach().cpu() for x in candidates)
        segments, scores = segments.float(), scores.float()
        rows, new_scores = self._picks(segments.numpy(), scores.numpy(), labels.numpy())
        picked = segments[rows]
        if self.voting_tiou is not None:
            picked = self._voted(picked, segments, scores, self.voting_tiou)
        device = candidates.scores.device
        return Candidates(*(x.to(device) for x in (picked, new_scores, labels[rows])))

    def _picks(
        self, segments: np.ndarray, scores: np.ndarray, labels: np.ndarray
    ) -> tuple[Tensor, Tensor]:
        """Row and new score of each pick, best first."""
        columns = np.empty((4, len(scores)), dtype=np.float32)
        columns[:2] = segments.T
        columns[2] = columns[1] - columns[0] + _EXTRA
        columns[3] = scores
        groups = [
            _SoftGroup(rows, columns[:, rows], self.sigma, self.min_score)
            if self.method == 'soft'
            else _HardGroup(rows, columns[:, rows], self.tiou, self.min_score)
            for rows in (_rows_by_class(labels) if self.per_class else [np.arange(len(scores))])
        ]
        queue = [(-group.best_score, i) for i, group in enumerate(groups) if not group.is_done]
        heapq.heapify(queue)
        rows: list[int] = []
        new_scores: list[float] = []
        while queue and len(rows) < self.max_segments:
            group = groups[queue[0][1]]
            row, score = group.pick()
            rows.append(row)
            new_scores.append(score)
            if group.is_done:
                heapq.heappop(queue)
            else:
                heapq.heapreplace(queue, (-group.best_score, queue[0][1]))
        return torch.tensor(rows, dtype=torch.int64), torch.tensor(new_scores, dtype=torch.float32)

    def _voted(self, picked: Tensor, segments: Tensor, scores: Tensor, tiou: float) -> Tensor:
        """Means of the candidates that overlap each of the picked segments ``(M, 2)``."""
        means = []
        start, end = segments.unbind(1)
        for block in picked.split(_ROWS_PER_BLOCK):
            least, most = block[:, :1], block[:, 1:]
            shared = (torch.minimum(end, most) - torch.maximum(start, least)).clamp_(min=0)
            overlap = shared / ((end - start) + (most - least) - shared)
            weight = torch.where(overlap >= tiou, scores, 0)  # M x N
            if self.voting_by == 'score_tiou':
                weight = weight * overlap.nan_to_num_(0)
            total = weight.sum(dim=1, keepdim=True)
            # nothing votes for a segment of no length, or of a score of 0
            means.append(torch.where(total > 0, (weight / total) @ segments, block))
        return torch.cat(means)


class _SoftGroup:
    """What is left of the candidates that suppress each other, softly.

    Dropping is left for later: as scores only fall, candidates below the least score are never
    picked before the others, and once the best is below it, all are.

    Args:
        rows: ``(N,)``, which candidates these are.
        columns: ``(4, N)`` of start, end, length, score; overwritten.
        sigma: See :class:`SegmentNMS`.
        min_score: See :class:`SegmentNMS`.
    """

    def __init__(
        self, rows: np.ndarray, columns: np.ndarray, sigma: float, min_score: float
    ) -> None:
        self._rows = rows
        self._columns = columns
        self._sigma = sigma
        self._min_score = min_score
        self._num_picks = 0
        self._find_best()
        self.is_done = False  # the first pick is not tested

    def pick(self) -> tuple[int, float]:
        """Row and score of the best, which is removed; the others decay."""
        rows, columns, best = self._rows, self._columns, self._best
        row, picked = int(rows[best]), columns[:, best].copy()
        rows[best], columns[:, best] = rows[0], columns[:, 0]
        self._rows, self._columns = rows[1:], columns[:, 1:]
        weight = _overlap(self._columns, picked)
        weight *= weight
        weight /= -self._sigma
        self._columns[3] *= np.exp(weight, out=weight)
        if self._num_picks % _PICKS_PER_CLEANING == 0:
            self._clean()
        self._num_picks += 1
        self._find_best()
        return row, float(picked[3])

    def _clean(self) -> None:
        kept = self._columns[3] >= self._min_score
        if np.count_nonzero(kept) < 0.8 * len(kept):  # else it costs more than it saves
            self._rows, self._columns = self._rows[kept], self._columns[:, kept]

    def _find_best(self) -> None:
        scores = self._columns[3]
        self._best = int(scores.argmax()) if len(scores) else -1
        self.best_score = float(scores[self._best]) if len(scores) else 0.0
        self.is_done = not len(scores) or bool(scores[self._best] < self._min_score)


class _HardGroup:
    """As :class:`_SoftGroup`, for hard suppression: what overlaps a pick is dropped."""

    def __init__(
        self, rows: np.ndarray, columns: np.ndarray, tiou: float, min_score: float
    ) -> None:
        if min_score > 0:
            kept = columns[3] > min_score
            rows, columns = rows[kept], columns[:, kept]
        order = np.argsort(-columns[3], kind='stable')
        self._rows, self._columns, self._tiou = rows[order], columns[:, order], tiou

    @property
    def is_done(self) -> bool:
        return not len(self._rows)

    @property
    def best_score(self) -> float:
        return float(self._columns[3, 0])

    def pick(self) -> tuple[int, float]:
        """Row and score of the best, which is removed with all that it suppresses."""
        row, picked = int(self._rows[0]), self._columns[:, 0]
        rest = self._columns[:, 1:]
        kept = _overlap(rest, picked) < self._tiou
        self._rows, self._columns = self._rows[1:][kept], rest[:, kept]
        return row, float(picked[3])


def _overlap(columns: np.ndarray, picked: np.ndarray) -> np.ndarray:
    """TIoU ``(N,)`` of a segment ``(4,)`` with others ``(4, N)``."""
    start, end, length = picked[:3]
    shared = np.minimum(columns[1], end)
    shared -= np.maximum(columns[0], start)
    np.maximum(shared, 0, out=shared)
    union = columns[2] + length
    union -= shared
    shared /= union
    return shared


def _rows_by_class(labels: np.ndarray) -> list[np.ndarray]:
    """Which rows have each label, labels ascending."""
    small = labels.astype(np.min_scalar_type(labels.max()))  # sorts several times as fast
    order = np.argsort(small, kind='stable')
    changes = np.flatnonzero(np.diff(labels[order])) + 1
    return np.split(order, changes)
