"""SnippetFeatureDataset: records and feature store become what pipelines of MMAction2 take."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from mmaction.datasets.base import BaseActionDataset
from mmaction.registry import DATASETS
from mmengine.dist import get_dist_info
from torch.utils.data import get_worker_info

from mmsola.datasets.annotations import AnnotationError, load_annotations
from mmsola.datasets.class_names import class_choice
from mmsola.datasets.features.feature_bank import FeatureBank
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.features.stream_store import open_features, streams_of
from mmsola.datasets.labelled_records import learnable_records, with_classes
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.datasets.span_check import ExtractionTimes, check_timelines
from mmsola.datasets.transforms.loading import LoadSnippetWindow, PackSnippetInputs
from mmsola.datasets.transforms.proposal_targets import LoadSnippetProposals
from mmsola.datasets.untrimmed_videos import (
    leave_out,
    named,
    read_records,
    say,
    video_info,
)
from mmsola.files.name_match import rules_used
from mmsola.structures.video_record import VideoRecord


@DATASETS.register_module()
class SnippetFeatureDataset(BaseActionDataset):
    """Untrimmed videos as snippet feature sequences, with or without annotations.

    Extends MMAction2's ActivityNetDataset to every common container and annotation layout. What is
    wrong with the files is told when the data set is built, before the first step.

    A pipeline that makes labels trains on annotated videos only: others are left out and counted,
    unless ``test_mode=True`` says that all are to be predicted.

    Args:
        ann_file: Annotation file; '' takes every video of the feature store, without labels.
        data_prefix: ``dict(feature=...)``, a folder with one file a video or one HDF5 file.
        pipeline: Transforms; the first is ``LoadSnippetWindow`` or ``LoadSnippetSequence``.
        feature: How features lie on disk, arguments of ``FeatureStore``: ``format``, ``layout``,
            ``file_name``, ``entry``, ``pool_axes``, ``num_channels``; ``streams=['rgb', 'flow']``
            joins folders along the channels (``StreamStore``).
        timeline: Where snippets lie in time, arguments of ``SnippetTimeline``: ``stride_frames``,
            ``window_frames``, ``fps``, ``offset_frames``. What an extraction of ours says of its
            features fills in what is left out, and must not be contradicted.
        subset: Subsets of the annotation file to take; None takes all.
        group_field: Field of the annotation that names what must not be in training and validation
            at once, for example ``subject``.
        min_snippets: Shorter videos are left out; how many were is said once. None is one more than
            the window where the pipeline draws windows, as published, and 1 elsewhere.
        unannotated: Take videos of the feature store that the annotation file lacks as well.
        on_missing: What to do about annotated videos without features, ``'stop'`` or ``'skip'``.
        on_bad_segment: What to do about zero-length or reversed segments, ``'stop'`` or ``'drop'``.
        on_bad_timeline: What to do where snippets and annotated durations do not fit each other,
            ``'stop'`` or ``'warn'``.
        check: ``'values'`` looks for NaN and Inf in every file (passed files are remembered),
            ``'header'`` at shapes and types only.
        role: What the linear probe does with these videos: ``'fit'``, ``'score'`` or None.
        bank: Keep all features in memory, on the GPU if there is one, and gather whole batches of
            windows there: arguments of ``FeatureBank``, ``dict()`` for its defaults. The windows
            are those that the pipeline reads, rounded if the bank is of half precision. None reads
            files as they are needed.
        classes: Names of the classes in order, a list or a text file with one a line (in
            ``data_root``, unless its path is absolute); every annotated label must be among them.
            None takes the sorted labels of the annotations. They are ``metainfo['classes']``.
        class_agnostic: All segments are of the one class ``'action'``, and keep their labels.
        ignored_classes: Labels whose segments are left out.

    Where classes are asked for, by these arguments or by ``GenerateGridSegments`` in the pipeline,
    each annotation has its ``class_index``.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from mmsola.datasets import LoadSnippetSequence, PackSnippetInputs
        >>> from mmsola.datasets.generated.demo_data import make_demo_data
        >>> with TemporaryDirectory() as root:
        ...     file = make_demo_data(root, num_training=2, num_validation=1)
        ...     dataset = SnippetFeatureDataset(
        ...         str(file),
        ...         pipeline=[LoadSnippetSequence(), PackSnippetInputs(meta_keys=('video_name',))],
        ...         data_prefix=dict(feature=f'{root}/features'),
        ...         timeline=dict(stride_frames=8, window_frames=16),
        ...         subset='training',
        ...     )
        ...     len(dataset), len(dataset[0]['inputs'])  # videos, channels
        (2, 64)
    """

    METAINFO = {'dataset_type': 'snippet features'}

    def __init__(
        self,
        ann_file: str = '',
        pipeline: Sequence[dict | Callable] = (),
        data_prefix: dict | None = None,
        feature: dict | None = None,
        timeline: dict | None = None,
        subset: str | Sequence[str] | None = None,
        group_field: str | None = None,
        min_snippets: int | None = None,
        unannotated: bool = False,
        on_missing: str = 'stop',
        on_bad_segment: str = 'stop',
        on_bad_timeline: str = 'stop',
        check: str = 'values',
        role: str | None = None,
        bank: dict | None = None,
        classes: Sequence[str] | str | None = None,
        class_agnostic: bool = False,
        ignored_classes: Sequence[str] = (),
        **kwargs,
    ) -> None:
        for key, value, choices in (
            ('on_missing', on_missing, ('stop', 'skip')),
            ('on_bad_segment', on_bad_segment, ('stop', 'drop')),
            ('on_bad_timeline', on_bad_timeline, ('stop', 'warn')),
            ('check', check, ('values', 'header')),
            ('role', role, (None, 'fit', 'score')),
        ):
            if value not in choices:
                raise ValueError(
                    f'{type(self).__name__}: {key} is one of {choices}, got {value!r}.'
                )
        self.feature = dict(feature or {})
        self.timeline = SnippetTimeline(**(timeline or {}))
        self.subset = subset
        self.group_field = group_field
        self.min_snippets = min_snippets
        self.unannotated = unannotated
        self.on_missing = on_missing
        self.on_bad_segment = on_bad_segment
        self.on_bad_timeline = on_bad_timeline
        self.check = check
        self.role = role
        self.bank = bank
        self._bank: FeatureBank | None = None
        self.class_choice, kwargs['metainfo'] = class_choice(
            classes, class_agnostic, ignored_classes, kwargs.get('metainfo')
        )
        self._classes: tuple[str, ...] = ()
        super().__init__(
            ann_file,
            pipeline=list(pipeline),
            data_prefix=data_prefix if data_prefix is not None else {'feature': ''},
            **kwargs,
        )

    def full_init(self) -> None:
        """List the videos and, with ``bank``, read them."""
        super().full_init()
        if self.bank is None or self._bank is not None:
            return
        self._bank_window = self._window_of_bank()
        infos = [self.get_data_info(i) for i in range(len(self))]
        videos = [(info['feature_store'], info['video_name']) for info in infos]
        self._bank = FeatureBank(videos, **self.bank)
        self._find_in_bank()

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """MMEngine's, with the bank of the whole."""
        super().get_subset_(indices)
        self._find_in_bank()

    def get_subset(self, indices: Sequence[int] | int) -> SnippetFeatureDataset:
        """MMEngine's, with the bank of the whole."""
        subset = super().get_subset(indices)
        subset._find_in_bank()
        return subset

    def __getitems__(self, indices: Sequence[int]) -> list[dict]:
        """One item for each index, or, with ``bank``, one item that is the whole batch.

        PyTorch's loader asks for batches here. What the bank gives is ``inputs`` ``(B, C, T)``.
        """
        if self._bank is None:
            return [self[i] for i in indices]
        self._check_bank_in_reach()
        place = [getattr(index, 'place', None) for index in indices]
        place = [np.random.random() if each is None else each for each in place]
        return [
            {
                'inputs': self._bank.windows(
                    self._bank_rows[np.array(indices)], np.array(place), self._bank_window
                )
            }
        ]

    def load_data_list(self) -> list[dict]:
        """Match annotations with features, check both, and list the videos."""
        if 'feature' not in self.data_prefix:
            raise ValueError(
                f'{type(self).__name__}: data_prefix=dict(feature=...) names the features, found '
                f'{dict(self.data_prefix)}.'
            )
        windows = [s.window for s in self.pipeline.transforms if isinstance(s, LoadSnippetWindow)]
        if self.min_snippets is None:
            self.min_snippets = max(windows) + 1 if windows else 1
        if windows and self.min_snippets < max(windows):
            raise ValueError(
                f'{type(self).__name__}: windows of {max(windows)} snippets, but min_snippets='
                f'{self.min_snippets} lets shorter videos in; leave min_snippets out.'
            )
        self.store = open_features(self.data_prefix['feature'], **self.feature)
        times = ExtractionTimes(self.data_prefix['feature'])
        given, self.timeline = self.timeline, times.timeline(self.timeline)
        records = [
            times.record(record, self.store.path(record.name), given)
            for record in self._present(self._with_classes(self._records()))
        ]
        source = self.ann_file or self.data_prefix['feature']
        records = learnable_records(records, self.pipeline.transforms, self.test_mode, source)
        unlabelled = [record.name for record in records if record.segments is None]
        if self.role and unlabelled:
            raise AnnotationError(
                f'{self.ann_file or self.data_prefix["feature"]}: role={self.role!r} is for videos '
                f'with annotated segments, and {len(unlabelled)} of {len(records)} have none: '
                f'{named(unlabelled)}. Choose another subset, or leave out role.'
            )
        rank, world_size = get_dist_info()
        names = [record.name for record in records]
        # Headers are read everywhere, values once: each process looks at its own share.
        self.store.check(names, values=False)
        if self.check == 'values':
            self.store.check(names[rank::world_size], progress=rank == 0)
        data_list = [self._data_info(record) for record in records]
        check_timelines(
            self.ann_file or self.data_prefix['feature'],
            [(info['record'], info['num_snippets']) for info in data_list],
            self.timeline,
            self.on_bad_timeline,
        )
        long_enough = [info for info in data_list if info['num_snippets'] >= self.min_snippets]
        if len(long_enough) < len(data_list):
            leave_out(
                self._metainfo, len(data_list) - len(long_enough), 'videos that are too short'
            )
            self._say(
                f'{len(data_list) - len(long_enough)} of {len(data_list)} videos have fewer than '
                f'{self.min_snippets} snippets and are left out.'
            )
        if not long_enough:
            lengths = [info['num_snippets'] for info in data_list]
            raise FeatureError(
                f'{self.data_prefix["feature"]}: every one of {len(lengths)} videos is shorter '
                f'than {self.min_snippets} snippets (the longest has {max(lengths)}). Set a '
                'smaller window and min_snippets, or extract features at a smaller stride.'
            )
        for step in self.pipeline.transforms:
            if isinstance(step, LoadSnippetProposals):
                step.check([info['video_name'] for info in long_enough])
        return long_enough

    def get_data_info(self, idx: int) -> dict:
        """The video's entry, with the feature store and the place of its window."""
        info = super().get_data_info(int(idx))
        info['feature_store'] = self.store
        if self._bank is not None:  # a data set inside of another is asked for one item at a time
            self._check_bank_in_reach()
            info['feature_store'] = self._bank
        info['window_place'] = getattr(idx, 'place', None)
        return info

    def _window_of_bank(self) -> int:
        """Length of the windows that the pipeline draws and the bank gathers in its place."""
        steps = self.pipeline.transforms
        if [type(step) for step in steps] != [LoadSnippetWindow, PackSnippetInputs]:
            names = ', '.join(type(step).__name__ for step in steps) or 'nothing'
            raise ValueError(
                f'{type(self).__name__}: a feature bank stands for the pipeline LoadSnippetWindow, '
                f'PackSnippetInputs; found {names}. Set bank=None to run this pipeline.'
            )
        return steps[0].window

    def _find_in_bank(self) -> None:
        if self._bank is not None:
            names = (self.get_data_info(i)['video_name'] for i in range(len(self)))
            self._bank_rows = np.array([self._bank.index[name] for name in names])

    def _check_bank_in_reach(self) -> None:
        if self._bank is not None and self._bank.on_gpu and get_worker_info():
            raise ValueError(
                f'{type(self).__name__}: a feature bank on the GPU cannot be read by workers of a '
                'loader, and needs none; set num_workers=0 and persistent_workers=False.'
            )

    def _records(self) -> list[VideoRecord]:
        if not self.ann_file:
            if self.subset is not None or self.group_field is not None:
                raise AnnotationError(
                    f'{type(self).__name__}: subset and group_field are told by an annotation '
                    'file; set ann_file.'
                )
            return [VideoRecord(name) for name in self.store.names()]
        records = read_records(
            self.ann_file,
            self.subset,
            self.group_field,
            self.on_bad_segment,
            self._metainfo,
            self.test_mode,
        )
        if self.unannotated:
            known = {
                record.name
                for record in load_annotations(self.ann_file, on_bad_segment='drop').records
            }
            known |= set(self.store.find(known).values())
            extra = [VideoRecord(name) for name in self.store.names() if name not in known]
            self._say(f'{len(extra)} videos of the feature store without annotation are added.')
            records += extra
        return records

    def _with_classes(self, records: list[VideoRecord]) -> list[VideoRecord]:
        records, self._classes = with_classes(
            records,
            self.class_choice,
            self.pipeline.transforms,
            self.ann_file or self.data_prefix['feature'],
            self.data_root,
            self._metainfo,
        )
        return records

    def _present(self, records: list[VideoRecord]) -> list[VideoRecord]:
        matched = self.store.find(record.name for record in records)
        if matched:
            self._say(rules_used(matched))
        missing = [record.name for record in records if record.name not in self.store]
        present = [record for record in records if record.name in self.store]
        if missing:
            found = f'{len(missing)} of {len(records)} videos have no features: {named(missing)}'
            if self.on_missing == 'stop' or not present:
                held = self.store.names()
                streams = streams_of(held, missing)
                fix = (
                    f'feature=dict(streams={streams})' if streams else 'feature=dict(file_name=...)'
                )
                raise FeatureError(
                    f'{self.data_prefix["feature"]}: {found}. Expected for example '
                    f'{self.store.path(missing[0])}, found {len(held)} videos such as '
                    f"{named(held)}. Add them, set {fix}, or set on_missing='skip'."
                )
            leave_out(self._metainfo, len(missing), 'videos without features')
            self._say(f'{found}; skipped.')
        return present

    def _data_info(self, record: VideoRecord) -> dict:
        num_snippets = self.store.shape(record.name)[0]
        return {
            **video_info(record, num_snippets, self.timeline, self.role, self._classes),
            'feature_path': self.store.path(record.name),
        }

    def _say(self, message: str) -> None:
        say(f'{self.ann_file or self.data_prefix["feature"]}: {message}')
