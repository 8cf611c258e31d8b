"""Snippet features of videos: one frozen encoder over many files."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, barrier, get_dist_info
from torch import Tensor
from torch.utils.data import DataLoader

from mmsola.apis.manifest import check_names, differences, read_manifest, sha256_of, write_manifest
from mmsola.apis.plain_config import check_plain, without_files
from mmsola.atomic import disk_faults_named, remove_partials
from mmsola.datasets.features.containers import NpyFolder
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.features.feature_writer import FeatureWriter
from mmsola.datasets.untrimmed_videos import named, say
from mmsola.datasets.videos.pyav import load_pyav
from mmsola.datasets.videos.snippet_sampling import SnippetSampling
from mmsola.datasets.videos.snippet_stream import SnippetChunk, SnippetStream
from mmsola.datasets.videos.video_facts import EXTRACTION_MANIFEST, VideoFacts, read_facts
from mmsola.files.folder_lock import only_writer
from mmsola.files.json_file import is_positive
from mmsola.models.checkpoint_file import the_one_file
from mmsola.models.encoders import SnippetEncoder
from mmsola.progress import Progress
from mmsola.version import __version__

MANIFEST = EXTRACTION_MANIFEST
DTYPES = ('float32', 'float16')
NOT_COMPARED = ('config', 'checkpoint', 'mmsola')  # the checkpoint's hash and the frames decide


class Encoder(Protocol):
    """What is asked of an encoder here; a ``SnippetEncoder`` is one."""

    sampling: SnippetSampling
    frame_pipeline: list
    snippet_pipeline: list

    @property
    def clips(self) -> dict[str, int]: ...

    def settings(self) -> dict[str, Any]: ...

    def __call__(self, inputs: Tensor) -> Tensor: ...


class ExtractionError(ValueError):
    """An extraction that cannot be made, or that would mix with one made otherwise."""


def extract_features(
    encoder: Encoder,
    videos: Mapping[str, Path],
    out: str | Path,
    batch_size: int = 32,
    fps: float | None = None,
    dtype: str = 'float32',
    num_workers: int = 0,
    about: dict[str, Any] | None = None,
    overwrite: bool = False,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Write ``<name>.npy`` ``(T, C)`` and ``<name>.json``, what is known of it, for each video.

    Each file appears whole or not at all; a second call goes on where a killed one stopped. Videos
    that cannot be decoded are skipped, and listed in the result and in ``_extraction.json``.
    In a distributed job every process takes its share of the videos. A batch holds snippets of any
    videos and is always of one size, so a feature does not depend on what it was computed with.

    Args:
        encoder: The frozen encoder.
        videos: Names and files.
        out: A folder, empty or with this very extraction.
        batch_size: Snippets that the encoder takes at once.
        fps: Bring all videos to this many frames a second; None keeps their own.
        dtype: ``'float32'`` or ``'float16'``.
        num_workers: Processes that decode ahead; 0 decodes between two batches.
        about: What goes into ``_extraction.json``, the checkpoint's hash above all. An extraction
            begun with another one is not gone on with.
        overwrite: Begin anew.
        show_progress: Show a bar with the time left, in the first process.

    Returns:
        ``written`` and ``kept`` in videos, ``snippets`` written, ``failed`` names and reasons,
        ``lost`` names and frames that were lost; of all processes together.

    Raises:
        ExtractionError: ``out`` holds something else, a feature is not finite, or the disk is full.
        MissingPyAV: PyAV is not installed.
    """
    if dtype not in DTYPES or batch_size < 1:
        raise ExtractionError(
            f'extraction: dtype is one of {DTYPES} and batch_size at least 1, got {dtype!r} and '
            f'{batch_size}.'
        )
    load_pyav()  # missing, it would be an error of every worker
    folder = Path(out)
    if any(Path(name).name == Path(MANIFEST).stem for name in videos):
        raise ExtractionError(
            f'a video is called {MANIFEST[:-5]!r}, as the manifest is; rename it.'
        )
    check_names(videos, folder, ExtractionError)
    about = dict(about or {})
    if 'model' in about:  # it is read back as data, which must not name files to load
        about['model'] = without_files(about['model'])
    content = {
        **about,
        **encoder.settings(),
        'fps': fps,
        'dtype': dtype,
        'mmsola': __version__,
    }
    content = json.loads(json.dumps(content))  # as it will be read: json knows no tuples
    rank, world_size = get_dist_info()
    with disk_faults_named(folder, ExtractionError), ExitStack() as held:
        if rank == 0:  # for all processes of this job
            is_only = held.enter_context(only_writer(folder, ExtractionError, 'extraction'))
            _begin(folder, content, overwrite, is_only)
        barrier()
        # largest first, then in turns: the shares take about equally long
        order = sorted(videos, key=lambda name: (-_bytes_of(videos[name]), name))
        mine = order[rank::world_size]
        found = {name: _found(folder, name, dtype) for name in mine}
        todo = [name for name in mine if found[name] != 'whole']
        failed, lost, num_snippets = _extract(
            encoder,
            {name: videos[name] for name in todo},
            folder,
            batch_size,
            fps,
            dtype,
            num_workers,
            show_progress and rank == 0,
        )
        result = {
            'written': len(todo) - len(failed),
            'kept': len(mine) - len(todo),
            'snippets': num_snippets,
            'failed': failed,
            'lost': lost,
            'damaged': [name for name in mine if found[name] == 'damaged'],
        }
        results = all_gather_object(result)
        total = {key: sum(r[key] for r in results) for key in ('written', 'kept', 'snippets')}
        for key in ('failed', 'lost'):
            total[key] = {name: what for r in results for name, what in sorted(r[key].items())}
        if total['lost']:
            of_each = [f'{name} ({count})' for name, count in total['lost'].items()]
            say(
                f'In {len(of_each)} videos frames cannot be decoded or are damaged, and the '
                f'nearest ones stand for them: {named(of_each)}',
                logging.WARNING,
            )
        damaged = sorted(repr(name) for r in results for name in r['damaged'])
        if damaged:
            say(
                f'{folder}: {len(damaged)} features were lost, cut off or damaged, and are '
                f'extracted again: {named(damaged)}'
            )
        if rank == 0:
            complete = {'complete': True, 'num_videos': total['written'] + total['kept']}
            write_manifest(folder / MANIFEST, {**content, **complete, 'failed': total['failed']})
    return total


