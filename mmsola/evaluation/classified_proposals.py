"""Proposals without a class become detections of their video's best classes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmsola.evaluation.class_scores import ClassScores
from mmsola.messages.argument_checks import check_choice
from mmsola.structures.labelled_segments import LabelledSegments, labels_of


class ProposalClasses:
    """Gives each proposal the best classes of its video.

    Args:
        file: Of class scores (see :class:`ClassScores`).
        top_k: How many classes a proposal gets.
        multiply: Whether the scores of classes are multiplied with the proposal's; ``'root'`` is
            the root of the product, as in ActionFormer.

    Raises:
        ClassScoreError: The file cannot be used.
        ValueError: ``multiply`` is something else.
    """

    def __init__(self, file: str, top_k: int = 1, multiply: bool | str = False) -> None:
        check_choice(
            'LocalizationMetric', 'multiply of class_scores', multiply, (True, False, 'root')
        )
        self.scores = ClassScores(file)
        self.top_k = top_k
        self.multiply = multiply

    def missing(self, ground_truth: Mapping[str, LabelledSegments]) -> list[str]:
        """Annotated videos without class scores.

        Raises:
            ClassScoreError: None has any, or an annotated class could never be detected.
        """
        return self.scores.check(ground_truth, labels_of(ground_truth))

    def detections(self, proposals: Mapping[str, LabelledSegments]) -> dict[str, LabelledSegments]:
        """Every proposal once for each of its video's best classes."""
        return {name: self._classified(name, found) for name, found in proposals.items()}

    def _classified(self, name: str, found: LabelledSegments) -> LabelledSegments:
        assert found.scores is not None
        best = self.scores.top(name, self.top_k)
        scores = [found.scores * (score if self.multiply else 1.0) for _, score in best]
        if self.multiply == 'root':
            scores = [np.sqrt(product) for product in scores]
        return LabelledSegments(
            np.tile(found.segments, (len(best), 1)).reshape(-1, 2),
            [label for label, _ in best for _ in found.labels],
            np.concatenate(scores or [np.zeros(0)]),
        )
