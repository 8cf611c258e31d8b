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
from mmsola.version import provenance


@dataclass(frozen=True)
class LabelledVideo:
    """A video as this classifier sees it.

    Args:
        name: The video.
        feature: ``(C,)``, see :func:`video_feature`.
        labels: The classes of its segments; None where nobody annotated it.
    """

    name: str
    feature: np.ndarray
    labels: frozenset[str] | None


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
        self._of_every_video = 1.0

    def fit(self, videos: Sequence[LabelledVideo]) -> VideoClassifier:
        """Learn from the annotated ones of these videos; their labels, sorted, are the classes.

        Raises:
            ValueError: No video has a label; or every one has all, so there is nothing to learn.
        """
        annotated = [(video, video.labels) for video in videos if video.labels is not None]
        self.classes = tuple(sorted({label for _, labels in annotated for label in labels}))
        if not self.classes:
            raise ValueError(
                f'none of {len(videos)} videos to learn from has a label\n  expected: annotated '
                'videos\n  fix: check ann_file and subset of the training'
            )
        occurs = np.array([[label in labels for label in self.classes] for _, labels in annotated])
        if len(self.classes) > 1 and occurs.all():
            raise ValueError(
                f'all {len(self.classes)} classes occur in each of the {len(annotated)} videos to '
                'learn from\n  expected: classes that some of the videos lack\n  fix: learn from '
                'more videos'
            )
        features = np.stack([video.feature for video, _ in annotated])
        self._of_class = []
        for column in occurs.T:
            if column.all():  # nothing to tell apart
                self._of_class.append(None)
                continue
            logistic = LogisticRegression(C=self.regularization_c, max_iter=2000)
            self._of_class.append(make_pipeline(StandardScaler(), logistic).fit(features, column))
        self._of_every_video = (len(annotated) + 1) / (len(annotated) + 2)
        return self

    def scores(self, videos: Sequence[LabelledVideo]) -> np.ndarray:
        """``(N, K)``: how likely each class happens in each video.

        One that happened in all n videos learned from has ``(n + 1) / (n + 2)`` in every video.
        """
        features = np.stack([video.feature for video in videos])
        columns = [
            np.full(len(videos), self._of_every_video)
            if model is None
            else model.predict_proba(features)[:, 1]
            for model in self._of_class
        ]
        return np.stack(columns, axis=1)


def classification_figures(
    scores: np.ndarray, videos: Sequence[LabelledVideo], classes: Sequence[str]
) -> Mapping[str, float]:
    """How good scores ``(N, K)`` are, in percent; none where no annotated video has a class.

    ``mAP`` is the mean over the classes that occur in the annotated ones of these videos of the
    average precision of ranking them; ``top1`` the share of them in which the class of the best
    score occurs.
    """
    rows = [i for i, video in enumerate(videos) if video.labels is not None]
    scores = scores[rows]
    occurs = np.array(
        [[label in (videos[i].labels or ()) for label in classes] for i in rows], bool
    ).reshape(len(rows), len(classes))
    present = occurs.any(axis=0)
    if not present.any():
        return {}
    precision = average_precision_score(occurs[:, present], scores[:, present], average='macro')
    best = occurs[np.arange(len(rows)), scores.argmax(axis=1)]
    return {'mAP': 100 * float(precision), 'top1': 100 * float(best.mean())}


def write_class_scores(
    file: str | Path, scores: np.ndarray, videos: Sequence[LabelledVideo], classes: Sequence[str]
) -> None:
    """Write scores ``(N, K)`` in CUHK's layout, which ``class_scores=dict(file=...)`` reads."""
    content = {
        'made_with': provenance(),
        'class': list(classes),
        'results': {
            video.name: [round(float(score), 6) for score in row]
            for video, row in zip(videos, scores)
        },
    }
    with replacing(file) as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False), encoding='utf-8')