def encoder_of(
    features: str | Path, device: str | torch.device = 'cpu', checkpoint: str | Path | None = None
) -> tuple[SnippetEncoder, float | None]:
    """The encoder that made a folder of features, and the fps it brought videos to if it did.

    Args:
        features: The folder, or its ``_extraction.json``.
        device: Where it runs.
        checkpoint: Its weights, or a pattern that one file matches, if they lie elsewhere by now.

    Raises:
        ExtractionError: There is no manifest, or the checkpoint's content is another one by now.
        ConfigNotPlainError: The manifest names code or files.
    """
    manifest = Path(features)
    if manifest.name != MANIFEST:
        manifest = manifest / MANIFEST
    content = read_manifest(manifest, ExtractionError)
    if content is None or 'model' not in content:
        raise ExtractionError(
            f'{manifest}: not there, so how these features were made is not known. Expected the '
            "folder that mmsola extract wrote; or name the encoder's config and "
            'checkpoint.'
        )
    for key in ('model', 'frame_pipeline', 'snippet_pipeline'):
        check_plain(content.get(key), f'{manifest}: {key}')
    _check_settings(manifest, content)
    file = the_one_file(checkpoint) if checkpoint else Path(content['checkpoint'])
    is_there = os.path.isfile(file)  # False too for what can be no path
    if not is_there or sha256_of(file) != content['checkpoint_sha256']:
        raise ExtractionError(
            f'{manifest}: the features were made with {file} '
            f'(sha256 {content["checkpoint_sha256"][:12]}...), which is '
            f'{"another file by now" if is_there else "not there any more"}; name the right '
            'one, or extract the features again.'
        )
    frames = {'snippet_frames', 'frame_interval', 'stride_frames', 'amp'}
    # json knows no tuples, and MMAction2's transforms insist on them
    pipeline = [_with_tuples(s) for s in content['frame_pipeline'] + content['snippet_pipeline']]
    cfg = Config(
        {
            'model': _with_tuples(content['model']),
            'val_dataloader': {'dataset': {'pipeline': pipeline}},
        }
    )
    settings = {key: content[key] for key in frames}
    encoder = SnippetEncoder(cfg, file, **settings, device=device, name=str(manifest))
    return encoder, content['fps']


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _check_settings(manifest: Path, content: dict[str, Any]) -> None:
    """Refuse a manifest that lacks a setting, or has one that makes no sense."""
    for key, is_right, expected in (
        ('model', lambda v: isinstance(v, dict), 'an object {...}'),
        ('frame_pipeline', _is_pipeline, 'a list of objects {...}'),
        ('snippet_pipeline', _is_pipeline, 'a list of objects {...}'),
        ('checkpoint', lambda v: isinstance(v, str), 'a path'),
        ('checkpoint_sha256', lambda v: isinstance(v, str), 'a hash'),
        ('snippet_frames', _is_count, 'a whole number above 0'),
        ('frame_interval', _is_count, 'a whole number above 0'),
        ('stride_frames', _is_count, 'a whole number above 0'),
        ('amp', lambda v: isinstance(v, bool), 'true or false'),
        ('fps', lambda v: v is None or is_positive(v), 'a number above 0, or null'),
    ):
        if key not in content or not is_right(content[key]):
            found = repr(content[key])[:80] if key in content else 'not there'
            raise ExtractionError(
                f'{manifest}: {key} is {found}\n  expected: {expected}\n  fix: extract the '
                "features again, or name the encoder's config and checkpoint yourself"
            )


