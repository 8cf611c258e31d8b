"""Videos of a probe: features and labels by snippet, and who is fitted, who is scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from mmengine.logging import print_log
from sklearn.model_selection import GroupShuffleSplit


@dataclass(frozen=True)
class ProbedVideo:
    """Some snippets of one video.

    Args:
        name: The video.
        role: ``'fit'``, ``'score'`` or None.
        group: What must not be on both sides; its own name where the annotation names none.
        features: Kind of feature -> ``(T, C)``.
    """

    name: str
    role: str | None
    group: str
    features: dict[str, np.ndarray]


@dataclass(frozen=True)
class ClassifiedVideo(ProbedVideo):
    """A video whose snippets are inside segments, or not.

    Args:
        inside: Class -> ``(T,)``, which snippets have their centre inside one of its segments.
    """

    inside: dict[str, np.ndarray]

    def action(self) -> np.ndarray:
        """``(T,)``: which snippets are inside a segment of any class."""
        return np.asarray(self.one_hot(sorted(self.inside)).any(axis=1))

    def one_hot(self, labels: Sequence[str]) -> np.ndarray:
        """``(T, len(labels))``: which snippets are inside a segment of each class."""
        nowhere = np.zeros(len(self.features['sola']), dtype=bool)
        columns = [self.inside.get(label, nowhere) for label in labels]
        return np.stack(columns, axis=1) if columns else nowhere[:, None]


def snippets_inside(centres_sec: np.ndarray, annotations: Sequence[dict]) -> dict[str, np.ndarray]:
    """Class -> ``(T,)``: which snippets have their centre inside one of its segments."""
    inside: dict[str, np.ndarray] = {}
    for annotation in annotations:
        start_sec, end_sec = annotation['segment']
        mask = (centres_sec >= start_sec) & (centres_sec < end_sec)
        inside[annotation['label']] = inside.get(annotation['label'], False) | mask
    return inside


AnyVideo = TypeVar('AnyVideo', bound=ProbedVideo)


def split_by_role(
    videos: Sequence[AnyVideo], seed: int, metric: str = 'LinearProbe'
) -> tuple[list[AnyVideo], list[AnyVideo]]:
    """The videos to fit and those to score, with no video and no group on both sides.

    Where no video has a role, a third of the groups is held out by ``seed``. Messages
    begin with the name ``metric``.

    Raises:
        ValueError: One side is empty, a video is on both, or only some have a role.
    """
    roles = Counter(video.role for video in videos)
    if set(roles) == {None}:
        splitter = GroupShuffleSplit(1, test_size=1 / 3, random_state=seed)
        fit_index, score_index = next(splitter.split(videos, groups=[v.group for v in videos]))
        return [videos[i] for i in fit_index], [videos[i] for i in score_index]
    if not roles['fit'] or not roles['score'] or roles[None]:
        raise ValueError(
            f"{metric}: needs videos with role='fit' and with role='score' and none without, "
            f'found {dict(roles)}. Set `role` on each data set of val_dataloader, or on none.'
        )
    score = [video for video in videos if video.role == 'score']
    fit = [video for video in videos if video.role == 'fit']
    names_scored, groups_scored = {v.name for v in score}, {v.group for v in score}
    twice = [video.name for video in fit if video.name in names_scored]
    if twice:
        raise ValueError(
            f'{metric}: {len(twice)} videos are both fitted and scored, for example '
            f'{twice[0]}. Give the two data sets disjoint annotations or subsets.'
        )
    disjoint = [video for video in fit if video.group not in groups_scored]
    if not disjoint:
        raise ValueError(
            f'{metric}: every one of {len(fit)} videos to fit shares its group with one to '
            'score; choose another group_field or another split.'
        )
    if len(disjoint) < len(fit):
        print_log(
            f'{metric}: {len(fit) - len(disjoint)} of {len(fit)} videos to fit are left out, '
            'their group is scored.',
            'current',
        )
    return disjoint, score
