"""Long videos cut into overlapping windows, for localizers that see a fixed stretch of time."""

from __future__ import annotations

from mmaction.registry import DATASETS

from mmsola.datasets.sliding_windows import SlidingWindows
from mmsola.datasets.snippet_feature_dataset import SnippetFeatureDataset
from mmsola.datasets.transforms.window_segments import segments_in_window


@DATASETS.register_module()
class SlidingWindowDataset(SnippetFeatureDataset):
    """Each video as windows of ``window`` snippets that overlap; the last one ends with it.

    A window is read with ``margin`` snippets of its surroundings, so that a neck computes at its
    edges what it would compute in the whole video; the head sees the window alone. The metric
    merges what is found in the windows of one video.

    Args:
        window: Snippets that the head sees at once, at their native rate. A shorter video is one
            window, and its last snippet stands for what is missing.
        overlap: Share of a window that the next one sees again.
        margin: Snippets read on either side for the neck; SoLa's ``reach``, 2 as published.
        with_action_only: Leave windows out that hold no segment, in training. A segment counts
            where ``GenerateSnippetLabels`` would keep it.
        min_covered: Share of a segment that must lie in a window to count, here and in
            ``GenerateSnippetLabels``.

    All other arguments are those of :class:`SnippetFeatureDataset`.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from mmsola.datasets import LoadSnippetSequence
        >>> from mmsola.datasets.generated.demo_data import make_demo_data
        >>> with TemporaryDirectory() as root:
        ...     file = make_demo_data(root, num_training=1, num_validation=0)
        ...     dataset = SlidingWindowDataset(
        ...         str(file),
        ...         pipeline=[LoadSnippetSequence()],
        ...         data_prefix=dict(feature=f'{root}/features'),
        ...         timeline=dict(stride_frames=8, window_frames=16),
        ...         window=32,
        ...     )
        ...     [dataset.get_data_info(i)['read_snippets'] for i in range(len(dataset))]
        [(0, 34), (14, 50), (30, 66), (37, 71)]
    """

    def __init__(
        self,
        *args,
        window: int = 256,
        overlap: float = 0.5,
        margin: int = 2,
        with_action_only: bool = False,
        min_covered: float = 0.5,
        **kwargs,
    ) -> None:
        self.windows = SlidingWindows(window, overlap, margin, min_covered)
        self.with_action_only = with_action_only
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        """The windows of every video."""
        videos = super().load_data_list()
        windows = [window for video in videos for window in self.windows.of(video)]
        if not self.with_action_only:
            self.log(f'{len(videos)} videos are cut into {len(windows)} windows.')
            return windows
        kept = [window for window in windows if self._holds_action(window)]
        self.log(
            f'{len(videos)} videos are cut into {len(windows)} windows; '
            f'{len(windows) - len(kept)} without a segment are left out.'
        )
        if not kept:
            raise ValueError(
                f'{self.ann_file}: none of {len(windows)} windows of {self.windows.window} '
                f'snippets holds {self.windows.min_covered:.0%} of a segment; set a greater window '
                'or a smaller min_covered.'
            )
        return kept

    def _holds_action(self, window: dict) -> bool:
        annotations, window_sec = window.get('annotations', ()), window['window_sec']
        return len(segments_in_window(annotations, window_sec, self.windows.min_covered)) > 0
