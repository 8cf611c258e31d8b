"""What actions are looked for in: videos and feature files, and what is known of their time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mmsola.datasets.annotations import VideoRecord
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.timeline import SnippetTimeline
from mmsola.datasets.videos.video import VIDEO_SUFFIXES, list_videos
from mmsola.datasets.videos.video_facts import read_facts


class InferenceError(ValueError):
    """An input, or a config, that actions cannot be looked for with."""


def files_of(inputs: Iterable[str | Path]) -> dict[str, Path]:
    """Files by name; folders are searched for videos, else for features.

    Raises:
        InferenceError: One is not there, two have one name, or there is none.
    """
    files: list[Path] = []
    for each in map(Path, inputs):
        if not each.exists():
            raise InferenceError(
                f'{each}: no such file or folder; expected a video, a feature file, or a folder of '
                'either.'
            )
        files += files_in(each) if each.is_dir() else [each]
    if not files:
        raise InferenceError('there is nothing to look at: no input was named.')
    return by_name(files)


def files_in(folder: Path) -> list[Path]:
    """The videos below a folder; where there are none, its feature files."""
    files = [path for path in folder.rglob('*') if is_video(path)]
    if files:
        return sorted(list_videos(folder).values())
    store = FeatureStore(folder)
    return [Path(store.path(name)) for name in store.names()]


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


def read_features(path: Path, dataset_cfg: Mapping[str, Any]) -> tuple[np.ndarray, dict]:
    """Features ``(T, C)`` of a file, and what its extraction knows of the video."""
    settings = dict(dataset_cfg.get('feature') or {})
    settings = {k: settings[k] for k in ('layout', 'entry', 'num_channels') if k in settings}
    store = FeatureStore(path.parent, format=path.suffix[1:], **settings)
    store.check([path.stem], progress=False)
    array = store.read(path.stem)
    file = path.with_suffix('.json')
    facts = asdict(read_facts(file, InferenceError)) if file.is_file() else {}
    if facts and facts['num_snippets'] != len(array):
        raise InferenceError(
            f'{path}: has {len(array)} snippets, {file.name} beside it says '
            f'{facts["num_snippets"]}\n  expected: features and facts of one extraction\n'
            '  fix: extract this video again'
        )
    return array, {**facts, 'num_snippets': len(array)}


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
            f'{path.stem}.json of tools/extract_features.py beside it. Give fps, or an annotation '
            'file with it.'
        )
    if duration_sec is None:
        num_snippets = facts['num_snippets']
        duration_sec = timeline.span_sec(num_snippets, VideoRecord(path.stem, fps=fps))[1]
    entry: dict[str, Any] = {'duration': duration_sec, 'annotations': []}
    if fps is not None:
        entry |= {'fps': fps, 'frame': max(1, round(duration_sec * fps))}
    return entry
