"""Linear probe: how much of the annotation a linear classifier reads off single snippets."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import normalize

from mmsola.evaluation.probed_videos import ProbedVideo, snippets_inside, split_by_role
from mmsola.models.layers.moving_average import moving_average

# the last where the module puts out another scale
REFERENCES = ('untouched', 'smoothed', 'scaled')
Videos = list[ProbedVideo]


@METRICS.register_module()
class LinearProbe(BaseMetric):
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
        super().__init__(collect_device=collect_device, prefix=prefix)
        if smoothing_snippets < 1 or smoothing_snippets % 2 == 0:
            raise ValueError(
                f'LinearProbe: smoothing_snippets must be odd, got {smoothing_snippets}.'
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
        self.smoothing_snippets = smoothing_snippets
        self.max_snippets_per_video = max_snippets_per_video
        self.folds = folds
        self.seed = seed
        # they do not change during training, so they are measured once
        self._references: dict[str, dict[str, float]] = {}
        self._measured: list[str] = []

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep some snippets of each video, before and after SoLa, with their annotation."""
        for raw, sample in zip(data_batch['inputs'], data_samples):
            if 'snippet_centres_sec' not in sample:
                raise ValueError(
                    f'LinearProbe: {sample["video_name"]} has no annotation, or no timeline to '
                    "relate it to. Set role='fit' or 'score' on its data set to learn which."
                )
            centres = np.asarray(sample['snippet_centres_sec'])
            count = min(len(centres), self.max_snippets_per_video)
            kept = np.linspace(0, len(centres) - 1, count).round().astype(int)
            features = {'sola': sample['sola_feature']}
            if not self._references:
                smoothed = moving_average(raw.float(), self.smoothing_snippets)
                features.update(untouched=raw, smoothed=smoothed)
                if 'scaled_feature' in sample:
                    features['scaled'] = sample['scaled_feature']
            self.results.append(
                ProbedVideo(
                    name=sample['video_name'],
                    role=sample['role'],
                    group=sample.get('group') or sample['video_name'],
                    features={
                        kind: x[:, kept].T.float().cpu().numpy() for kind, x in features.items()
                    },
                    inside=snippets_inside(centres[kept], sample['annotations']),
                )
            )

    def compute_metrics(self, results: list[ProbedVideo]) -> dict[str, float]:
        """Figures of SoLa, of untouched and smoothed features, and the gain over untouched ones."""
        names = [video.name for video in results]
        if self._references and names != self._measured:
            raise ValueError(
                'LinearProbe: the validation videos have changed since the untouched features '
                'were measured; build a metric of its own for each data set.'
            )
        fit, score = split_by_role(results, self.seed)
        if not self._references:
            self._references = {
                kind: self._measure(fit, score, kind)
                for kind in REFERENCES
                if kind in results[0].features
            }
            self._measured = names
        metrics: dict[str, float] = {}
        for key, value in self._measure(fit, score, 'sola').items():
            metrics[key] = value
            for kind in self._references:
                metrics[f'{key}_{kind}'] = self._references[kind][key]
            metrics[f'{key}_gain'] = value - self._references['untouched'][key]
        return metrics

    def _measure(self, fit: Videos, score: Videos, kind: str) -> dict[str, float]:
        metrics = self._score(fit, score, kind)
        if self.folds >= 2:
            groups = [video.group for video in fit]
            if len(set(groups)) < self.folds:
                raise ValueError(
                    f'LinearProbe: folds={self.folds} needs as many groups of videos to fit, found '
                    f'{len(set(groups))}; lower `folds`.'
                )
            folds = [
                self._score([fit[i] for i in inner], [fit[i] for i in held_out], kind)
                for inner, held_out in GroupKFold(
                    self.folds, shuffle=True, random_state=self.seed
                ).split(fit, groups=groups)
            ]
            for key in metrics.copy():
                metrics[f'cv_{key}'] = float(np.mean([fold[key] for fold in folds]))
        return metrics

    def _score(self, fit: Videos, score: Videos, kind: str) -> dict[str, float]:
        x_fit, x_score = (
            normalize(np.concatenate([video.features[kind] for video in videos]))
            for videos in (fit, score)
        )
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
