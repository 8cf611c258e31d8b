"""What actions are looked for in: videos, and files of their features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmsola.datasets.extraction_times import ExtractionTimes
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.features.stream_store import open_features
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.datasets.videos.video import list_videos
from mmsola.files.suffixes import VIDEO_SUFFIXES
from mmsola.structures.labelled_segments import LabelledSegments


class InferenceError(ValueError):
    """An input, or a config, that actions cannot be looked for with."""


@dataclass(frozen=True)
class InputVideo:
    """One video, or file of features, that actions were looked for in."""

    name: str
    path: Path
    duration_sec: float
    truth: LabelledSegments | None  # None where nobody annotated it
    annotated_classes: frozenset[str] = frozenset()  # of the whole annotation file

    @property
    def is_video(self) -> bool:
        return is_video(self.path)


class InputFiles:
    """Videos and files of features by the names that their results will have.

    Folders are searched for videos, else for features. Each folder of features is opened once.

    Args:
        inputs: Files and folders.
        feature: How features lie on disk, from the config's data set.

    Attributes:
        paths: All of them.
        videos: Those that are videos.
        stored: Those that are files of features.

    Raises:
        InferenceError: One is not there, two have one name, or there is none.
        FeatureError: Features cannot be used.
    """

    def __init__(self, inputs: Iterable[str | Path], feature: Mapping[str, Any]) -> None:
        kept = ('layout', 'entry', 'num_channels', 'pool_axes', 'streams', 'max_surplus')
        self._settings = {key: feature[key] for key in kept if key in feature}
        self._stores: dict[tuple[Path, str], FeatureStore] = {}
        self._times: dict[Path, ExtractionTimes] = {}
        self._stored: dict[Path, tuple[FeatureStore, str]] = {}
        files: list[Path] = []
        for path in map(Path, inputs):
            if not path.exists():
                raise InferenceError(
                    f'{path}: no such file or folder; expected a video, a feature file, or a '
                    'folder of either.'
                )
            files += self._in_folder(path) if path.is_dir() else self._file(path)
        if not files:
            raise InferenceError('there is nothing to look at: no input was named.')
        self.paths = by_name(files)
        self.videos = {name: path for name, path in self.paths.items() if is_video(path)}
        self.stored = {name: path for name, path in self.paths.items() if not is_video(path)}
        self._check_stored()

    def num_snippets(self, name: str) -> int:
        """T of a file of features."""
        store, key = self._stored[self.paths[name]]
        return store.shape(key)[0]

    def read(self, name: str) -> np.ndarray:
        """A file's features ``(T, C)``."""
        store, key = self._stored[self.paths[name]]
        return store.read(key)

    def timeline(self, name: str, learned: SnippetTimeline) -> SnippetTimeline:
        """Where the snippets of a file lie in time.

        Args:
            name: The file's.
            learned: Where those that the localizer learned from lie; what it leaves open is read
                from the folder of an extraction, as a data set does.

        Raises:
            TimelineError: The extraction contradicts it.
        """
        folder = Path(self._stored[self.paths[name]][0].root)
        if folder not in self._times:
            self._times[folder] = ExtractionTimes(folder)
        return self._times[folder].timeline(learned)

    def _check_stored(self) -> None:
        keys: dict[FeatureStore, list[str]] = {}
        for path in self.stored.values():
            store, key = self._stored[path]
            keys.setdefault(store, []).append(key)
        for store, of_store in keys.items():
            store.check(of_store, progress=False)

    def _in_folder(self, folder: Path) -> list[Path]:
        if any(is_video(path) for path in folder.rglob('*')):
            return sorted(list_videos(folder).values())
        store = open_features(folder, **self._settings)
        paths = {Path(store.path(name)): (store, name) for name in store.names()}
        self._stored.update(paths)
        return list(paths)

    def _file(self, path: Path) -> list[Path]:
        if not is_video(path):
            if self._settings.get('streams'):
                raise InferenceError(
                    f'{path}: the localizer learned from several streams, '
                    f'{self._settings["streams"]}\n  expected: the folder that holds them\n'
                    '  fix: name that folder'
                )
            key = (path.parent, path.suffix[1:])
            if key not in self._stores:
                self._stores[key] = FeatureStore(path.parent, format=key[1], **self._settings)
            self._stored[path] = (self._stores[key], path.stem)
        return [path]


def by_name(paths: list[Path]) -> dict[str, Path]:
    """Files by the names that their results will have."""
    found: dict[str, Path] = {}
    for path in paths:
        if found.get(path.stem, path) != path:
            raise InferenceError(
                f'{path} and {found[path.stem]}: two inputs called {path.stem!r}, and so would be '
                'their results; rename one, or look at them one by one.'
            )
        found[path.stem] = path
    return found


def is_video(path: Path) -> bool:
    """Whether a file is called like a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES
