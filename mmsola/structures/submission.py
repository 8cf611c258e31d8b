"""ActivityNet's submission json, read and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mmsola.atomic import replacing
from mmsola.files.result_file import read_results
from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL
from mmsola.version import provenance


class SubmissionError(ValueError):
    """A file of results that cannot be used."""


def read_submission(file: str | Path) -> dict[str, LabelledSegments]:
    """Proposals or detections of each video; the label of one without is ``''``.

    Raises:
        SubmissionError: The file is missing, damaged or of another layout; a video is in it
            twice; a time or score is no finite number, or a segment is reversed.
    """
    return {
        name: LabelledSegments(found.segments, found.labels, found.scores)
        for name, found in read_results(file, SubmissionError).items()
    }


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
    # the one key of the format that is free
    external_data = {'made_with': provenance()}
    content = {'version': 'VERSION 1.3', 'results': results, 'external_data': external_data}
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
