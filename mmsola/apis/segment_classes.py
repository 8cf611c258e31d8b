"""Classes of found segments, from the encoder's own classifier of snippets."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmsola.models.encoders import EncoderError, SnippetEncoder
from mmsola.structures.labelled_segments import LabelledSegments


class SnippetScores(NamedTuple):
    """Class scores of the snippets of one video."""

    centres_sec: np.ndarray  # (T,)
    scores: np.ndarray  # (T, classes)
    class_names: list[str]


class ScoringEncoder:
    """An encoder that appends the class scores of each snippet to its features."""

    def __init__(self, encoder: SnippetEncoder, class_names: list[str]) -> None:
        self.encoder = encoder
        self.class_names = class_names

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder, name)

    def __call__(self, inputs: Tensor) -> Tensor:
        features, scores = self.encoder.with_scores(inputs)
        if scores.shape[1] != len(self.class_names):
            raise EncoderError(
                f'{len(self.class_names)} class names are given, the encoder tells '
                f'{scores.shape[1]} classes apart; name them all, in the order of its training.'
            )
        return torch.cat([features, scores], dim=1)


def classified(
    found: LabelledSegments, centres_sec: np.ndarray, scores: np.ndarray, names: list[str]
) -> LabelledSegments:
    """Each segment with the class of its snippets, of the nearest one if it holds none."""
    assert found.scores is not None
    labels, probabilities = [], []
    for start_sec, end_sec in found.segments:
        inside = (centres_sec >= start_sec) & (centres_sec <= end_sec)
        if not inside.any():
            inside[np.abs(centres_sec - (start_sec + end_sec) / 2).argmin()] = True
        mean = scores[inside].mean(axis=0)
        labels.append(names[int(mean.argmax())])
        probabilities.append(float(mean.max()))
    product = found.scores * np.array(probabilities)
    order = np.argsort(-product, kind='stable')
    return LabelledSegments(found.segments[order], [labels[i] for i in order], product[order])
