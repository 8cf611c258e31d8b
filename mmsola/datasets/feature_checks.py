"""What a data set checks of its features before the first step."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.dist import get_dist_info

from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.features.store_protocol import SnippetStore
from mmsola.datasets.features.stream_store import streams_of
from mmsola.datasets.transforms.loading import LoadSnippetWindow
from mmsola.messages.first_few import first_few
from mmsola.structures.video_record import VideoRecord


def least_snippets(min_snippets: int | None, pipeline: Sequence[object], owner: str) -> int:
    """The snippets that a video must have.

    Args:
        min_snippets: As asked for; None is one more than the window where the pipeline draws
            windows, as published, and 1 elsewhere.
        pipeline: Transforms.
        owner: The data set's class, for messages.

    Raises:
        ValueError: Videos shorter than the window are asked for.
    """
    windows = [step.window for step in pipeline if isinstance(step, LoadSnippetWindow)]
    if min_snippets is None:
        return max(windows) + 1 if windows else 1
    if windows and min_snippets < max(windows):
        raise ValueError(
            f'{owner}: windows of {max(windows)} snippets, but min_snippets='
            f'{min_snippets} lets shorter videos in; leave min_snippets out.'
        )
    return min_snippets


def with_features(
    records: Sequence[VideoRecord], store: SnippetStore, root: str, on_missing: str
) -> tuple[list[VideoRecord], str]:
    """The records of videos whose features are there, and a text that counts the others.

    Raises:
        FeatureError: Some are missing and ``on_missing='stop'``, or none is left.
    """
    missing = [record.name for record in records if record.name not in store]
    present = [record for record in records if record.name in store]
    if not missing:
        return present, ''
    found = f'{len(missing)} of {len(records)} videos have no features: {first_few(missing)}'
    if on_missing == 'stop' or not present:
        held = store.names()
        streams = streams_of(held, missing)
        fix = f'feature=dict(streams={streams})' if streams else 'feature=dict(file_name=...)'
        raise FeatureError(
            f'{root}: {found}. Expected for example {store.path(missing[0])}, found {len(held)} '
            f"videos such as {first_few(held)}. Add them, set {fix}, or set on_missing='skip'."
        )
    return present, found


def check_stored(store: SnippetStore, names: Sequence[str], values: bool) -> None:
    """Check headers in every process, and values, if asked for, once among all processes.

    Raises:
        FeatureError: Videos cannot be used.
    """
    rank, world_size = get_dist_info()
    store.check(names, values=False)
    if values:
        store.check(names[rank::world_size], progress=rank == 0)


def long_enough(entries: Sequence[dict], min_snippets: int, root: str) -> list[dict]:
    """The entries of videos with at least so many snippets.

    Raises:
        FeatureError: There is none.
    """
    kept = [entry for entry in entries if entry['num_snippets'] >= min_snippets]
    if not kept:
        lengths = [entry['num_snippets'] for entry in entries]
        raise FeatureError(
            f'{root}: every one of {len(lengths)} videos is shorter than {min_snippets} snippets '
            f'(the longest has {max(lengths)}). Set a smaller window and min_snippets, or extract '
            'features at a smaller stride.'
        )
    return kept
