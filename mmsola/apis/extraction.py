"""Snippet features of videos: one frozen encoder over many files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, barrier, get_dist_info

from mmsola.apis.manifest import (
    PROVENANCE,
    check_names,
    differences,
    read_manifest,
    write_manifest,
)
from mmsola.apis.plain_config import without_files
from mmsola.apis.video_encoding import (
    BATCH_SIZE,
    EncodedSnippets,
    Encoder,
    bytes_of,
    encoded_snippets,
    warn_about_lost_frames,
)
from mmsola.atomic import raise_disk_faults_as, remove_partials
from mmsola.datasets.features.containers import NpyFolder
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.features.feature_writer import DTYPES, FeatureWriter
from mmsola.datasets.videos.pyav import load_pyav
from mmsola.datasets.videos.video_facts import EXTRACTION_MANIFEST, read_facts
from mmsola.files.folder_lock import only_writer
from mmsola.messages.first_few import first_few
from mmsola.messages.main_process_log import log_in_main_process
from mmsola.version import provenance

MANIFEST = EXTRACTION_MANIFEST
# the checkpoint's hash and the frames decide
NOT_COMPARED = ('config', 'checkpoint', 'mmsola', *PROVENANCE)


class ExtractionError(ValueError):
    """An extraction that cannot be made, or that would mix with one made otherwise."""


def extract_features(
    encoder: Encoder,
    videos: Mapping[str, Path],
    out: str | Path,
    batch_size: int = BATCH_SIZE,
    fps: float | None = None,
    dtype: str = 'float32',
    num_workers: int = 0,
    about: dict[str, Any] | None = None,
    overwrite: bool = False,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Write ``<name>.npy`` ``(T, C)`` and ``<name>.json``, what is known of it, for each video.

    Each file appears whole or not at all; a second call continues where a killed one stopped.
    Videos that cannot be decoded are skipped, and listed in the result and in ``_extraction.json``.
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
        about: What is written into ``_extraction.json``, the checkpoint's hash above all. An
            extraction that was begun with another one is not continued.
        overwrite: Start again from the beginning.
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
    _check_video_names(videos, folder)
    content = _content(encoder, about or {}, fps, dtype)
    rank, world_size = get_dist_info()
    with raise_disk_faults_as(folder, ExtractionError), ExitStack() as held:
        if rank == 0:  # for all processes of this job
            is_only = held.enter_context(only_writer(folder, ExtractionError, 'extraction'))
            _begin(folder, content, overwrite, is_only)
        barrier()
        # largest first, then in turns: the shares take about equally long
        order = sorted(videos, key=lambda name: (-bytes_of(videos[name]), name))
        mine = order[rank::world_size]
        found = {name: _found(folder, name, dtype) for name in mine}
        todo = {name: videos[name] for name in mine if found[name] != 'whole'}
        pieces = encoded_snippets(
            encoder, todo, batch_size, fps, num_workers, show_progress and rank == 0
        )
        result = {
            **_write(pieces, folder, dtype),
            'kept': len(mine) - len(todo),
            'damaged': [name for name in mine if found[name] == 'damaged'],
        }
        total = _total(all_gather_object(result))
        warn_about_lost_frames(total['lost'])
        _report_damaged(folder, total.pop('damaged'))
        if rank == 0:
            complete = {'complete': True, 'num_videos': total['written'] + total['kept']}
            write_manifest(folder / MANIFEST, {**content, **complete, 'failed': total['failed']})
    return total


def _check_video_names(videos: Mapping[str, Path], folder: Path) -> None:
    if any(Path(name).name == Path(MANIFEST).stem for name in videos):
        raise ExtractionError(
            f'a video is called {MANIFEST[:-5]!r}, as the manifest is; rename it.'
        )
    check_names(videos, folder, ExtractionError)


def _content(
    encoder: Encoder, about: Mapping[str, Any], fps: float | None, dtype: str
) -> dict[str, Any]:
    """The manifest's settings: how features are made."""
    about = dict(about)
    if 'model' in about:  # it is read back as data, which must not name files to load
        about['model'] = without_files(about['model'])
    settings = {'fps': fps, 'dtype': dtype, **provenance()}
    content = {**about, **encoder.settings(), **settings}
    return json.loads(json.dumps(content))  # as it will be read: json knows no tuples


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


def _write(pieces: Iterable[EncodedSnippets], folder: Path, dtype: str) -> dict[str, Any]:
    """Write each video's features as they come, and its facts when they are whole.

    Returns:
        ``written`` in videos, ``snippets``, ``failed`` names and reasons, ``lost`` names and
        frames.
    """
    result: dict[str, Any] = {'written': 0, 'snippets': 0, 'failed': {}, 'lost': {}}
    writers: dict[str, FeatureWriter] = {}
    with ExitStack() as at_end:
        at_end.callback(_discard, writers)
        for piece in pieces:
            name, facts, features = piece.name, piece.facts, piece.features
            if features is None or facts is None:
                result['failed'][name] = piece.failure
                if name in writers:
                    writers.pop(name).discard()
                continue
            if name not in writers:
                size = (facts.num_snippets, features.shape[1])
                writers[name] = FeatureWriter(folder / f'{name}.npy', *size, dtype)
            writers[name].add(features)
            result['snippets'] += len(features)
            if writers[name].is_whole:
                writers.pop(name).finish()
                # last of all: it marks the features as whole
                write_manifest(folder / f'{name}.json', asdict(facts))
                result['written'] += 1
                if facts.lost_frames:
                    result['lost'][name] = facts.lost_frames
    return result


def _discard(writers: dict[str, FeatureWriter]) -> None:
    for writer in writers.values():
        writer.discard()


def _total(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The results of all processes together."""
    total: dict[str, Any] = {
        key: sum(result[key] for result in results) for key in ('written', 'kept', 'snippets')
    }
    for key in ('failed', 'lost'):
        total[key] = {name: what for r in results for name, what in sorted(r[key].items())}
    total['damaged'] = sorted(name for result in results for name in result['damaged'])
    return total


def _report_damaged(folder: Path, names: list[str]) -> None:
    if names:
        log_in_main_process(
            f'{folder}: {len(names)} features were lost, cut off or damaged, and are extracted '
            f'again: {first_few([repr(name) for name in names])}'
        )