def _is_pipeline(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(step, dict) for step in value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and is_positive(value)


def _begin(folder: Path, content: dict[str, Any], overwrite: bool, is_only: bool) -> None:
    """Make room, or make sure that the extraction found there is the same."""
    manifest = folder / MANIFEST
    begun = read_manifest(manifest, ExtractionError)
    if begun is None:
        if any(folder.iterdir()):
            raise ExtractionError(
                f'{folder}: exists already and is no extraction (no {MANIFEST}); choose an empty '
                'folder.'
            )
    else:
        remove_partials(folder, of_living=is_only)
        differs = differences(begun, content, NOT_COMPARED)
        if differs and not overwrite:
            raise ExtractionError(
                f'{folder}: an extraction was made here with other settings: '
                f'{", ".join(differs)}. Choose another folder, or --overwrite it.'
            )
        if overwrite:
            for features in folder.rglob('*.npy'):
                facts = features.with_suffix('.json')
                with suppress(ExtractionError):  # without facts it is not ours
                    read_facts(facts, ExtractionError)
                    facts.unlink()
                    features.unlink()
    write_manifest(manifest, {**content, 'complete': False})


def _found(folder: Path, name: str, dtype: str) -> str:
    """What is there of a video: ``'whole'``, ``'damaged'`` or ``'nothing'``."""
    facts_file = folder / f'{name}.json'
    if not facts_file.exists():
        return 'nothing'
    try:
        facts = read_facts(facts_file, ExtractionError)
        stored, stored_dtype = NpyFolder(str(folder)).header(name)
    except (ExtractionError, FeatureError, OSError):
        return 'damaged'
    is_whole = len(stored) == 2 and stored[0] == facts.num_snippets
    return 'whole' if is_whole and stored_dtype == np.dtype(dtype) else 'damaged'


def _extract(
    encoder: Encoder,
    videos: Mapping[str, Path],
    folder: Path,
    batch_size: int,
    fps: float | None,
    dtype: str,
    num_workers: int,
    show_progress: bool,
) -> tuple[dict[str, str], dict[str, int], int]:
    """Why videos failed and how many frames others lost, by name; how many snippets there are."""
    stream = SnippetStream(
        videos,
        encoder.sampling,
        encoder.frame_pipeline,
        encoder.snippet_pipeline,
        encoder.clips,
        fps,
    )
    loader = DataLoader(stream, batch_size=None, num_workers=num_workers, prefetch_factor=None)
    failed: dict[str, str] = {}
    lost: dict[str, int] = {}
    open_files: dict[str, FeatureWriter] = {}
    num_snippets = 0
    left = dict.fromkeys(videos, 1.0)  # of each video, what is still to do
    with (
        Progress(float(len(videos)), 'Extracting features', show=show_progress) as progress,
        ExitStack() as undone,
    ):
        undone.callback(_discard, open_files)

        def chunks() -> Iterator[SnippetChunk]:
            for chunk in loader:
                if chunk.failure is None:
                    yield chunk
                    continue
                failed[chunk.name] = chunk.failure
                if chunk.name in open_files:
                    open_files.pop(chunk.name).discard()
                progress.update(left.pop(chunk.name))

        for name, facts, features in _encoded(chunks(), encoder, batch_size):
            if name in failed:
                continue
            if name not in open_files:
                open_files[name] = FeatureWriter(
                    folder / f'{name}.npy', facts.num_snippets, features.shape[1], dtype
                )
            open_files[name].add(features)
            if open_files[name].is_whole:
                open_files.pop(name).finish()
                # last of all: it says that the features are there
                write_manifest(folder / f'{name}.json', asdict(facts))
                if facts.lost_frames:
                    lost[name] = facts.lost_frames
            num_snippets += len(features)
            done = len(features) / facts.num_snippets
            left[name] -= done
            progress.update(done, f'{num_snippets:,} snippets, {len(failed)} failed')
    return failed, lost, num_snippets


def _encoded(
    chunks: Iterator[SnippetChunk], encoder: Callable[[Tensor], Tensor], batch_size: int
) -> Iterator[tuple[str, VideoFacts, np.ndarray]]:
    """Features of the chunks' snippets in order, computed in batches of one size."""
    rows: list[tuple[str, VideoFacts, Tensor]] = []
    for chunk in chunks:
        assert chunk.inputs is not None and chunk.facts is not None
        if rows and rows[0][2].shape != chunk.inputs.shape[1:]:
            yield from _encode(rows, encoder, batch_size)  # uncropped videos differ in size
            rows = []
        rows += [(chunk.name, chunk.facts, snippet) for snippet in chunk.inputs]
        while len(rows) >= batch_size:
            yield from _encode(rows[:batch_size], encoder, batch_size)
            rows = rows[batch_size:]
    if rows:
        yield from _encode(rows, encoder, batch_size)


def _encode(
    rows: list[tuple[str, VideoFacts, Tensor]],
    encoder: Callable[[Tensor], Tensor],
    batch_size: int,
) -> Iterator[tuple[str, VideoFacts, np.ndarray]]:
    inputs = torch.stack([snippet for _, _, snippet in rows])
    filler = inputs[-1:].expand(batch_size - len(rows), *inputs.shape[1:])
    features = encoder(torch.cat([inputs, filler]))[: len(rows)].numpy()
    begin = 0
    for i, (name, facts, _) in enumerate(rows):
        if i + 1 == len(rows) or rows[i + 1][0] != name:
            yield name, facts, features[begin : i + 1]
            begin = i + 1


def _discard(files: dict[str, FeatureWriter]) -> None:
    for file in files.values():
        file.discard()


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
