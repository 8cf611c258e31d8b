"""Mean and spread of each channel over many videos, one video after another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from mmsola.datasets.features.feature_errors import feature_error

#: A standard deviation below this share of its channel's mean is rounding, and counts as 0.
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class ChannelMoments:
    """Sums over snippets from which mean and standard deviation follow, in float64.

    Args:
        num_videos: Videos that were seen.
        count: Their snippets.
        mean: ``(C,)``.
        squares: ``(C,)``, sum of squared distances from the mean.
        norms: Sum of the snippets' lengths.

    Examples:
        >>> first = ChannelMoments.of('a', np.array([[1.0, 7.0], [3.0, 7.0]]))
        >>> both = first.with_others(ChannelMoments.of('b', np.array([[5.0, 7.0]])))
        >>> both.mean.tolist(), both.count
        ([3.0, 7.0], 3)
        >>> both.std.round(4).tolist()
        [1.633, 0.0]
    """

    num_videos: int
    count: int
    mean: np.ndarray
    squares: np.ndarray
    norms: float

    @classmethod
    def of(cls, name: str, feature: np.ndarray) -> ChannelMoments:
        """Those of one video, of features ``(T, C)``.

        Raises:
            FeatureError: It holds NaN or infinite values.
        """
        feature = feature.astype(np.float64)
        if not np.isfinite(feature).all():
            num_bad = int((~np.isfinite(feature)).any(axis=1).sum())
            raise feature_error(
                f'{name}: {num_bad} of {len(feature)} snippets hold NaN or infinite values',
                'numbers, to take mean and standard deviation of',
                "extract it again, or leave it out; check='values' of the data set finds all such",
            )
        mean = feature.mean(axis=0)
        return cls(
            1,
            len(feature),
            mean,
            np.square(feature - mean).sum(axis=0),
            float(np.linalg.norm(feature, axis=1).sum()),
        )

    def with_others(self, other: ChannelMoments) -> ChannelMoments:
        """Those of both, without the features (Chan et al., 1979)."""
        count = self.count + other.count
        apart = other.mean - self.mean
        return ChannelMoments(
            self.num_videos + other.num_videos,
            count,
            self.mean + apart * (other.count / count),
            self.squares + other.squares + np.square(apart) * (self.count * other.count / count),
            self.norms + other.norms,
        )

    @property
    def std(self) -> np.ndarray:
        """Standard deviation ``(C,)``; exactly 0 where a channel is constant up to rounding."""
        std = np.sqrt(self.squares / self.count)
        return np.where(std > _LEAST_SPREAD * np.abs(self.mean), std, 0.0)

    @property
    def constant_share(self) -> float:
        """Length of the mean over the mean length of a snippet: what all snippets share."""
        return float(np.linalg.norm(self.mean)) * self.count / max(self.norms, 1e-300)


def joined(parts: Iterable[ChannelMoments | None]) -> ChannelMoments | None:
    """Those of all parts together; None stands for a part without videos."""
    there = [part for part in parts if part is not None]
    return reduce(ChannelMoments.with_others, there) if there else None


def stored_videos(dataset: Any) -> dict[tuple[int, str], Any]:
    """The stores of a data set's videos by store and name, each video once.

    Windows of a video are one video; data sets that are joined may share one.

    Raises:
        TypeError: Its entries have no feature store, as those of ``SnippetFeatureDataset`` have.
    """
    found: dict[tuple[int, str], Any] = {}
    for i in range(len(dataset)):
        info = dataset.get_data_info(i) if hasattr(dataset, 'get_data_info') else {}
        store = info.get('feature_store')
        if store is None:
            raise TypeError(f'{type(dataset).__name__}: its entries name no feature store')
        found[id(store), info['video_name']] = store
    return found
