"""Video-level class scores, which give class-agnostic proposals their labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.special import softmax

from mmsola.datasets.known_sets import see_page
from mmsola.files.json_file import read_json_object
from mmsola.files.name_match import NameLookup
from mmsola.messages.first_few import first_few


class ClassScoreError(ValueError):
    """A file of class scores that cannot be used."""


class ClassScores:
    """Scores of every class for every video, of a classifier of whole videos.

    Four layouts of ``results`` in a json file: CUHK's, ``{video: [scores]}`` beside ``class``, the
    names in the same order; TCANet's for HACS, ``{video: [[logits]]}`` beside them, of which the
    softmax counts; ``{video: {name: score}}``; and ``{video: [{label, score}, ...]}``. Videos
    are found with and without ActivityNet's ``v_`` or a suffix.

    Args:
        file: The json file.

    Raises:
        ClassScoreError: It is missing, of another layout, or a score is no number.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        if not Path(file).is_file():
            raise ClassScoreError(
                f'{file}: no such file of class scores; set class_scores=dict(file=...) to one, '
                f'or leave class_scores out{see_page(file) or "."}'
            )
        try:
            content = read_json_object(file, ClassScoreError, 'class scores of videos')
            names = content.get('class')
            self._videos = {
                video: _by_name(scores, names) for video, scores in content['results'].items()
            }
        except ClassScoreError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ClassScoreError(
                f'{file}: not a file of class scores ({type(error).__name__}: {error}); expected '
                '{"class": [names], "results": {video: [scores]}} or {video: [[logits]]}, or '
                '{"results": {video: {name: score}}} or {video: [{"label", "score"}]}.'
            ) from error
        if not self._videos:
            raise ClassScoreError(f'{file}: holds class scores of no video.')
        self._names = NameLookup(self._videos)

    @property
    def classes(self) -> set[str]:
        """Every class that some video has a score for."""
        return {name for scores in self._videos.values() for name in scores}

    def __contains__(self, video: str) -> bool:
        return self._find(video) is not None

    def top(self, video: str, k: int) -> list[tuple[str, float]]:
        """The ``k`` best classes of a video and their scores; none if it is not there."""
        scores = self._find(video) or {}
        return sorted(scores.items(), key=lambda item: -item[1])[:k]

    def check(self, videos: Iterable[str], classes: Iterable[str]) -> list[str]:
        """Videos without scores.

        Raises:
            ClassScoreError: A class has no score in any video, so it could never be detected; or
                no video is there at all, which is a matter of names.
        """
        unknown = sorted(set(classes) - self.classes)
        if unknown:
            raise ClassScoreError(
                f'{self.file}: no scores of the annotated classes '
                f'[{first_few(map(repr, unknown))}]; it has {len(self.classes)}, such as '
                f'[{first_few(map(repr, sorted(self.classes)), 3)}]. Use the scores of the same '
                'label set.'
            )
        videos = list(videos)
        missing = [video for video in videos if video not in self]
        if videos and len(missing) == len(videos):
            raise ClassScoreError(
                f'{self.file}: has none of {len(videos)} videos such as {videos[0]!r}; its own are '
                f'called like {next(iter(self._videos))!r}.'
            )
        return missing

    def _find(self, video: str) -> dict[str, float] | None:
        name = self._names.find(video)
        return None if name is None else self._videos[name]


def _by_name(scores: object, names: list[str] | None) -> dict[str, float]:
    if isinstance(scores, list) and len(scores) == 1 and isinstance(scores[0], list) and scores[0]:
        scores = softmax(np.array(scores[0], np.float64)).tolist()
    if isinstance(scores, dict):
        pairs = list(scores.items())
    elif scores and isinstance(scores, list) and isinstance(scores[0], dict):
        pairs = [(entry['label'], entry['score']) for entry in scores]
    elif isinstance(scores, list) and names is not None and len(scores) == len(names):
        pairs = list(zip(names, scores))
    else:
        raise ValueError('scores of a video are neither named nor as many as "class"')
    found = {str(name): float(score) for name, score in pairs}
    if not np.isfinite(list(found.values())).all():
        raise ValueError('a score is not a number')
    return found
