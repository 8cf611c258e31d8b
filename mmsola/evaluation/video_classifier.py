"""A plain classifier of whole videos, which gives the proposals of BMN and its kind their names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from mmsola.atomic import replacing


@dataclass(frozen=True)
class LabelledVideo:
    """A video as this classifier sees it.

    Args:
        name: The video.
        feature: ``(C,)``, see :func:`video_feature`.
        labels: The classes of its segments.
    """

    name: str
    feature: np.ndarray
    labels: frozenset[str]


def video_feature(snippets: np.ndarray) -> np.ndarray:
    """The mean ``(C,)`` of the L2-normalised snippets ``(T, C)``."""
    mean: np.ndarray = normalize(np.asarray(snippets, np.float32)).mean(axis=0)
    return mean


class VideoClassifier:
    """One logistic regression for each class: does it happen in this video?

    Args:
        regularization_c: Inverse strength of the regularization, on standardized features.
    """

    def __init__(self, regularization_c: float = 0.01) -> None:
        self.regularization_c = regularization_c
        self.classes: tuple[str, ...] = ()
        self._of_class: list[Pipeline | None] = []

    def fit(self, videos: Sequence[LabelledVideo]) -> VideoClassifier:
        """Learn from these videos; their labels, sorted, are the classes.

        Raises:
            ValueError: No video has a label.
        """
        self.classes = tuple(sorted({label for video in videos for label in video.labels}))
        if not self.classes:
            raise ValueError(
                f'VideoClassifier: none of {len(videos)} videos has a label; expected annotated '
                'videos to learn from. Check ann_file and subset of the training.'
            )
        features = np.stack([video.feature for video in videos])
        self._of_class = []
        for label in self.classes:
            occurs = np.array([label in video.labels for video in videos])
            if occurs.all():  # nothing to tell apart
                self._of_class.append(None)
                continue
            logistic = LogisticRegression(C=self.regularization_c, max_iter=2000)
            self._of_class.append(make_pipeline(StandardScaler(), logistic).fit(features, occurs))
        return self

    def scores(self, videos: Sequence[LabelledVideo]) -> np.ndarray:
        """``(N, K)``: how likely each class happens in each video."""
        features = np.stack([video.feature for video in videos])
        columns = [
            np.ones(len(videos)) if model is None else model.predict_proba(features)[:, 1]
            for model in self._of_class
        ]
        return np.stack(columns, axis=1)


def classification_figures(
    scores: np.ndarray, videos: Sequence[LabelledVideo], classes: Sequence[str]
) -> Mapping[str, float]:
    """How good scores ``(N, K)`` are, in percent.

    ``mAP`` is the mean over the classes that occur in these videos of the average precision of
    ranking them; ``top1`` the share of videos in which the class of the best score occurs.
    """
    occurs = np.array([[label in video.labels for label in classes] for video in videos])
    present = occurs.any(axis=0)
    precision = average_precision_score(occurs[:, present], scores[:, present], average='macro')
    best = occurs[np.arange(len(videos)), scores.argmax(axis=1)]
    return {'mAP': 100 * float(precision), 'top1': 100 * float(best.mean())}


def write_class_scores(
    file: str | Path, scores: np.ndarray, videos: Sequence[LabelledVideo], classes: Sequence[str]
) -> None:
    """Write scores ``(N, K)`` in CUHK's layout, which ``class_scores=dict(file=...)`` reads."""
    content = {
        'class': list(classes),
        'results': {
            video.name: [round(float(score), 6) for score in row]
            for video, row in zip(videos, scores)
        },
    }
    with replacing(file) as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False), encoding='utf-8')
