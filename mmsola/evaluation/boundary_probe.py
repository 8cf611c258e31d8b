"""Boundary probe: how well a linear classifier finds starts and ends from neighbours' changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mmaction.registry import METRICS
from mmengine.logging import print_log
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from mmsola.evaluation.probe import ByVideo, Probe
from mmsola.evaluation.probed_videos import ProbedVideo

MOST_SNIPPETS_OF_PCA = 5000


@dataclass(frozen=True)
class BoundedVideo(ProbedVideo):
    """A whole video and its boundaries.

    Args:
        kept: Indices of the snippets that are rows of the classifier.
        near: ``(len(kept),)``: which of them are near an annotated start or end.
        num_boundaries: Starts and ends between the first and the last snippet.
    """

    kept: np.ndarray
    near: np.ndarray
    num_boundaries: int


Videos = list[BoundedVideo]


@METRICS.register_module()
class BoundaryProbe(Probe[BoundedVideo]):
    """Classify "an annotated start or end is near" from differences of neighbouring snippets.

    A class-agnostic companion of :class:`LinearProbe` for what localizers do first. Channels are
    standardised and reduced to ``num_components`` principal components of the fitted videos (of at
    most 5000 snippets, evenly; labels play no part), so neither offset nor scale of a channel
    matters. A snippet's row is, for each reach k, ``|mean of the k snippets after - mean of the k
    before|`` of each component, and the length of that difference. Near the edges of a video fewer
    snippets are averaged; the difference is scaled so that noise has the same size everywhere. The
    first and the last snippet have no row. A converged, class-balanced logistic regression reads
    the standardised rows.

    - ``auc``: area under the ROC curve over all scored snippets; noise has 0.5.
    - ``ap``: their average precision; noise has the share of snippets near a boundary.

    Beside them ``*_untouched``, ``*_smoothed`` (a moving average), ``*_gain`` and ``cv_*``, and
    roles and groups, as of :class:`LinearProbe`. Starts before the first snippet's centre and ends
    after the last are no boundaries. Videos without a boundary are skipped, and counted in the log.
    The features of whole videos are kept in memory until the figures are computed.

    Args:
        radius_sec: How near is near, in seconds; at least half the distance of two snippets. None
            is the distance of two snippets.
        reach_snippets: How many snippets before and after are compared.
        num_components: Principal components; with fewer channels, all.
        regularization_c: Inverse strength of the logistic regression, on standardised rows.
        smoothing_snippets: Width (odd) of the moving average.
        max_snippets_per_video: Of longer videos only so many rows are taken, evenly. Differences
            are those of all snippets.
        folds: With 2 or more, ``cv_*`` measures the same by cross-validation over the fitted videos
            alone. A checkpoint chosen by it has not seen the scored videos.
        seed: Of the splits.

    Raises:
        ValueError: One side has no boundary, or nothing else.

    Examples:
        >>> import torch
        >>> probe, jump = BoundaryProbe(), dict(segment=[11.5, 24.5], label='jump')
        >>> for role in ('fit', 'score'):
        ...     x = torch.zeros(3, 40)  # of 40 snippets, one a second
        ...     x[0, 12:25] += 5
        ...     video = dict(video_name=role, role=role, sola_feature=x, annotations=[jump])
        ...     probe.process({'inputs': [x]}, [dict(video, snippet_centres_sec=range(40))])
        >>> probe.evaluate(size=2)['boundary/auc']
        1.0
    """

    default_prefix = 'boundary'

    def __init__(
        self,
        radius_sec: float | None = None,
        reach_snippets: Sequence[int] = (1, 2, 4, 8),
        num_components: int = 32,
        regularization_c: float = 1e-3,
        smoothing_snippets: int = 5,
        max_snippets_per_video: int = 200,
        folds: int = 0,
        seed: int = 0,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(
            smoothing_snippets, max_snippets_per_video, folds, seed, collect_device, prefix
        )
        if radius_sec is not None and radius_sec <= 0:
            raise ValueError(f'BoundaryProbe: radius_sec must be above 0, got {radius_sec}.')
        if not reach_snippets or min(reach_snippets) < 1:
            raise ValueError(
                f'BoundaryProbe: reach_snippets must be 1 or more each, got {reach_snippets}.'
            )
        self.radius_sec = radius_sec
        self.reach_snippets = tuple(reach_snippets)
        self.num_components = num_components
        self.regularization_c = regularization_c
        self._num_skipped = 0

    def _read(self, feature: Tensor, kept: np.ndarray) -> Tensor:
        return feature  # neighbours of those that are kept are looked at, too

    def _keep(
        self,
        sample: dict,
        features: dict[str, np.ndarray],
        centres_sec: np.ndarray,
        kept: np.ndarray,
    ) -> BoundedVideo:
        # the first and the last snippet lack a side
        kept = kept[(kept > 0) & (kept < len(centres_sec) - 1)]
        boundaries_sec = boundaries_inside(centres_sec, sample['annotations'])
        near = near_boundary(centres_sec, boundaries_sec, self.radius_sec)[kept]
        return BoundedVideo(
            name=sample['video_name'],
            role=sample['role'],
            group=sample.get('group') or sample['video_name'],
            features=features,
            kept=kept,
            near=near,
            num_boundaries=len(boundaries_sec),
        )

    def _probed(self, videos: Videos) -> Videos:
        probed = [video for video in videos if video.num_boundaries and len(video.kept)]
        if not probed:
            raise ValueError(
                f'BoundaryProbe: none of {len(videos)} videos has a start or end between its first '
                'and its last snippet. Check the timeline (fps, stride_frames) of the data set, or '
                'leave this metric out.'
            )
        num_skipped = len(videos) - len(probed)
        if num_skipped != self._num_skipped:
            self._num_skipped = num_skipped
            print_log(
                f'BoundaryProbe: {num_skipped} of {len(videos)} videos are skipped, they have no '
                'start or end between their first and their last snippet.',
                'current',
            )
        return probed

    def _rows(self, fit: Videos, score: Videos, kind: str) -> tuple[ByVideo, ByVideo]:
        mean, components = standardised_components(
            np.concatenate([video.features[kind][video.kept] for video in fit]),
            self.num_components,
        )
        fit_rows, score_rows = (
            [
                differences((video.features[kind] - mean) @ components, self.reach_snippets)[
                    video.kept
                ]
                for video in videos
            ]
            for videos in (fit, score)
        )
        return fit_rows, score_rows

    def _score(
        self, fit: Videos, score: Videos, x_fit: np.ndarray, x_score: np.ndarray
    ) -> dict[str, float]:
        y_fit, y_score = (
            np.concatenate([video.near for video in videos]) for videos in (fit, score)
        )
        for y, side in ((y_fit, 'fit'), (y_score, 'score')):
            if y.all() or not y.any():
                raise ValueError(
                    f'BoundaryProbe: {"all" if y.all() else "none"} of {len(y)} snippets to {side} '
                    f'are within radius_sec={self.radius_sec} of a boundary; a probe needs both. '
                    f'{"Lower" if y.all() else "Raise"} radius_sec.'
                )
        scaler = StandardScaler().fit(x_fit)
        classifier = LogisticRegression(
            C=self.regularization_c, class_weight='balanced', max_iter=1000
        ).fit(scaler.transform(x_fit), y_fit)
        logit = classifier.decision_function(scaler.transform(x_score))
        return {
            'auc': float(roc_auc_score(y_score, logit)),
            'ap': float(average_precision_score(y_score, logit)),
        }


def boundaries_inside(centres_sec: np.ndarray, annotations: Sequence[dict]) -> np.ndarray:
    """Starts and ends, in seconds, between the first and the last snippet's centre."""
    times = np.unique([sec for annotation in annotations for sec in annotation['segment']])
    return times[(times > centres_sec[0]) & (times < centres_sec[-1])]


