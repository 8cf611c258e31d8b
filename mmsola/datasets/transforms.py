"""From a video of the feature store to what a model takes."""

from __future__ import annotations

import numpy as np
import torch
from mmaction.datasets.transforms import PackLocalizationInputs
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from mmsola.datasets.samplers import window_start


@TRANSFORMS.register_module()
class LoadSnippetWindow(BaseTransform):
    """Read ``window`` consecutive snippets from a random place of a video.

    Required keys: ``video_name``, ``num_snippets``, ``feature_store``, ``window_place`` (in [0, 1),
    from ``SnippetWindowSampler``; None draws it from NumPy's global state).
    Added keys: ``raw_feature`` ``(window, C)``, ``start_snippet``.

    Args:
        window: Number of snippets.

    Raises:
        ValueError: The video is shorter than the window.
    """

    def __init__(self, window: int = 23) -> None:
        self.window = window

    def transform(self, results: dict) -> dict:
        if results['num_snippets'] < self.window:
            raise ValueError(
                f'{results["video_name"]}: {results["num_snippets"]} snippets, window '
                f'{self.window}; leave min_snippets of the data set out, and short videos are.'
            )
        place = results['window_place']
        place = np.random.random() if place is None else place
        start = int(window_start(place, results['num_snippets'], self.window))
        store = results['feature_store']
        results['raw_feature'] = store.read(results['video_name'], start, start + self.window)
        results['start_snippet'] = start
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(window={self.window})'


@TRANSFORMS.register_module()
class LoadSnippetSequence(BaseTransform):
    """Read all snippets of a video, or of its window where the data set cuts windows.

    Required keys: ``video_name``, ``feature_store``; ``read_snippets`` (start, stop) if given.
    Added keys: ``raw_feature`` ``(T, C)``.
    """

    def transform(self, results: dict) -> dict:
        part = results.get('read_snippets', ())
        results['raw_feature'] = results['feature_store'].read(results['video_name'], *part)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


@TRANSFORMS.register_module()
class PackSnippetInputs(PackLocalizationInputs):
    """MMAction2's PackLocalizationInputs for ``(T, C)`` sequences: models take ``(C, T)``."""

    def transform(self, results: dict) -> dict:
        sequence = torch.from_numpy(np.ascontiguousarray(results['raw_feature'].T))
        return super().transform({**results, 'raw_feature': sequence})
