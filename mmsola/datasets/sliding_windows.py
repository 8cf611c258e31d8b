"""Where the overlapping windows of a long video lie."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SlidingWindows:
    """Windows of ``window`` snippets that overlap; the last one ends with the video.

    Args:
        window: Snippets that the head sees at once. A shorter video is one window.
        overlap: Share of a window that the next one sees again.
        margin: Snippets read on either side for the neck.
        min_covered: Share of a segment that must lie in a window to count.

    Raises:
        ValueError: One of these makes no sense.
    """

    window: int = 256
    overlap: float = 0.5
    margin: int = 2
    min_covered: float = 0.5

    def __post_init__(self) -> None:
        is_usable = self.window >= 1 and 0 <= self.overlap < 1 and self.margin >= 0
        if not (is_usable and 0 <= self.min_covered <= 1):
            raise ValueError(
                'SlidingWindowDataset: expected window >= 1, 0 <= overlap < 1, margin >= 0 and '
                f'0 <= min_covered <= 1, got window={self.window}, overlap={self.overlap}, '
                f'margin={self.margin}, min_covered={self.min_covered}.'
            )

    def of(self, video: dict) -> list[dict]:
        """A video's entry in a data set once for each window, with where that lies.

        Added keys: ``min_covered``, ``read_snippets`` (start, stop), ``window_sec`` (start, end).
        Changed keys: ``snippet_span_sec``, that of the snippets that are read.

        Raises:
            ValueError: Where the video's snippets lie in time is not known.
        """
        if 'snippet_span_sec' not in video:
            raise ValueError(
                f'{video["video_name"]}: where its snippets lie in time is not known, so it cannot '
                'be cut into windows; expected an annotation with fps, or timeline=dict(fps=...).'
            )
        return [self._window(video, start) for start in self._starts(video['num_snippets'])]

    def _starts(self, num_snippets: int) -> list[int]:
        last = max(num_snippets - self.window, 0)
        step = max(1, round(self.window * (1 - self.overlap)))
        return [*range(0, last, step), last]

    def _window(self, video: dict, start: int) -> dict:
        first_sec, last_sec = video['snippet_span_sec']
        stride_sec = (last_sec - first_sec) / video['num_snippets']
        read_start = max(start - self.margin, 0)
        read_stop = min(start + self.window + self.margin, video['num_snippets'])
        return {
            **video,
            'min_covered': self.min_covered,
            'read_snippets': (read_start, read_stop),
            'snippet_span_sec': (
                first_sec + read_start * stride_sec,
                first_sec + read_stop * stride_sec,
            ),
            'window_sec': (
                first_sec + start * stride_sec,
                first_sec + (start + self.window) * stride_sec,
            ),
        }