def near_boundary(
    centres_sec: np.ndarray, boundaries_sec: np.ndarray, radius_sec: float | None
) -> np.ndarray:
    """``(T,)``: which snippets have a boundary within ``radius_sec``; :class:`BoundaryProbe`."""
    if not len(boundaries_sec):
        return np.zeros(len(centres_sec), dtype=bool)
    step_sec = (centres_sec[-1] - centres_sec[0]) / (len(centres_sec) - 1)
    # between two snippets, one of them is near
    radius_sec = step_sec if radius_sec is None else max(radius_sec, step_sec / 2)
    distance = np.abs(centres_sec[:, None] - boundaries_sec).min(1)
    return np.asarray(distance <= radius_sec + 1e-9)


def standardised_components(x: np.ndarray, num_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean ``(C,)`` and components ``(C, D)`` that take ``x - mean`` to principal components.

    Of the standardised channels of ``(N, C)``; a channel that never changes counts for nothing.
    """
    x = x[np.linspace(0, len(x) - 1, min(len(x), MOST_SNIPPETS_OF_PCA)).round().astype(int)]
    mean, std = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    # what is left of rounding a constant is none of its changes
    scale = np.where(std > 1e-6 * np.abs(mean), 1 / np.maximum(std, 1e-30), 0.0)
    standard = (x - mean) * scale
    _, vectors = np.linalg.eigh(standard.T @ standard)  # in rising order
    return mean, scale[:, None] * vectors[:, ::-1][:, :num_components]


def differences(x: np.ndarray, reaches: Sequence[int]) -> np.ndarray:
    """``|mean of k after - mean of k before|`` of ``(T, D)`` for each reach k, and its length.

    At the edges the mean is that of the snippets there are, and the difference is scaled to the
    spread it would have with all of them, if they were noise. The first and the last snippet lack
    a side and have 0.

    Returns:
        ``(T, len(reaches) * (D + 1))``.
    """
    total = np.concatenate([np.zeros((1, x.shape[1])), x.cumsum(0, dtype=np.float64)])  # (T+1, D)
    index = np.arange(len(x))
    columns = []
    for reach in reaches:
        first, past = np.maximum(index - reach, 0), np.minimum(index + reach + 1, len(x))
        num_before, num_after = np.maximum([index - first, past - index - 1], 1)[..., None]
        before = (total[index] - total[first]) / num_before
        after = (total[past] - total[index + 1]) / num_after
        spread = np.sqrt((1 / num_before + 1 / num_after) / (2 / reach))
        change = np.abs(after - before) / spread
        change[[0, -1]] = 0
        columns += [change, np.linalg.norm(change, axis=1, keepdims=True)]
    return np.concatenate(columns, axis=1)
