"""ActivityNet's submission json, read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mmsola.evaluation.detection_map import LabelledSegments


def read_submission(file: str | Path) -> dict[str, LabelledSegments]:
    """Proposals or detections of each video; the label of one without is ``''``.

    Raises:
        ValueError: The file is missing, of another format, or a segment is reversed.
    """
    if not Path(file).is_file():
        raise ValueError(f'{file}: no such file of results.')
    videos = {}
    try:
        for name, entries in json.loads(Path(file).read_text(encoding='utf-8'))['results'].items():
            segments = np.array([entry['segment'] for entry in entries], float).reshape(-1, 2)
            scores = np.array([entry['score'] for entry in entries], float)
            labels = [str(entry.get('label', '')) for entry in entries]
            if (segments[:, 1] < segments[:, 0]).any() or not np.isfinite(scores).all():
                raise ValueError(f'video {name}: a segment is reversed, or a score no number')
            videos[name] = LabelledSegments(segments, labels, scores)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{file}: not a file of results ({error!r}); expected {{"results": {{video: '
            '[{"segment": [start, end], "score": ..., "label": ...}]}}.'
        ) from error
    return videos
