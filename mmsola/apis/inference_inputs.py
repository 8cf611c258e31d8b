"""What actions are looked for in: videos and feature files, and what is known of their time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.features.stream_store import open_features
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.datasets.videos.video import list_videos
from mmsola.datasets.videos.video_facts import read_facts
from mmsola.files.suffixes import VIDEO_SUFFIXES
from mmsola.structures.video_record import VideoRecord


class InferenceError(ValueError):
    """An input, or a config, that actions cannot be looked for with."""


class InputFiles:
    """Videos and files of features by the names that their results will have.

    Folders are searched for videos, else for features. Each folder of features is opened once.

    Args:
        inputs: Files and folders.
        feature: How features lie on disk, from the config's data set.

    Attributes:
        paths: All of them.
        videos: Those that are videos.

    Raises:
        InferenceError: One is not there, two have one name, or there is none.
    """

    def __init__(self, inputs: Iterable[str | Path], feature: Mapping[str, Any]) -> None:
        kept = ('layout', 'entry', 'num_channels', 'pool_axes', 'streams', 'max_surplus')
        self._settings = {key: feature[key] for key in kept if key in feature}
        self._stores: dict[tuple[Path, str], FeatureStore] = {}
        self._stored: dict[Path, tuple[FeatureStore, str]] = {}
        files: list[Path] = []
        for each in map(Path, inputs):
            if not each.exists():
                raise InferenceError(
                    f'{each}: no such file or folder; expected a video, a feature file, or a '
                    'folder of either.'
                )
            files += self._in_folder(each) if each.is_dir() else self._file(each)
        if not files:
            raise InferenceError('there is nothing to look at: no input was named.')
        self.paths = by_name(files)
        self.videos = {name: path for name, path in self.paths.items() if is_video(path)}

    def features(self) -> Iterator[tuple[str, np.ndarray, dict]]:
        """Name, features ``(T, C)``, and what their extraction knows of the video, of each file."""
        by_store: dict[int, list[str]] = {}
        for name in self.paths.keys() - self.videos.keys():
            by_store.setdefault(id(self._stored[self.paths[name]][0]), []).append(name)
        for names in by_store.values():
            stored = [self._stored[self.paths[name]] for name in names]
            stored[0][0].check([held for _, held in stored], progress=False)
            for name, (store, held) in zip(names, stored):
                array = store.read(held)
                yield name, array, _facts(self.paths[name], len(array))

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
    named: dict[str, Path] = {}
    for path in paths:
        if named.get(path.stem, path) != path:
            raise InferenceError(
                f'{path} and {named[path.stem]}: two inputs called {path.stem!r}, and so would be '
                'their results; rename one, or look at them one by one.'
            )
        named[path.stem] = path
    return named


def is_video(path: Path) -> bool:
    """Whether a file is called like a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def _facts(path: Path, num_snippets: int) -> dict:
    file = path.with_suffix('.json')
    facts = asdict(read_facts(file, InferenceError)) if file.is_file() else {}
    if facts and facts['num_snippets'] != num_snippets:
        raise InferenceError(
            f'{path}: has {num_snippets} snippets, {file.name} beside it says '
            f'{facts["num_snippets"]}\n  expected: features and facts of one extraction\n'
            '  fix: extract this video again'
        )
    return {**facts, 'num_snippets': num_snippets}


def annotation_entry(
    path: Path,
    facts: Mapping[str, Any],
    record: VideoRecord | None,
    fps: float | None,
    timeline: SnippetTimeline,
) -> dict[str, Any]:
    """A video's entry in an annotation file: what is known of its time."""
    fps = facts.get('fps') or fps or (record.fps if record else None) or timeline.fps
    duration_sec = facts.get('duration_sec') or (record.duration_sec if record else None)
    if fps is None and timeline.stride_frames is not None or duration_sec is None and fps is None:
        raise InferenceError(
            f'{path}: at how many frames a second its snippets were taken is not known; expected '
            f'{path.stem}.json of mmsola extract beside it. Give fps, or an annotation '
            'file with it.'
        )
    if duration_sec is None:
        num_snippets = facts['num_snippets']
        duration_sec = timeline.span_sec(num_snippets, VideoRecord(path.stem, fps=fps))[1]
    entry: dict[str, Any] = {'duration': duration_sec, 'annotations': []}
    if fps is not None:
        entry |= {'fps': fps, 'frame': max(1, round(duration_sec * fps))}
    return entry
