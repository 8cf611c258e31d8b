"""SnippetFeatureDataset: records and feature store become what pipelines of MMAction2 take."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmaction.registry import DATASETS

from mmsola.datasets.annotations import AnnotationError, load_annotations
from mmsola.datasets.bank_windows import BankWindows, window_of
from mmsola.datasets.extraction_times import ExtractionTimes
from mmsola.datasets.feature_checks import (
    check_stored,
    least_snippets,
    long_enough,
    with_features,
)
from mmsola.datasets.features.feature_bank import FeatureBank
from mmsola.datasets.features.stream_store import open_features
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.datasets.span_check import check_timelines
from mmsola.datasets.transforms.proposals import LoadSnippetProposals
from mmsola.datasets.untrimmed_videos import UntrimmedVideoDataset
from mmsola.datasets.video_entry import video_entry
from mmsola.files.name_match import rules_used
from mmsola.messages.argument_checks import check_choice
from mmsola.messages.first_few import first_few
from mmsola.structures.video_record import VideoRecord


@DATASETS.register_module()
class SnippetFeatureDataset(UntrimmedVideoDataset):
    """Untrimmed videos as snippet feature sequences, with or without annotations.

    Extends MMAction2's ActivityNetDataset to every common container and annotation layout. What is
    wrong with the files is reported when the data set is built, before the first step.

    A pipeline that makes labels trains on annotated videos only: others are left out and counted,
    unless ``test_mode=True`` asks to predict for all.

    Args:
        ann_file: Annotation file; '' takes every video of the feature store, without labels.
        data_prefix: ``dict(feature=...)``, a folder with one file a video or one HDF5 file.
        pipeline: Transforms; the first is ``LoadSnippetWindow`` or ``LoadSnippetSequence``.
        feature: How features lie on disk, arguments of ``FeatureStore``: ``format``, ``layout``,
            ``file_name``, ``entry``, ``pool_axes``, ``num_channels``; ``streams=['rgb', 'flow']``
            joins folders along the channels (``StreamStore``).
        timeline: Where snippets lie in time, arguments of ``SnippetTimeline``: ``stride_frames``,
            ``window_frames``, ``fps``, ``offset_frames``. What ``mmsola extract`` wrote beside its
            features fills in what is left out, and must not be contradicted.
        min_snippets: Shorter videos are left out; how many were is logged. None is one more than
            the window where the pipeline draws windows, as published, and 1 elsewhere.
        unannotated: Take videos of the feature store that the annotation file lacks as well.
        on_missing: What to do about annotated videos without features, ``'stop'`` or ``'skip'``.
        on_bad_timeline: What to do where snippets and annotated durations do not fit each other,
            ``'stop'`` or ``'warn'``.
        check: ``'values'`` looks for NaN and Inf in every file (passed files are remembered),
            ``'header'`` at shapes and types only.
        role: What the linear probe does with these videos: ``'fit'``, ``'score'`` or None.
        bank: Keep all features in memory, on the GPU if there is one, and gather whole batches of
            windows there: arguments of ``FeatureBank``, ``dict()`` for its defaults. The windows
            are those that the pipeline reads, rounded if the bank is of half precision. None reads
            files as they are needed.

    All other arguments are those of :class:`UntrimmedVideoDataset`.

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
    DATA_KEY, DATA_NAME = 'feature', 'the features'

    def __init__(
        self,
        ann_file: str = '',
        pipeline: Sequence[dict | Callable] = (),
        data_prefix: dict | None = None,
        feature: dict | None = None,
        timeline: dict | None = None,
        min_snippets: int | None = None,
        unannotated: bool = False,
        on_missing: str = 'stop',
        on_bad_timeline: str = 'stop',
        check: str = 'values',
        role: str | None = None,
        bank: dict | None = None,
        **kwargs,
    ) -> None:
        check_choice(self, 'on_missing', on_missing, ('stop', 'skip'))
        check_choice(self, 'on_bad_timeline', on_bad_timeline, ('stop', 'warn'))
        check_choice(self, 'check', check, ('values', 'header'))
        check_choice(self, 'role', role, (None, 'fit', 'score'))
        self.feature = dict(feature or {})
        self.timeline = SnippetTimeline(**(timeline or {}))
        self.min_snippets = min_snippets
        self.unannotated = unannotated
        self.on_missing = on_missing
        self.on_bad_timeline = on_bad_timeline
        self.check = check
        self.role = role
        self.bank = bank
        self._bank_windows: BankWindows | None = None
        super().__init__(ann_file, pipeline, data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Match annotations with features, check both, and list the videos."""
        root, steps = self.data_path, self.pipeline.transforms
        self.min_snippets = least_snippets(self.min_snippets, steps, type(self).__name__)
        self.store = open_features(root, **self.feature)
        times = ExtractionTimes(root)
        configured, self.timeline = self.timeline, times.timeline(self.timeline)
        records = self._present(self.with_classes(self._all_records()))
        records = [times.record(r, self.store.path(r.name), configured) for r in records]
        records = self.learnable(records)
        self._check_role(records)
        check_stored(self.store, [record.name for record in records], self.check == 'values')
        entries = [self._entry(record) for record in records]
        check_timelines(
            self.source,
            [(entry['record'], entry['num_snippets']) for entry in entries],
            self.timeline,
            self.on_bad_timeline,
        )
        entries = self._long_enough(entries, self.min_snippets)
        for step in steps:
            if isinstance(step, LoadSnippetProposals):
                step.check([entry['video_name'] for entry in entries])
        return self.shared(entries)

    def full_init(self) -> None:
        """List the videos and, with ``bank``, read them."""
        super().full_init()
        if self.bank is None or self._bank_windows is not None:
            return
        owner, names = type(self).__name__, self.video_names()
        window = window_of(self.pipeline.transforms, owner)
        bank = FeatureBank([(self.store, name) for name in names], **self.bank)
        self._bank_windows = BankWindows(bank, window, names, owner)

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
        if self._bank_windows is None:
            return [self[i] for i in indices]
        return [{'inputs': self._bank_windows.batch(indices)}]

    def get_data_info(self, idx: int) -> dict:
        """The video's entry, with what reads its features and which of its windows to read."""
        info = super().get_data_info(idx)
        # with a bank, a data set inside of another one is still asked for one item at a time
        info['feature_store'] = (
            self.store if self._bank_windows is None else self._bank_windows.bank
        )
        return info

    def _find_in_bank(self) -> None:
        if self._bank_windows is not None:
            self._bank_windows = self._bank_windows.of(self.video_names())

    def _all_records(self) -> list[VideoRecord]:
        """Every video that is asked for, whether or not its features are there."""
        if not self.ann_file:
            if self.subset is not None or self.group_field is not None:
                raise AnnotationError(
                    f'{type(self).__name__}: subset and group_field are in an annotation file; set '
                    'ann_file.'
                )
            return [VideoRecord(name) for name in self.store.names()]
        records = self.annotated_records()
        if self.unannotated:
            everything = load_annotations(self.ann_file, on_bad_segment='drop').records
            known = {record.name for record in everything}
            known |= set(self.store.find(known).values())
            extra = [VideoRecord(name) for name in self.store.names() if name not in known]
            self.log(f'{len(extra)} videos of the feature store without annotation are added.')
            records += extra
        return records

    def _present(self, records: list[VideoRecord]) -> list[VideoRecord]:
        matched = self.store.find(record.name for record in records)
        if matched:
            self.log(rules_used(matched))
        present, missing = with_features(records, self.store, self.data_path, self.on_missing)
        if missing:
            self.count_left_out(len(records) - len(present), 'videos without features')
            self.log(f'{missing}; skipped.')
        return present

    def _check_role(self, records: list[VideoRecord]) -> None:
        unlabelled = [record.name for record in records if record.segments is None]
        if self.role and unlabelled:
            raise AnnotationError(
                f'{self.source}: role={self.role!r} is for videos with annotated segments, and '
                f'{len(unlabelled)} of {len(records)} have none: {first_few(unlabelled)}. Choose '
                'another subset, or leave out role.'
            )

    def _entry(self, record: VideoRecord) -> dict:
        num_snippets = self.store.shape(record.name)[0]
        return {
            **video_entry(record, num_snippets, self.timeline, self.role, self.classes),
            'feature_path': self.store.path(record.name),
        }

    def _long_enough(self, entries: list[dict], min_snippets: int) -> list[dict]:
        kept = long_enough(entries, min_snippets, self.data_path)
        num_short = len(entries) - len(kept)
        if num_short:
            self.count_left_out(num_short, 'videos that are too short')
            self.log(
                f'{num_short} of {len(entries)} videos have fewer than {min_snippets} snippets and '
                'are left out.'
            )
        return kept
