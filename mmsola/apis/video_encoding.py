"""From videos to snippet features: one frozen encoder, in batches of one size."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mmsola.datasets.features.feature_errors import feature_error
from mmsola.datasets.videos.snippet_sampling import SnippetSampling
from mmsola.datasets.videos.snippet_stream import SnippetChunk, SnippetStream
from mmsola.datasets.videos.video_facts import VideoFacts
from mmsola.messages.first_few import first_few
from mmsola.messages.main_process_log import log_in_main_process
from mmsola.messages.progress import Progress

BATCH_SIZE = 32


class Encoder(Protocol):
    """What is asked of an encoder here; a ``SnippetEncoder`` is one."""

    sampling: SnippetSampling
    frame_pipeline: list
    snippet_pipeline: list

    @property
    def clips(self) -> dict[str, int]: ...

    def settings(self) -> dict[str, Any]: ...

    def __call__(self, inputs: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class EncodedSnippets:
    """Some consecutive snippets of one video as float32 ``features`` ``(N, C)``.

    ``failure`` says why the video ends here without being whole; then there are no features.
    """

    name: str
    facts: VideoFacts | None = None
    features: np.ndarray | None = None
    failure: str | None = None


def encoded_snippets(
    encoder: Encoder,
    videos: Mapping[str, Path],
    batch_size: int = BATCH_SIZE,
    fps: float | None = None,
    num_workers: int = 0,
    show_progress: bool = True,
) -> Iterator[EncodedSnippets]:
    """Features of all videos, piece by piece, the snippets of each in order.

    A batch holds snippets of any videos and is always of one size, so a feature does not depend on
    what it was computed with.

    Args:
        encoder: The frozen encoder.
        videos: Names and files.
        batch_size: Snippets that the encoder takes at once.
        fps: Bring all videos to this many frames a second; None keeps their own.
        num_workers: Processes that decode ahead; 0 decodes between two batches, and then the
            videos come in their order.
        show_progress: Show a bar with the time left.
    """
    stream = SnippetStream(
        videos,
        encoder.sampling,
        encoder.frame_pipeline,
        encoder.snippet_pipeline,
        encoder.clips,
        fps,
    )
    loader = DataLoader(stream, batch_size=None, num_workers=num_workers, prefetch_factor=None)
    left = dict.fromkeys(videos, 1.0)  # of each video, what is still to do
    num_snippets = num_failed = 0
    with Progress(float(len(videos)), 'Extracting features', show=show_progress) as progress:
        for piece in _encoded(loader, encoder, batch_size):
            yield piece
            done = left[piece.name]
            if piece.features is None or piece.facts is None:
                num_failed += 1
            else:
                num_snippets += len(piece.features)
                done = len(piece.features) / piece.facts.num_snippets
            left[piece.name] -= done
            progress.update(done, f'{num_snippets:,} snippets, {num_failed} failed')


def whole_videos(pieces: Iterable[EncodedSnippets]) -> Iterator[EncodedSnippets]:
    """All snippets of each video together, ``(T, C)``, as soon as they are there.

    Raises:
        FeatureError: A feature is not finite.
    """
    features: dict[str, np.ndarray] = {}
    num_snippets: dict[str, int] = {}
    for piece in pieces:
        name = piece.name
        if piece.failure is not None:
            features.pop(name, None)
            yield piece
            continue
        assert piece.features is not None and piece.facts is not None
        _check_finite(piece, num_snippets.get(name, 0))
        if name not in features:
            num_snippets[name] = 0
            size = (piece.facts.num_snippets, piece.features.shape[1])
            features[name] = np.empty(size, np.float32)
        begin, end = num_snippets[name], num_snippets[name] + len(piece.features)
        features[name][begin:end] = piece.features
        num_snippets[name] = end
        if end == piece.facts.num_snippets:
            yield EncodedSnippets(name, piece.facts, features.pop(name))


def warn_about_lost_frames(lost: Mapping[str, int]) -> None:
    """Log which videos lost how many frames, if any did."""
    if lost:
        of_each = [f'{name} ({count})' for name, count in lost.items()]
        log_in_main_process(
            f'In {len(of_each)} videos frames cannot be decoded or are damaged, and the '
            f'nearest ones stand for them: {first_few(of_each)}',
            logging.WARNING,
        )


def bytes_of(path: Path) -> int:
    """Size of a file, 0 if it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _Row(NamedTuple):
    """One snippet that waits for its batch."""

    name: str
    facts: VideoFacts
    inputs: Tensor


def _encoded(
    chunks: Iterable[SnippetChunk], encoder: Callable[[Tensor], Tensor], batch_size: int
) -> Iterator[EncodedSnippets]:
    """Features of the chunks' snippets in order, computed in batches of one size."""
    rows: list[_Row] = []
    for chunk in chunks:
        if chunk.failure is not None:
            rows = [row for row in rows if row.name != chunk.name]
            yield EncodedSnippets(chunk.name, failure=chunk.failure)
            continue
        assert chunk.inputs is not None and chunk.facts is not None
        if rows and rows[0].inputs.shape != chunk.inputs.shape[1:]:
            yield from _encode(rows, encoder, batch_size)  # uncropped videos differ in size
            rows = []
        rows += [_Row(chunk.name, chunk.facts, snippet) for snippet in chunk.inputs]
        while len(rows) >= batch_size:
            yield from _encode(rows[:batch_size], encoder, batch_size)
            rows = rows[batch_size:]
    if rows:
        yield from _encode(rows, encoder, batch_size)


def _encode(
    rows: list[_Row], encoder: Callable[[Tensor], Tensor], batch_size: int
) -> Iterator[EncodedSnippets]:
    inputs = torch.stack([row.inputs for row in rows])
    filler = inputs[-1:].expand(batch_size - len(rows), *inputs.shape[1:])
    features = encoder(torch.cat([inputs, filler]))[: len(rows)].numpy()
    begin = 0
    for i, row in enumerate(rows):
        if i + 1 == len(rows) or rows[i + 1].name != row.name:
            yield EncodedSnippets(row.name, row.facts, features[begin : i + 1])
            begin = i + 1


def _check_finite(piece: EncodedSnippets, start_snippet: int) -> None:
    assert piece.features is not None
    if not np.isfinite(piece.features).all():
        raise feature_error(
            f'{piece.name}: snippets {start_snippet} to {start_snippet + len(piece.features) - 1} '
            'have features that are not finite',
            'numbers',
            'compute them in full precision (no amp)',
        )
