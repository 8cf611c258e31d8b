"""What every probe does: videos to fit and to score, references, cross-validation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from mmengine.evaluator import BaseMetric
from sklearn.model_selection import GroupKFold
from torch import Tensor

from mmsola.evaluation.host_copy import each_on_host
from mmsola.evaluation.probed_videos import ProbedVideo, split_by_role
from mmsola.models.layers.moving_average import moving_average

# the last where the module puts out another scale
REFERENCES = ('untouched', 'smoothed', 'scaled')

AnyVideo = TypeVar('AnyVideo', bound=ProbedVideo)
ByVideo = list[np.ndarray]


def check_smoothing(name: str, smoothing_snippets: int) -> None:
    """Refuse a width of the moving average that has no middle.

    Raises:
        ValueError: It is not odd.
    """
    if smoothing_snippets < 1 or smoothing_snippets % 2 == 0:
        raise ValueError(f'{name}: smoothing_snippets must be odd, got {smoothing_snippets}.')


class Probe(BaseMetric, Generic[AnyVideo]):
    """Fit something on some videos, score it on others; SoLa, untouched and smoothed features.

    A probe defines what it keeps of a video (``_keep``), what a classifier reads of it (``_rows``)
    and its figures (``_score``). ``<figure>_untouched`` and ``<figure>_smoothed`` do not change
    during training and are measured once. So are those of ``<figure>_scaled``, where SoLa puts out
    another scale than its input's: the features on that scale.

    Args:
        smoothing_snippets: Width (odd) of the moving average.
        max_snippets_per_video: Longer videos are thinned evenly to this many snippets.
        folds: With 2 or more, ``cv_*`` figures by cross-validation over the fitted videos alone.
        seed: Of the splits.
    """

    def __init__(
        self,
        smoothing_snippets: int,
        max_snippets_per_video: int,
        folds: int,
        seed: int,
        collect_device: str,
        prefix: str | None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.name = type(self).__name__
        check_smoothing(self.name, smoothing_snippets)
        self.smoothing_snippets = smoothing_snippets
        self.max_snippets_per_video = max_snippets_per_video
        self.folds = folds
        self.seed = seed
        self._references: dict[str, dict[str, float]] = {}
        self._measured: list[str] = []

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep what is probed of each video, before and after SoLa, with its annotation."""
        videos: list[tuple[dict, np.ndarray, np.ndarray]] = []
        by_video: list[dict[str, Tensor]] = []
        for raw, sample in zip(data_batch['inputs'], data_samples):
            if 'snippet_centres_sec' not in sample:
                raise ValueError(
                    f'{self.name}: {sample["video_name"]} has no annotation, or no timeline to '
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
            videos.append((sample, centres, kept))
            by_video.append({kind: self._read(x, kept).T for kind, x in features.items()})
        for (sample, centres, kept), features in zip(videos, each_on_host(by_video)):
            self.results.append(self._keep(sample, features, centres, kept))

    def compute_metrics(self, results: list[AnyVideo]) -> dict[str, float]:
        """Figures of SoLa, of untouched and smoothed features, and the gain over untouched ones."""
        names = [video.name for video in results]
        if self._references and names != self._measured:
            raise ValueError(
                f'{self.name}: the validation videos have changed since the untouched features '
                'were measured; build a metric of its own for each data set.'
            )
        fit, score = split_by_role(self._probed(results), self.seed, self.name)
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

    def _measure(self, fit: list[AnyVideo], score: list[AnyVideo], kind: str) -> dict[str, float]:
        x_fit, x_score = self._rows(fit, score, kind)
        metrics = self._score(fit, score, np.concatenate(x_fit), np.concatenate(x_score))
        if self.folds >= 2:
            groups = [video.group for video in fit]
            if len(set(groups)) < self.folds:
                raise ValueError(
                    f'{self.name}: folds={self.folds} needs as many groups of videos to fit, found '
                    f'{len(set(groups))}; lower `folds`.'
                )
            folds = [
                self._score(
                    [fit[i] for i in inner],
                    [fit[i] for i in held_out],
                    np.concatenate([x_fit[i] for i in inner]),
                    np.concatenate([x_fit[i] for i in held_out]),
                )
                for inner, held_out in GroupKFold(
                    self.folds, shuffle=True, random_state=self.seed
                ).split(fit, groups=groups)
            ]
            for key in metrics.copy():
                metrics[f'cv_{key}'] = float(np.mean([fold[key] for fold in folds]))
        return metrics

    def _probed(self, videos: list[AnyVideo]) -> list[AnyVideo]:
        """The videos that take part; all, unless a probe skips some."""
        return videos

    def _read(self, feature: Tensor, kept: np.ndarray) -> Tensor:
        """The snippets of ``(C, T)`` that :meth:`_keep` gets."""
        return feature[:, kept]

    @abstractmethod
    def _keep(
        self,
        sample: dict,
        features: dict[str, np.ndarray],
        centres_sec: np.ndarray,
        kept: np.ndarray,
    ) -> AnyVideo:
        """What the probe needs of a video: ``features`` are ``(snippets, C)`` as read."""

    @abstractmethod
    def _rows(
        self, fit: list[AnyVideo], score: list[AnyVideo], kind: str
    ) -> tuple[ByVideo, ByVideo]:
        """What a classifier reads, ``(snippets, D)`` by video; it may not look at labels."""

    @abstractmethod
    def _score(
        self, fit: list[AnyVideo], score: list[AnyVideo], x_fit: np.ndarray, x_score: np.ndarray
    ) -> dict[str, float]:
        """Figures of a classifier fitted on the rows ``x_fit`` and scored on ``x_score``."""
