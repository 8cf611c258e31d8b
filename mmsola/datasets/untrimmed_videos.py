"""The base of data sets of untrimmed videos, whatever they read of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmaction.datasets.base import BaseActionDataset

from mmsola.datasets.annotations import AnnotationError, load_annotations
from mmsola.datasets.class_choice import class_choice
from mmsola.datasets.label_share import share_of_videos
from mmsola.datasets.transforms.grid_segments import GenerateGridSegments
from mmsola.datasets.transforms.window_segments import GenerateSnippetLabels
from mmsola.messages.argument_checks import check_argument, check_choice
from mmsola.messages.first_few import first_few
from mmsola.messages.main_process_log import log_in_main_process
from mmsola.structures.video_record import VideoRecord


class UntrimmedVideoDataset(BaseActionDataset):
    """Untrimmed videos with annotated segments and classes.

    A data set of this kind derives ``load_data_list``: it asks for :meth:`annotated_records`, drops
    those that it has no data of, asks which of the rest are :meth:`learnable`, and keeps of their
    entries the :meth:`shared` ones.

    Args:
        ann_file: Annotation file.
        pipeline: Transforms.
        data_prefix: ``{DATA_KEY: path}``.
        subset: Subsets of the annotation file to take; None takes all.
        group_field: Field of the annotation that names what must not be in training and validation
            at once, for example ``subject``.
        on_bad_segment: What to do about zero-length or reversed segments, ``'stop'`` or ``'drop'``.
        classes: Names of the classes in order, a list or a text file with one a line (in
            ``data_root``, unless its path is absolute); every annotated label must be among them.
            None takes the sorted labels of the annotations. They are ``metainfo['classes']``.
        class_agnostic: All segments are of the one class ``'action'``, and keep their labels.
        ignored_classes: Labels whose segments are left out.
        label_share: Share of the videos to use, above 0, for trainings with few labels; at least
            one video. A smaller share is a part of a larger one. The classes stay those of all
            videos, and some may have no video in the share; both are counted in the log.
        share_seed: Which videos these are; another seed draws others.

    Where classes are asked for, by these arguments or by ``GenerateGridSegments`` in the pipeline,
    each annotation has its ``class_index``. How much is left out of the annotations is
    ``metainfo['left_out']``, for evaluators.
    """

    DATA_KEY = ''  # of data_prefix: where the data of the videos lie
    DATA_NAME = ''  # what lies there, for messages

    def __init__(
        self,
        ann_file: str,
        pipeline: Sequence[dict | Callable],
        data_prefix: dict | None = None,
        subset: str | Sequence[str] | None = None,
        group_field: str | None = None,
        on_bad_segment: str = 'stop',
        classes: Sequence[str] | str | None = None,
        class_agnostic: bool = False,
        ignored_classes: Sequence[str] = (),
        label_share: float = 1.0,
        share_seed: int = 0,
        **kwargs,
    ) -> None:
        check_choice(self, 'on_bad_segment', on_bad_segment, ('stop', 'drop'))
        check_argument(
            0 < label_share <= 1, self, 'label_share', label_share, 'a share above 0, up to 1'
        )
        self.label_share = label_share
        self.share_seed = share_seed
        self.subset = subset
        self.group_field = group_field
        self.on_bad_segment = on_bad_segment
        self.class_choice, kwargs['metainfo'] = class_choice(
            classes, class_agnostic, ignored_classes, kwargs.get('metainfo')
        )
        self.classes: tuple[str, ...] = ()
        super().__init__(
            ann_file,
            pipeline=list(pipeline),
            data_prefix=data_prefix if data_prefix is not None else {self.DATA_KEY: ''},
            **kwargs,
        )

    @property
    def data_path(self) -> str:
        """Where the data of the videos lie.

        Raises:
            ValueError: ``data_prefix`` has another key.
        """
        if self.DATA_KEY not in self.data_prefix:
            raise ValueError(
                f'{type(self).__name__}: data_prefix=dict({self.DATA_KEY}=...) names '
                f'{self.DATA_NAME}, found {dict(self.data_prefix)}.'
            )
        return self.data_prefix[self.DATA_KEY]

    @property
    def source(self) -> str:
        """What lists the videos, for messages: the annotation file, or without one the data."""
        return self.ann_file or self.data_path

    def video_names(self) -> list[str]:
        """The video of each entry, in their order."""
        return [self.get_data_info(i)['video_name'] for i in range(len(self))]

    def get_data_info(self, idx: int) -> dict:
        """The video's entry, with which of its windows to read."""
        return {
            **super().get_data_info(int(idx)),
            'window_fraction': getattr(idx, 'window_fraction', None),
        }

    def annotated_records(self) -> list[VideoRecord]:
        """Records of the annotation file; what was changed in it is logged.

        Raises:
            AnnotationError: As ``load_annotations``.
        """
        annotations = load_annotations(
            self.ann_file,
            self.subset,
            self.group_field,
            self.on_bad_segment,
            may_be_empty=self.test_mode,
        )
        clipped, dropped = annotations.clipped, annotations.dropped
        faults = ', '.join(f'{count} {fault}' for fault, count in annotations.faults.items())
        if clipped:
            self.count_left_out(len(clipped), 'ends of segments after their video')
            self.log(
                f'{len(clipped)} segments end after their video and are clipped: '
                f'{first_few(clipped)}'
            )
        if dropped:
            self.count_left_out(len(dropped), 'bad segments')
            self.log(f'{len(dropped)} segments are dropped ({faults}): {first_few(dropped)}')
        return list(annotations.records)

    def with_classes(self, records: Sequence[VideoRecord]) -> list[VideoRecord]:
        """The records without ignored classes; sets ``classes``, which go to ``metainfo``.

        There are none where neither an argument nor ``GenerateGridSegments`` asks for them.

        Raises:
            AnnotationError: As ``ClassChoice.names``.
        """
        choice = self.class_choice
        kept, num_ignored = choice.without_ignored(records)
        if num_ignored:
            self.count_left_out(num_ignored, 'segments of ignored classes')
            ignored = ', '.join(map(repr, choice.ignored))
            self.log(f'{num_ignored} segments of {ignored} are left out.')
        if choice.is_made or self.has_transform(GenerateGridSegments):
            self.classes = choice.names(kept, self.source, self.data_root)
        if self.classes:
            self._metainfo.update(classes=self.classes, classes_given=choice.given is not None)
        return kept

    def learnable(self, records: list[VideoRecord]) -> list[VideoRecord]:
        """The annotated ones, if the pipeline makes labels to train on; all with ``test_mode``.

        Raises:
            AnnotationError: None is annotated.
        """
        unlabelled = [record.name for record in records if record.segments is None]
        makes_labels = self.has_transform(GenerateSnippetLabels, GenerateGridSegments)
        if not unlabelled or self.test_mode or not makes_labels:
            return records
        if len(unlabelled) == len(records):
            raise AnnotationError(
                f'{self.source}: none of {len(unlabelled)} videos is annotated, and the pipeline '
                'makes labels\n  expected: annotations to learn from\n  fix: choose another '
                'ann_file or subset, or set test_mode=True to predict for these videos'
            )
        self.log(
            f'{len(unlabelled)} of {len(records)} videos are not annotated and left out, since the '
            f'pipeline makes labels: {first_few(unlabelled)}. To predict for them set '
            'test_mode=True.'
        )
        return [record for record in records if record.segments is not None]

    def shared(self, entries: list[dict]) -> list[dict]:
        """The entries of the videos that ``label_share`` keeps, in their order."""
        if self.label_share == 1 or not entries:
            return entries
        names = [entry['video_name'] for entry in entries]
        used = share_of_videos(names, self.label_share, self.share_seed)
        kept = [entry for entry in entries if entry['video_name'] in used]
        of_all = len(self.classes) or len(_classes_in(entries))
        of_classes = f'; {len(_classes_in(kept))} of {of_all} classes' if of_all else ''
        self.log(
            f'{len(kept)} of {len(entries)} videos are used (label_share={self.label_share:g}, '
            f'share_seed={self.share_seed}){of_classes}.'
        )
        if self.test_mode:
            reason = f'videos beyond label_share={self.label_share:g}'
            self.count_left_out(len(entries) - len(kept), reason)
        return kept

    def has_transform(self, *kinds: type) -> bool:
        """Whether a step of the pipeline is of one of these classes."""
        return any(isinstance(step, kinds) for step in self.pipeline.transforms)

    def count_left_out(self, count: int, reason: str) -> None:
        """Keep how much of the annotations is left out; MMEngine hands it to evaluators."""
        if count:
            self._metainfo.setdefault('left_out', {})[reason] = count

    def log(self, message: str) -> None:
        """Log a line about these videos, once in a distributed job."""
        log_in_main_process(f'{self.source}: {message}')


def _classes_in(entries: Sequence[dict]) -> set[int | str]:
    """Classes that occur in the annotations, by index where the data set numbers them."""
    return {
        annotation.get('class_index', annotation['label'])
        for entry in entries
        for annotation in entry.get('annotations', ())
    }
