from mmsola.datasets.localization_transforms import GenerateSnippetLabels, LoadSnippetProposals
from mmsola.datasets.samplers import SnippetWindowSampler
from mmsola.datasets.sliding_window_dataset import SlidingWindowDataset
from mmsola.datasets.snippet_feature_dataset import SnippetFeatureDataset
from mmsola.datasets.timeline import SnippetTimeline
from mmsola.datasets.transforms import LoadSnippetSequence, LoadSnippetWindow, PackSnippetInputs

__all__ = [
    'GenerateSnippetLabels',
    'LoadSnippetProposals',
    'LoadSnippetSequence',
    'LoadSnippetWindow',
    'PackSnippetInputs',
    'SlidingWindowDataset',
    'SnippetFeatureDataset',
    'SnippetTimeline',
    'SnippetWindowSampler',
]
