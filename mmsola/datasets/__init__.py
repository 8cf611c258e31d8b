from mmsola.datasets.samplers import SnippetWindowSampler
from mmsola.datasets.snippet_feature_dataset import SnippetFeatureDataset
from mmsola.datasets.timeline import SnippetTimeline
from mmsola.datasets.transforms import LoadSnippetSequence, LoadSnippetWindow, PackSnippetInputs

__all__ = [
    'LoadSnippetSequence',
    'LoadSnippetWindow',
    'PackSnippetInputs',
    'SnippetFeatureDataset',
    'SnippetTimeline',
    'SnippetWindowSampler',
]
