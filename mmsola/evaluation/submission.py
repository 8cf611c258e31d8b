"""ActivityNet's submission json, read and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmsola.atomic import replacing
from mmsola.datasets.annotations import CLASS_AGNOSTIC_LABEL
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


def write_submission(
    file: str | Path, videos: Mapping[str, LabelledSegments], strip_prefix: str = ''
) -> None:
    """Write proposals or detections; one without a label gets ``'action'``.

    Args:
        file: Where, whole or not at all.
        videos: Found segments with scores, by name.
        strip_prefix: Cut this off the names, for example ``'v_'``.
    """
    results = {
        name.removeprefix(strip_prefix): submission_entries(found) for name, found in videos.items()
    }
    content = {'version': 'VERSION 1.3', 'results': results, 'external_data': {}}
    with replacing(file) as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False), encoding='utf-8')


def submission_entries(found: LabelledSegments) -> list[dict]:
    """One video's segments as plain numbers, as the file has them."""
    assert found.scores is not None
    return [
        {
            'label': label or CLASS_AGNOSTIC_LABEL,
            'score': float(score),
            'segment': [float(start), float(end)],
        }
        for (start, end), label, score in zip(found.segments, found.labels, found.scores)
    ]
