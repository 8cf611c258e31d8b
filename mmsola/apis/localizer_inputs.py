"""From features in memory to what a localizer takes, as its config's test data say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import Compose

from mmsola.apis.inference_inputs import InferenceError
from mmsola.datasets.features.array_store import ArrayStore
from mmsola.datasets.sliding_windows import SlidingWindows
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.datasets.transforms.loading import LoadSnippetWindow
from mmsola.datasets.transforms.proposals import LoadSnippetProposals
from mmsola.datasets.video_entry import video_entry
from mmsola.structures.video_record import VideoRecord

# What stands for the test data of a stock config, which reads resized features.
_WHOLE_SEQUENCES = dict(
    type='SnippetFeatureDataset',
    pipeline=[
        dict(type='LoadSnippetSequence'),
        dict(type='GenerateSnippetLabels'),
        dict(
            type='PackSnippetInputs',
            meta_keys=(
                'video_name',
                'duration_second',
                'duration_frame',
                'feature_span',
                'window_sec',
            ),
        ),
    ],
)


class LocalizerInputs:
    """The test data of a config but for their videos: pipeline, windows and times of snippets.

    Args:
        cfg: The whole config.

    Attributes:
        feature: How features lie on disk, arguments of ``FeatureStore`` or ``StreamStore``.
        timeline: Where snippets lie in time.
        on_bad_timeline: What to do where they do not fit the durations, ``'stop'`` or ``'warn'``.
        folder: The features that the config names.

    Raises:
        InferenceError: The pipeline reads random parts of videos.
    """

    def __init__(self, cfg: Mapping[str, Any]) -> None:
        data = (cfg.get('test_dataloader') or {}).get('dataset') or {}
        if data.get('type') not in ('SnippetFeatureDataset', 'SlidingWindowDataset'):
            data = _WHOLE_SEQUENCES
        self.feature: dict[str, Any] = dict(data.get('feature') or {})
        self.timeline = SnippetTimeline(**data.get('timeline') or {})
        self.on_bad_timeline: str = data.get('on_bad_timeline', 'stop')
        prefix = data.get('data_prefix') or {}
        self.folder = Path(data.get('data_root') or '', prefix.get('feature', ''))
        self._pipeline = Compose(list(data.get('pipeline', ())))
        if any(isinstance(step, LoadSnippetWindow) for step in self._pipeline.transforms):
            raise InferenceError(
                'test_dataloader: its pipeline reads a random window of each video '
                '(LoadSnippetWindow); expected LoadSnippetSequence.'
            )
        self._windows: SlidingWindows | None = None
        if data['type'] == 'SlidingWindowDataset':
            keys = {field.name for field in fields(SlidingWindows)} & data.keys()
            self._windows = SlidingWindows(**{key: data[key] for key in keys})

    def check(self, names: Iterable[str]) -> None:
        """Make sure that the pipeline has what it needs of these videos.

        Raises:
            ProposalFileError: A video has no entry in the file of proposals.
        """
        for step in self._pipeline.transforms:
            if isinstance(step, LoadSnippetProposals):
                step.check(list(names))

    def samples(
        self, record: VideoRecord, features: np.ndarray, timeline: SnippetTimeline
    ) -> Iterator[dict]:
        """What the pipeline makes of a video, or of each of its windows: one item of a batch.

        Args:
            record: What is known of the video.
            features: ``(T, C)``.
            timeline: Where its snippets lie in time.
        """
        entry = video_entry(record, len(features), timeline)
        store = ArrayStore({record.name: features})
        for part in self._windows.of(entry) if self._windows else (entry,):
            yield self._pipeline({**part, 'feature_store': store})
