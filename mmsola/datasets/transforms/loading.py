"""From a video of the feature store to what a model takes."""

from __future__ import annotations

import numpy as np
import torch
from mmaction.datasets.transforms import PackLocalizationInputs
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from mmsola.datasets.features.store_protocol import SnippetReader
from mmsola.datasets.samplers import window_start
from mmsola.messages.argument_checks import check_choice

# Where axes of (T, L, H, W, C) go.
CLIP_AXES = {'NCTHW': (0, 4, 1, 2, 3), 'NCHW': (0, 1, 4, 2, 3)}
TRUTHS = ('gt_bbox', 'gt_segments', 'gt_labels')  # one of each for a segment


@TRANSFORMS.register_module()
class LoadSnippetWindow(BaseTransform):
    """Read ``window`` consecutive snippets from anywhere in a video.

    Required keys: ``video_name``, ``num_snippets``, ``feature_store``, ``window_fraction`` (in [0,
    1), from ``SnippetWindowSampler``; None draws it from NumPy's global state).
    Added keys: ``raw_feature`` ``(window, C)``, ``start_snippet``.

    Args:
        window: Number of snippets.

    Raises:
        ValueError: The video is shorter than the window.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from mmsola.datasets.features.feature_store import FeatureStore
        >>> with TemporaryDirectory() as folder:
        ...     np.save(f'{folder}/a.npy', np.zeros((30, 8), np.float32))
        ...     video = dict(video_name='a', num_snippets=30, feature_store=FeatureStore(folder))
        ...     LoadSnippetWindow(window=23)(dict(video, window_fraction=0.5))['raw_feature'].shape
        (23, 8)
    """

    def __init__(self, window: int = 23) -> None:
        self.window = window

    def transform(self, results: dict) -> dict:
        if results['num_snippets'] < self.window:
            raise ValueError(
                f'{results["video_name"]}: {results["num_snippets"]} snippets, window '
                f'{self.window}; leave min_snippets of the data set out, and short videos are.'
            )
        fraction = results['window_fraction']
        fraction = np.random.random() if fraction is None else fraction
        start = int(window_start(fraction, results['num_snippets'], self.window))
        store: SnippetReader = results['feature_store']
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

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from mmsola.datasets.features.feature_store import FeatureStore
        >>> with TemporaryDirectory() as folder:
        ...     np.save(f'{folder}/a.npy', np.zeros((30, 8), np.float32))
        ...     video = dict(video_name='a', feature_store=FeatureStore(folder))
        ...     LoadSnippetSequence()(video)['raw_feature'].shape
        (30, 8)
    """

    def transform(self, results: dict) -> dict:
        store: SnippetReader = results['feature_store']
        part = results.get('read_snippets', ())
        results['raw_feature'] = store.read(results['video_name'], *part)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


@TRANSFORMS.register_module()
class LoadSnippetClips(BaseTransform):
    """Read the frames of all snippets of a video, shaped as a recognizer takes each of them.

    Required keys: ``video_name``, ``snippet_clips``.
    Added keys: ``raw_feature``, which MMAction2's ``PackLocalizationInputs`` packs: uint8,
    ``(T, C, L, H, W)`` for L frames a snippet, or ``(T, L, C, H, W)``.

    Args:
        input_format: That of MMAction2's ``FormatShape``: ``'NCTHW'`` for 3-D recognizers,
            ``'NCHW'`` for 2-D ones.
    """

    def __init__(self, input_format: str = 'NCTHW') -> None:
        check_choice(self, 'input_format', input_format, tuple(CLIP_AXES))
        self.input_format = input_format

    def transform(self, results: dict) -> dict:
        clips = results['snippet_clips'].read(results['video_name'])
        results['raw_feature'] = np.ascontiguousarray(clips.transpose(CLIP_AXES[self.input_format]))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.input_format!r})'


@TRANSFORMS.register_module()
class PackSnippetInputs(PackLocalizationInputs):
    """MMAction2's PackLocalizationInputs for ``(T, C)`` sequences: models take ``(C, T)``.

    Frames of snippets, which have more axes, stay as they are.

    With ``window_sec``, where that is a window of the video, goes ``covered_sec``, so that a
    localizer knows where the video ends.

    Of ``keys``, ``gt_bbox`` of two-stage localizers and ``gt_segments``, ``gt_labels`` of one-stage
    ones become tensors of these names in ``gt_instances``, for a video without any ``(0, 2)`` and
    ``(0,)``.

    Raises:
        ValueError: Those that are packed together are not equally many.

    Examples:
        >>> video = dict(video_name='a', raw_feature=np.zeros((30, 8), np.float32))
        >>> PackSnippetInputs(meta_keys=('video_name',))(video)['inputs'].shape
        torch.Size([8, 30])
    """

    def transform(self, results: dict) -> dict:
        lengths = {key: len(results[key]) for key in self.keys if key in results and key in TRUTHS}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f'{type(self).__name__}: {results.get("video_name", "a video")}: a different '
                f'number of each: {lengths}; leave out of keys what the model does not ask for.'
            )
        sequence = results['raw_feature']
        if sequence.ndim == 2:
            sequence = sequence.T
        sequence = torch.from_numpy(np.ascontiguousarray(sequence))
        packed = super().transform({**results, 'raw_feature': sequence})
        covered_sec = results.get('covered_sec')
        if packed['data_samples'].metainfo.get('window_sec', covered_sec) != covered_sec:
            packed['data_samples'].set_metainfo({'covered_sec': covered_sec})
        return packed
