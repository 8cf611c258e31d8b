"""How well the self-similarity of a video marks changes, without labels."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from scipy.fft import dct, idct

from mmsola.evaluation.host_copy import on_host
from mmsola.evaluation.probe import check_smoothing
from mmsola.models.layers.moving_average import moving_average

FEWEST_SNIPPETS = 6


@METRICS.register_module()
class ChangeContrast(BaseMetric):
    """Share of a video's variation that segments explain, beyond an equally smooth series.

    A video is divided into contiguous segments so that snippets of a segment are as alike as can
    be (dynamic programming on the centred self-similarity). ``explained`` is the share of the
    variance over time that lies between the segments. Smoothness explains a part of it: any slow
    drift can be cut into pieces. So the same is measured on surrogates, series of the same energy
    at every frequency: the signs of the video's cosine transform over time are changed at random,
    the same signs for all channels. The figure is
    ``(explained - explained of surrogates) / (1 - explained of surrogates)``:

    - 1: segments explain everything that smoothness does not, as in a series of constant pieces;
    - 0: nothing more; noise, smoothed noise and a random walk have 0 on average;
    - below 0: changes are more gradual than those of the surrogates, as after much smoothing.

    An offset of all snippets and a common factor of all channels do not change it. Averaging over
    time does not raise it by itself; it may where it removes noise, so ``contrast_smoothed`` (a
    moving average) and ``contrast_untouched`` stand beside it, and ``contrast_gain`` is over the
    latter. Only videos with ``role='fit'`` count where roles are given: a checkpoint chosen by
    ``change/contrast`` has not seen the scored videos. The mean over videos is taken.

    Videos of more than ``piece_snippets`` snippets are measured in equal pieces of at most so many,
    together. Videos of fewer than 6 snippets are skipped, and counted in the log. A video without
    any variation has 0.

    Args:
        segment_snippets: Mean length of a segment in snippets; there are at least two segments.
        segment_sec: The same in seconds, which takes precedence; it needs a timeline.
        num_surrogates: Surrogates of each piece.
        piece_snippets: The most snippets in one piece.
        smoothing_snippets: Width (odd) of the moving average.
        seed: Of the signs, together with the video's name; all kinds of features have the same.

    Raises:
        ValueError: ``segment_sec`` is set and a video has no timeline; every video is too short.

    Examples:
        >>> import torch
        >>> metric = ChangeContrast()
        >>> raw = torch.randn(8, 40, generator=torch.Generator().manual_seed(0))
        >>> after = torch.eye(8)[:, torch.arange(40) // 10]  # four constant pieces
        >>> metric.process({'inputs': [raw]}, [dict(video_name='v', sola_feature=after)])
        >>> metrics = metric.evaluate(size=1)
        >>> round(metrics['change/contrast'], 3), abs(metrics['change/contrast_untouched']) < 0.1
        (1.0, True)
    """

    default_prefix = 'change'

    def __init__(
        self,
        segment_snippets: float = 5,
        segment_sec: float | None = None,
        num_surrogates: int = 8,
        piece_snippets: int = 64,
        smoothing_snippets: int = 5,
        seed: int = 0,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        check_smoothing('ChangeContrast', smoothing_snippets)
        if segment_snippets <= 1 or (segment_sec is not None and segment_sec <= 0):
            raise ValueError(
                'ChangeContrast: a segment must be longer than 1 snippet and 0 seconds, got '
                f'segment_snippets={segment_snippets}, segment_sec={segment_sec}.'
            )
        if num_surrogates < 1 or piece_snippets < 2 * FEWEST_SNIPPETS:
            raise ValueError(
                f'ChangeContrast: needs num_surrogates of 1 or more and piece_snippets of '
                f'{2 * FEWEST_SNIPPETS} or more, got {num_surrogates} and {piece_snippets}.'
            )
        self.segment_snippets = segment_snippets
        self.segment_sec = segment_sec
        self.num_surrogates = num_surrogates
        self.piece_snippets = piece_snippets
        self.smoothing_snippets = smoothing_snippets
        self.seed = seed
        # they do not change during training, so they are measured once
        self._references: dict[str, tuple[float, ...]] = {}

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep three numbers a video: SoLa's, the untouched and the smoothed features'."""
        to_fit = [s['sola_feature'].T for s in data_samples if s.get('role') != 'score']
        features = iter(on_host(to_fit, torch.float64))
        for raw, sample in zip(data_batch['inputs'], data_samples):
            if sample.get('role') == 'score':
                self.results.append(('score', None))
                continue
            name = sample['video_name']
            segment_snippets = self._segment_snippets(sample)
            if name not in self._references:
                smoothed = moving_average(raw.float(), self.smoothing_snippets)
                self._references[name] = tuple(
                    self._contrast(x, name, segment_snippets)
                    for x in on_host([raw.T, smoothed.T], torch.float64)
                )
            sola = self._contrast(next(features), name, segment_snippets)
            self.results.append((sample.get('role'), (sola, *self._references[name])))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """``contrast``, ``contrast_untouched``, ``contrast_smoothed`` and ``contrast_gain``."""
        by_video = np.array([figures for _, figures in results if figures is not None])
        measured = by_video[~np.isnan(by_video).any(1)] if len(by_video) else by_video
        if not len(measured):
            raise ValueError(
                f'ChangeContrast: of {len(results)} videos none to fit has {FEWEST_SNIPPETS} '
                'snippets or more; leave this metric out.'
            )
        if len(measured) < len(by_video):
            print_log(
                f'ChangeContrast: {len(by_video) - len(measured)} of {len(by_video)} videos are '
                f'skipped, they have fewer than {FEWEST_SNIPPETS} snippets.',
                'current',
            )
        sola, untouched, smoothed = map(float, measured.mean(0))
        return {
            'contrast': sola,
            'contrast_untouched': untouched,
            'contrast_smoothed': smoothed,
            'contrast_gain': sola - untouched,
        }

    def _segment_snippets(self, sample: dict) -> float:
        if self.segment_sec is None:
            return self.segment_snippets
        if 'snippet_centres_sec' not in sample:
            raise ValueError(
                f'ChangeContrast: {sample["video_name"]} has no timeline for '
                f'segment_sec={self.segment_sec}; set `timeline` on its data set, or '
                '`segment_snippets` instead.'
            )
        centres_sec = np.asarray(sample['snippet_centres_sec'])
        span_sec = centres_sec[-1] - centres_sec[0]
        return float(self.segment_sec * (len(centres_sec) - 1) / span_sec) if span_sec else 1.0

    def _contrast(self, feature: np.ndarray, name: str, segment_snippets: float) -> float:
        return change_contrast(
            feature,
            segment_snippets,
            self.num_surrogates,
            self.piece_snippets,
            np.random.default_rng([self.seed, zlib.crc32(name.encode())]),
        )


def change_contrast(
    x: np.ndarray,
    segment_snippets: float,
    num_surrogates: int,
    piece_snippets: int,
    rng: np.random.Generator,
) -> float:
    """:class:`ChangeContrast` of one sequence ``(T, C)``; NaN with fewer than 6 snippets."""
    if len(x) < FEWEST_SNIPPETS:
        return float('nan')
    beyond = possible = 0.0
    for piece in np.array_split(x, -(-len(x) // piece_snippets)):
        num_snippets = len(piece)
        signs = rng.choice([-1.0, 1.0], (num_surrogates, num_snippets))
        if np.ptp(piece, axis=0).max() <= 1e-6 * np.abs(piece).max():
            continue  # constant, but for rounding
        num_segments = int(np.clip(round(num_snippets / segment_snippets), 2, num_snippets // 2))
        transformed = dct(piece - piece.mean(0), axis=0, norm='ortho')
        spectrum = transformed @ transformed.T  # (T, T), over pairs of frequencies
        signs = np.concatenate([np.ones((1, num_snippets)), signs])  # first the video itself
        similarity = signs[:, :, None] * spectrum * signs[:, None, :]
        for axis in (1, 2):
            similarity = idct(similarity, axis=axis, norm='ortho')
        share = explained_by_segments(similarity, num_segments)
        # pieces of a video count by their length
        beyond += num_snippets * (share[0] - share[1:].mean())
        possible += num_snippets * (1 - share[1:].mean())
    return float(beyond / possible) if possible else 0.0


def explained_by_segments(similarity: np.ndarray, num_segments: int) -> np.ndarray:
    """Share of the variance that lies between segments, at the best division.

    Args:
        similarity: ``(B, T, T)``: products of all pairs of snippets of centred sequences.
        num_segments: Contiguous segments, of any length.

    Returns:
        ``(B,)`` in [0, 1].
    """
    batch, num_snippets, _ = similarity.shape
    block = np.zeros((batch, num_snippets + 1, num_snippets + 1))
    block[:, 1:, 1:] = similarity.cumsum(1).cumsum(2)  # sums from the first snippet
    diagonal = np.einsum('bii->bi', block)
    edge = np.arange(num_snippets + 1)
    length = edge - edge[:, None]
    # sum of all pairs of snippets of [start, end) over their number: length * |mean|^2
    between = diagonal[:, None, :] + diagonal[:, :, None] - 2 * block
    between = np.where(length > 0, between / np.maximum(length, 1), -np.inf)
    best = between[:, 0]  # of one segment that ends at each edge
    for _ in range(num_segments - 1):
        best = (best[:, :, None] + between).max(1)
    return np.asarray(best[:, -1] / np.einsum('bii->b', similarity))
