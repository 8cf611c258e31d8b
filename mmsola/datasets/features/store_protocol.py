"""What others ask of whatever holds snippet features."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from mmsola.datasets.features.array_layout import ArrayLayout


class SnippetReader(Protocol):
    """What a pipeline asks: the ``feature_store`` of each entry of a data set.

    ``FeatureStore`` reads files, ``FeatureBank`` has those of a whole data set in memory,
    ``ArrayStore`` those of a single video.
    """

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Snippets ``start`` to ``stop - 1`` of a video, float32 ``(stop - start, C)``."""
        ...


class SnippetStore(SnippetReader, Protocol):
    """What a data set asks besides, to list its videos and to check them before the first step."""

    def names(self) -> list[str]:
        """Every video that is there, sorted."""
        ...

    def __contains__(self, name: str) -> bool: ...

    def find(self, names: Iterable[str]) -> dict[str, str]:
        """Match names of videos with those of the store: which it has under which other name."""
        ...

    def path(self, name: str) -> str:
        """Where a video lies or should lie, for messages."""
        ...

    def shape(self, name: str) -> tuple[int, int]:
        """(T, C) of a video: snippets and channels."""
        ...

    def check(
        self, names: Iterable[str] | None = None, values: bool = True, progress: bool = True
    ) -> None:
        """Raise ``FeatureError`` unless all of these videos can be used."""
        ...


class CheckedStore(SnippetStore, Protocol):
    """What the check of a store asks besides (:mod:`feature_check`); ``FeatureStore`` has it."""

    root: str
    layout: str
    num_channels: int | None
    array_layout: ArrayLayout

    def settings(self) -> dict:
        """What a video that passed the check depends on, besides its file."""
        ...

    def stamp(self, name: str) -> tuple[int, int] | None:
        """Size and modification time of a video's file; None where it has none."""
        ...

    def inspect(self, name: str) -> tuple[int, int]:
        """(T, C) of a video, read anew; raises ``FeatureError`` unless it is one of features."""
        ...

    def is_plainly_finite(self, name: str) -> bool:
        """Whether a look at the file's bytes shows that all values are finite."""
        ...
