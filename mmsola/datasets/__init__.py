from mmsola.datasets.localization_transforms import GenerateSnippetLabels, LoadSnippetProposals
from mmsola.datasets.point_transforms import (
    GenerateGridSegments,
    ResizeSnippets,
    TruncateSnippets,
)
from mmsola.datasets.samplers import SnippetWindowSampler
from mmsola.datasets.sliding_window_dataset import SlidingWindowDataset
from mmsola.datasets.snippet_clip_dataset import SnippetClipDataset
from mmsola.datasets.snippet_feature_dataset import SnippetFeatureDataset
from mmsola.datasets.timeline import SnippetTimeline
from mmsola.datasets.transforms import (
    LoadSnippetClips,
    LoadSnippetSequence,
    LoadSnippetWindow,
    PackSnippetInputs,
)

__all__ = [
    'GenerateGridSegments',
    'GenerateSnippetLabels',
    'LoadSnippetProposals',
    'LoadSnippetClips',
    'LoadSnippetSequence',
    'LoadSnippetWindow',
    'PackSnippetInputs',
    'ResizeSnippets',
    'SlidingWindowDataset',
    'SnippetClipDataset',
    'SnippetFeatureDataset',
    'SnippetTimeline',
    'SnippetWindowSampler',
    'TruncateSnippets',
]
