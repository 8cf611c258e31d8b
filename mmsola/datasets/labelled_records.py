"""What a data set learns from: annotated videos, and the classes of their segments."""

from __future__ import annotations

from collections.abc import Sequence

from mmsola.datasets.annotations import AnnotationError
from mmsola.datasets.class_names import ClassChoice
from mmsola.datasets.transforms.point_targets import GenerateGridSegments
from mmsola.datasets.transforms.proposal_targets import GenerateSnippetLabels
from mmsola.datasets.untrimmed_videos import leave_out, named, say
from mmsola.structures.video_record import VideoRecord


def with_classes(
    records: Sequence[VideoRecord],
    choice: ClassChoice,
    pipeline: Sequence[object],
    ann_file: str,
    data_root: str | None,
    metainfo: dict,
) -> tuple[list[VideoRecord], tuple[str, ...]]:
    """The records without ignored classes, and the classes in order, which go to ``metainfo``.

    There are none where neither the choice nor ``GenerateGridSegments`` in the pipeline asks for
    them.

    Raises:
        AnnotationError: As ``ClassChoice.names``.
    """
    kept, num_ignored = choice.without_ignored(records)
    if num_ignored:
        leave_out(metainfo, num_ignored, 'segments of ignored classes')
        ignored = ', '.join(map(repr, choice.ignored))
        say(f'{ann_file}: {num_ignored} segments of {ignored} are left out.')
    names: tuple[str, ...] = ()
    if choice.is_made or any(isinstance(step, GenerateGridSegments) for step in pipeline):
        names = choice.names(kept, ann_file, data_root)
    if names:
        metainfo.update(classes=names, classes_given=choice.given is not None)
    return kept, names


def learnable_records(
    records: list[VideoRecord], pipeline: Sequence[object], test_mode: bool, source: str
) -> list[VideoRecord]:
    """The annotated ones, if the pipeline makes labels to train on; how many others is said.

    Args:
        source: Where the records are from, for messages.

    Raises:
        AnnotationError: None is annotated.
    """
    unlabelled = [record.name for record in records if record.segments is None]
    makes_labels = any(
        isinstance(s, (GenerateSnippetLabels, GenerateGridSegments)) for s in pipeline
    )
    if not unlabelled or test_mode or not makes_labels:
        return records
    if len(unlabelled) == len(records):
        raise AnnotationError(
            f'{source}: none of {len(unlabelled)} videos is annotated, and the pipeline makes '
            'labels\n  expected: annotations to learn from\n  fix: choose another ann_file or '
            'subset, or set test_mode=True to predict for these videos'
        )
    say(
        f'{source}: {len(unlabelled)} of {len(records)} videos are not annotated and left out, '
        f'since the pipeline makes labels: {named(unlabelled)}. To predict for them set '
        'test_mode=True.'
    )
    return [record for record in records if record.segments is not None]
