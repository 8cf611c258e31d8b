"""Linear probe: how much of the annotation a linear classifier reads off single snippets."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
from mmaction.registry import METRICS
from mmengine.logging import print_log
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score
from sklearn.preprocessing import normalize

from mmsola.evaluation.probe import ByVideo, Probe
from mmsola.evaluation.probed_videos import ClassifiedVideo, snippets_inside

Videos = list[ClassifiedVideo]


@METRICS.register_module()
class LinearProbe(Probe[ClassifiedVideo]):
    """Fit linear classifiers on snippets of some videos, score them on snippets of others.

    The features are L2-normalised and SoLa stays as it is. Everything is computed for the untouched
    features as well, so ``probe/auc_gain`` is ``probe/auc - probe/auc_untouched``. And for a plain
    moving average of them, ``probe/auc_smoothed``: SoLa looks at neighbours, and what averaging
    neighbours gains as well is not due to Similarity Matching. Where SoLa puts out another scale
    than its input's (``standardize``), ``probe/auc_scaled`` is for the features on that scale.

    - ``auc``, ``balanced_accuracy``: action (inside any annotated segment) against background, of
      a converged, class-balanced logistic regression.
    - ``mAP``: mean over classes of the average precision of one-against-rest ridge regressions;
      for sets whose segments overlap or cover nearly everything.

    The ``role`` of a video is whether it is fitted or scored. Where none has a role, a third
    is held out. No video is on both sides, and no ``group`` either: a fitted video whose group
    is also scored is left out and counted.

    Args:
        targets: ``'foreground'`` and/or ``'classes'``.
        regularization_c: Inverse strength of the logistic regression, on normalised features.
        ridge_alpha: Strength of the ridge regressions. Both defaults are what served the untouched
            features of two real sets best.
        num_classes: Only so many classes, the most frequent of the fitted videos; None takes all.
        smoothing_snippets: Width (odd) of the moving average; 5 is what SoLa sees by default.
        max_snippets_per_video: Longer videos are thinned evenly to this many snippets.
        folds: With 2 or more, ``cv_*`` measures the same by cross-validation over the fitted videos
            alone. A checkpoint chosen by it has not seen the scored videos.
        seed: Of the splits; the fits themselves have no randomness.

    Raises:
        ValueError: One side lacks videos, or action or background.

    Examples:
        >>> import torch
        >>> probe, jump = LinearProbe(), dict(segment=[0, 20], label='jump')
        >>> for role in ('fit', 'score'):
        ...     x = torch.rand(8, 40)  # of 40 snippets, one a second
        ...     x[0, :20] += 5
        ...     video = dict(video_name=role, role=role, sola_feature=x, annotations=[jump])
        ...     probe.process({'inputs': [x]}, [dict(video, snippet_centres_sec=range(40))])
        >>> probe.evaluate(size=2)['probe/auc']
        1.0
    """

    default_prefix = 'probe'

    def __init__(
        self,
        targets: Sequence[str] = ('foreground',),
        regularization_c: float = 1.0,
        ridge_alpha: float = 10.0,
        num_classes: int | None = None,
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
        unknown = set(targets) - {'foreground', 'classes'}
        if unknown or not targets:
            raise ValueError(
                f"LinearProbe: targets are 'foreground' and 'classes', got {list(targets)}."
            )
        self.targets = tuple(targets)
        self.regularization_c = regularization_c
        self.ridge_alpha = ridge_alpha
        self.num_classes = num_classes

    def _keep(
        self,
        sample: dict,
        features: dict[str, np.ndarray],
        centres_sec: np.ndarray,
        kept: np.ndarray,
    ) -> ClassifiedVideo:
        return ClassifiedVideo(
            name=sample['video_name'],
            role=sample['role'],
            group=sample.get('group') or sample['video_name'],
            features=features,
            inside=snippets_inside(centres_sec[kept], sample['annotations']),
        )

    def _rows(self, fit: Videos, score: Videos, kind: str) -> tuple[ByVideo, ByVideo]:
        return (
            [normalize(video.features[kind]) for video in fit],
            [normalize(video.features[kind]) for video in score],
        )

    def _score(
        self, fit: Videos, score: Videos, x_fit: np.ndarray, x_score: np.ndarray
    ) -> dict[str, float]:
        metrics: dict[str, float] = {}
        if 'foreground' in self.targets:
            metrics.update(self._foreground(fit, score, x_fit, x_score))
        if 'classes' in self.targets:
            metrics['mAP'] = self._classes(fit, score, x_fit, x_score)
        return metrics

    def _foreground(
        self,
        fit: Videos,
        score: Videos,
        x_fit: np.ndarray,
        x_score: np.ndarray,
    ) -> dict[str, float]:
        y_fit, y_score = (
            np.concatenate([video.action() for video in videos]) for videos in (fit, score)
        )
        for y, side in ((y_fit, 'fit'), (y_score, 'score')):
            if y.all() or not y.any():
                raise ValueError(
                    f'LinearProbe: all {len(y)} snippets to {side} are '
                    f'{"action" if y.all() else "background"}; a probe needs both. Check the '
                    "timeline (fps, stride_frames) of the data set, or set targets=['classes']."
                )
        classifier = LogisticRegression(
            C=self.regularization_c, class_weight='balanced', max_iter=2000
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always', ConvergenceWarning)
            classifier.fit(x_fit, y_fit)
        if any(issubclass(w.category, ConvergenceWarning) for w in caught):
            print_log('LinearProbe: the classifier did not converge in 2000 steps.', 'current')
        logit = classifier.decision_function(x_score)
        return {
            'auc': float(roc_auc_score(y_score, logit)),
            'balanced_accuracy': float(balanced_accuracy_score(y_score, logit > 0)),
        }

    def _classes(
        self,
        fit: Videos,
        score: Videos,
        x_fit: np.ndarray,
        x_score: np.ndarray,
    ) -> float:
        frequency: Counter[str] = Counter()
        for video in fit:
            frequency.update({label: int(mask.sum()) for label, mask in video.inside.items()})
        # ties go by name, so that the choice does not depend on the order of the videos
        ranked = sorted(frequency, key=lambda label: (-frequency[label], label))
        labels = ranked[: self.num_classes]
        y_fit, y_score = (
            np.concatenate([video.one_hot(labels) for video in videos]) for videos in (fit, score)
        )
        scored = y_score.any(0) & y_fit.any(0)
        if not scored.any():
            raise ValueError('LinearProbe: no class occurs both in videos to fit and to score.')
        ridge = Ridge(alpha=self.ridge_alpha).fit(x_fit, y_fit[:, scored].astype('f4'))
        prediction = ridge.predict(x_score).reshape(len(x_score), -1)
        return float(average_precision_score(y_score[:, scored], prediction, average='macro'))
