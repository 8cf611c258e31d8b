from mmsola.datasets.samplers import SnippetWindowSampler
from mmsola.datasets.sliding_window_dataset import SlidingWindowDataset
from mmsola.datasets.snippet_clip_dataset import SnippetClipDataset
from mmsola.datasets.snippet_feature_dataset import SnippetFeatureDataset
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.datasets.transforms.grid_segments import GenerateGridSegments
from mmsola.datasets.transforms.loading import (
    LoadSnippetClips,
    LoadSnippetSequence,
    LoadSnippetWindow,
    PackSnippetInputs,
)
from mmsola.datasets.transforms.proposals import LoadSnippetProposals
from mmsola.datasets.transforms.resizing import ResizeSnippets
from mmsola.datasets.transforms.truncation import TruncateSnippets
from mmsola.datasets.transforms.window_segments import GenerateSnippetLabels

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
