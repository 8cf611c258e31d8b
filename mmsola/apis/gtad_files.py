"""SoLa features as G-TAD reads THUMOS14."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from mmsola.apis.export import ExportError
from mmsola.atomic import replacing
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.snippet_times import SnippetTimeline

STREAMS = ('rgb', 'flow')
SUBSETS = ('val', 'test')


def check_gtad(names: list[str], num_channels: int, timeline: SnippetTimeline) -> None:
    """Refuse before anything is computed what G-TAD could not read.

    Raises:
        ExportError: A video's name has no subset, the channels are odd, or the stride is unknown.
    """
    odd = [name for name in names if _subset(name) is None]
    if odd:
        raise ExportError(
            f"gtad: {len(odd)} of {len(names)} videos such as {odd[0]!r} have neither 'val' nor "
            "'test' in their names, by which G-TAD finds the file\n  expected: names of THUMOS14, "
            'such as video_validation_0000051\n  fix: export as hdf5, and rename the entries'
        )
    if num_channels % 2:
        raise ExportError(
            f'gtad: {num_channels} channels cannot be halved into two streams\n  expected: an even '
            'number\n  fix: export as hdf5, and write the files yourself'
        )
    if timeline.stride_frames is None:
        raise ExportError(
            'gtad: it reads one row a frame, and how many frames a snippet stands for is not '
            'known\n  expected: timeline=dict(stride_frames=...) in the config\n  fix: set '
            'train_dataloader.dataset.timeline.stride_frames'
        )


def write_gtad(store: FeatureStore, folder: str | Path, timeline: SnippetTimeline) -> list[Path]:
    """Write ``rgb_val.h5``, ``flow_val.h5``, ``rgb_test.h5`` and ``flow_test.h5``.

    G-TAD's loader opens these four in ``feature_path``, takes the video's entry from the two of its
    subset, every ``skip_videoframes``-th row of them, and joins flow and RGB. Row f is therefore
    the snippet whose centre is nearest to frame f, whatever ``skip_videoframes`` is; the first half
    of the channels stands for RGB and the second for flow, ``(frames, C / 2)`` each.

    Args:
        store: SoLa features.
        folder: Where the four files shall lie.
        timeline: Where the snippets lie, in frames.

    Raises:
        ExportError: As :func:`check_gtad`.
    """
    names = store.names()
    check_gtad(names, store.shape(names[0])[1], timeline)
    Path(folder).mkdir(parents=True, exist_ok=True)
    written = []
    for subset in SUBSETS:
        chosen = [name for name in names if _subset(name) == subset]
        for part, stream in enumerate(STREAMS):
            path = Path(folder) / f'{stream}_{subset}.h5'
            with replacing(path) as partial, h5py.File(partial, 'w') as file:
                for name in chosen:
                    half = np.split(store.read(name), 2, axis=1)[part]
                    rows = half[nearest_snippets(len(half), timeline)]
                    file.create_dataset(Path(name).name, data=rows, compression='gzip')
            written.append(path)
    return written


def nearest_snippets(num_snippets: int, timeline: SnippetTimeline) -> np.ndarray:
    """For each frame of a video, the snippet that is centred nearest to it."""
    stride = timeline.stride_frames
    assert stride is not None
    window = stride if timeline.window_frames is None else timeline.window_frames
    first_centre = timeline.offset_frames + window / 2
    num_frames = round(first_centre + (num_snippets - 0.5) * stride)
    nearest = np.round((np.arange(num_frames) - first_centre) / stride).astype(int)
    return nearest.clip(0, num_snippets - 1)


def _subset(name: str) -> str | None:
    """As G-TAD's loader decides."""
    return next((subset for subset in SUBSETS if subset in Path(name).name), None)
