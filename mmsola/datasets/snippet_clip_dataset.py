"""SnippetClipDataset: whole videos as clips of frames, for encoders that are trained along."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmaction.datasets.base import BaseActionDataset
from mmaction.registry import DATASETS

from mmsola.datasets.class_names import class_choice
from mmsola.datasets.labelled_records import learnable_records, with_classes
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.datasets.untrimmed_videos import (
    leave_out,
    named,
    read_records,
    say,
    video_info,
)
from mmsola.datasets.videos.pyav import load_pyav
from mmsola.datasets.videos.snippet_clips import SnippetClips
from mmsola.datasets.videos.snippet_sampling import SnippetSampling
from mmsola.datasets.videos.video import VideoError
from mmsola.datasets.videos.video_list import find_videos
from mmsola.progress import progress
from mmsola.structures.video_record import VideoRecord


@DATASETS.register_module()
class SnippetClipDataset(BaseActionDataset):
    """Untrimmed videos as the frames of their snippets, with the annotations of these.

    Entries are those of ``SnippetFeatureDataset`` on the features that ``extract_features.py``
    writes with the same sampling, so a localizer is given the same labels and times. ``filename``
    and ``snippet_clips`` stand for the features.

    Args:
        ann_file: Annotation file.
        data_prefix: ``dict(video=...)``, the folder of the videos, searched with its sub-folders.
        sampling: Arguments of ``SnippetSampling``: ``snippet_frames``, ``frame_interval``,
            ``stride_frames``.
        frame_pipeline: MMAction2's ``Resize`` and ``CenterCrop``, done to each frame once.
        pipeline: Transforms; the first is ``LoadSnippetClips``.
        subset: Subsets of the annotation file to take; None takes all.
        group_field: Field of the annotation that names what must not be in training and validation
            at once.
        file_name: From a video's name in the annotation file to its file without suffix, such as
            ``'v_{name}'``.
        fps: Frames a second to bring videos to; None keeps their own.
        cache: Decode all videos when the data set is built and keep their frames in memory, each
            once, as the frame pipeline leaves them. Otherwise they are decoded in every epoch.
        on_bad: What to do about videos that are missing or cannot be decoded: ``'stop'``, or
            ``'skip'``, which decodes each once to find out.
        on_bad_segment: What to do about zero-length or reversed segments, ``'stop'`` or ``'drop'``.
        classes: And the next two are those of ``SnippetFeatureDataset``.
        class_agnostic: See there.
        ignored_classes: See there.

    Raises:
        VideoError: A video is bad and ``on_bad='stop'``, or none is left.
        AnnotationError: The annotation file cannot be used.
    """

    METAINFO = {'dataset_type': 'snippet clips'}

    def __init__(
        self,
        ann_file: str,
        pipeline: Sequence[dict | Callable],
        sampling: dict,
        data_prefix: dict | None = None,
        frame_pipeline: Sequence[dict] = (),
        subset: str | Sequence[str] | None = None,
        group_field: str | None = None,
        file_name: str = '{name}',
        fps: float | None = None,
        cache: bool = False,
        on_bad: str = 'stop',
        on_bad_segment: str = 'stop',
        classes: Sequence[str] | str | None = None,
        class_agnostic: bool = False,
        ignored_classes: Sequence[str] = (),
        **kwargs,
    ) -> None:
        for key, value, choices in (
            ('on_bad', on_bad, ('stop', 'skip')),
            ('on_bad_segment', on_bad_segment, ('stop', 'drop')),
        ):
            if value not in choices:
                raise ValueError(
                    f'{type(self).__name__}: {key} is one of {choices}, got {value!r}.'
                )
        load_pyav()  # missing, it would be an error of every worker
        self.sampling = SnippetSampling(**sampling)
        self.frame_pipeline = list(frame_pipeline)
        self.subset = subset
        self.group_field = group_field
        self.file_name = file_name
        self.fps = fps
        self.cache = cache
        self.on_bad = on_bad
        self.on_bad_segment = on_bad_segment
        self.class_choice, kwargs['metainfo'] = class_choice(
            classes, class_agnostic, ignored_classes, kwargs.get('metainfo')
        )
        self._classes: tuple[str, ...] = ()
        super().__init__(
            ann_file,
            pipeline=list(pipeline),
            data_prefix=data_prefix if data_prefix is not None else {'video': ''},
            **kwargs,
        )

    def full_init(self) -> None:
        """List the videos; decode them to keep them, or to know that they can be."""
        if self._fully_initialized:
            return
        super().full_init()
        if not self.cache and self.on_bad == 'stop':
            return
        names = [self.get_data_info(i)['video_name'] for i in range(len(self))]
        good, failures = [], []
        for i, name in enumerate(progress(names, 'Decoding')):
            try:
                self.clips.decode(name)
            except VideoError as error:
                failures.append(self._failure(error))
            else:
                good.append(i)
                if self.cache and len(good) == 1:
                    self.clips.check_memory(names)
        if failures:
            self._say_skipped(failures, len(names))
            self.get_subset_(good)
        if self.cache:
            num_bytes = sum(frames.nbytes for frames in self.clips.kept.values())
            self._say(f'frames of {len(good)} videos are kept in {num_bytes / 1e6:.0f} MB.')

    def load_data_list(self) -> list[dict]:
        """Match annotations with videos, and list them; nothing is decoded."""
        if 'video' not in self.data_prefix:
            raise ValueError(
                f'{type(self).__name__}: data_prefix=dict(video=...) names the folder of the '
                f'videos, found {dict(self.data_prefix)}.'
            )
        files = find_videos(self.ann_file, self.data_prefix['video'], self.subset, self.file_name)
        records = read_records(
            self.ann_file,
            self.subset,
            self.group_field,
            self.on_bad_segment,
            self._metainfo,
            self.test_mode,
        )
        records, self._classes = with_classes(
            records,
            self.class_choice,
            self.pipeline.transforms,
            self.ann_file,
            self.data_root,
            self._metainfo,
        )
        records = learnable_records(
            records, self.pipeline.transforms, self.test_mode, self.ann_file
        )
        self.clips = SnippetClips(files, self.sampling, self.frame_pipeline, self.fps, self.cache)
        infos, failures = [], []
        for record in records:
            try:
                infos.append(self._data_info(record))
            except VideoError as error:
                failures.append(self._failure(error))
        if failures:
            self._say_skipped(failures, len(records))
        return infos

    def get_data_info(self, idx: int) -> dict:
        """The video's entry, with what reads its frames and the place of its piece."""
        return {
            **super().get_data_info(int(idx)),
            'snippet_clips': self.clips,
            'window_place': getattr(idx, 'place', None),
        }

    def _data_info(self, record: VideoRecord) -> dict:
        timeline = SnippetTimeline(
            self.sampling.stride,
            self.sampling.window_frames,
            self.fps or record.fps or self.clips.fps_of(record.name),
        )
        return {
            **video_info(
                record, self.clips.num_snippets(record.name), timeline, classes=self._classes
            ),
            'filename': str(self.clips.videos[record.name]),
        }

    def _failure(self, error: VideoError) -> str:
        """What was found, where it is not a reason to stop."""
        if self.on_bad == 'stop':
            raise error
        return str(error).splitlines()[0]

    def _say_skipped(self, failures: list[str], num_videos: int) -> None:
        found = f'{len(failures)} of {num_videos} videos cannot be decoded: {named(failures)}'
        if len(failures) == num_videos:
            raise VideoError(
                f'{self.data_prefix["video"]}: {found}\n  expected: videos with frames\n'
                '  fix: correct data_prefix and file_name, or record or download them again'
            )
        leave_out(self._metainfo, len(failures), 'videos that cannot be decoded')
        self._say(f'{found}; skipped.')

    def _say(self, message: str) -> None:
        say(f'{self.ann_file}: {message}')
