"""Files of results in ActivityNet's layout: proposals or detections of each video."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmsola.files.json_file import read_json_object

_LAYOUT = '{"results": {video: [{"segment": [start, end], "score": ..., "label": ...}]}}'


class Found(NamedTuple):
    """What was found in one video; the label of one without is ``''``."""

    segments: np.ndarray  # (N, 2) in seconds
    scores: np.ndarray  # (N,)
    labels: list[str]


class _Fault(ValueError):
    """What is wrong with a file, without its name."""


def read_results(
    file: str | Path, error: type[ValueError], what: str = 'results', advice: str = ''
) -> dict[str, Found]:
    """Segments of each video, in seconds, with their scores and labels.

    Args:
        file: The json file.
        error: What is raised.
        what: What the file holds, for the message.
        advice: How to get such a file, for the message of one that is missing.

    Raises:
        error: The file is missing, damaged or of another layout; a video stands in it twice; a time
            or score is no finite number, or a segment is reversed.
    """
    if not Path(file).is_file():
        raise error(f'{file}: no such file of {what}{advice}.')
    try:
        content = read_json_object(file, _Fault, _LAYOUT)
        videos = content.get('results')
        if not isinstance(videos, dict):
            raise _Fault('it has no "results"')
        return {name: _found(name, entries) for name, entries in videos.items()}
    except _Fault as fault:
        found = str(fault).splitlines()[0].removeprefix(f'{file}: ')
        raise error(f'{file}: not a file of {what} ({found}); expected {_LAYOUT}.') from fault


def _found(name: str, entries: Any) -> Found:
    if not isinstance(entries, list):
        raise _Fault(f'video {name}: holds a {type(entries).__name__}, no list')
    segments = np.empty((len(entries), 2))
    scores = np.empty(len(entries))
    labels = []
    for i, entry in enumerate(entries):
        try:
            start, end = entry['segment']
            segments[i] = float(start), float(end)  # a text of a number is one
            scores[i] = float(entry['score'])
            labels.append(str(entry.get('label', '')))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise _Fault(
                f'video {name}: entry {i} is {repr(entry)[:80]} ({type(error).__name__})'
            ) from error
    if not np.isfinite(segments).all():
        raise _Fault(f'video {name}: a time is NaN or infinite')
    if (segments[:, 1] < segments[:, 0]).any() or not np.isfinite(scores).all():
        raise _Fault(f'video {name}: a segment is reversed, or a score no number')
    return Found(segments, scores, labels)
