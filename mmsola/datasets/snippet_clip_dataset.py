"""SnippetClipDataset: whole videos as clips of frames, for encoders that are trained along."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmaction.registry import DATASETS

from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.datasets.untrimmed_videos import UntrimmedVideoDataset
from mmsola.datasets.video_entry import video_entry
from mmsola.datasets.videos.pyav import load_pyav
from mmsola.datasets.videos.snippet_clips import SnippetClips
from mmsola.datasets.videos.snippet_sampling import SnippetSampling
from mmsola.datasets.videos.video import VideoError
from mmsola.datasets.videos.video_list import find_videos
from mmsola.messages.argument_checks import check_choice
from mmsola.messages.first_few import first_few
from mmsola.messages.progress import progress
from mmsola.structures.video_record import VideoRecord


@DATASETS.register_module()
class SnippetClipDataset(UntrimmedVideoDataset):
    """Untrimmed videos as the frames of their snippets, with the annotations of these.

    Entries are those of ``SnippetFeatureDataset`` on the features that ``mmsola extract``
    writes with the same sampling, so a localizer is given the same labels and times. ``filename``
    and ``snippet_clips`` stand for the features.

    Args:
        ann_file: Annotation file.
        data_prefix: ``dict(video=...)``, the folder of the videos, searched with its sub-folders.
        sampling: Arguments of ``SnippetSampling``: ``snippet_frames``, ``frame_interval``,
            ``stride_frames``.
        frame_pipeline: MMAction2's ``Resize`` and ``CenterCrop``, done to each frame once.
        pipeline: Transforms; the first is ``LoadSnippetClips``.
        file_name: From a video's name in the annotation file to its file without suffix, such as
            ``'v_{name}'``.
        fps: Frames a second to bring videos to; None keeps their own.
        cache: Decode all videos when the data set is built and keep their frames in memory, each
            once, as the frame pipeline leaves them. Otherwise they are decoded in every epoch.
        on_bad: What to do about videos that are missing or cannot be decoded: ``'stop'``, or
            ``'skip'``, which decodes each once to find out.

    All other arguments are those of :class:`UntrimmedVideoDataset`.

    Raises:
        VideoError: A video is bad and ``on_bad='stop'``, or none is left.
        AnnotationError: The annotation file cannot be used.
    """

    METAINFO = {'dataset_type': 'snippet clips'}
    DATA_KEY, DATA_NAME = 'video', 'the folder of the videos'

    def __init__(
        self,
        ann_file: str,
        pipeline: Sequence[dict | Callable],
        sampling: dict,
        data_prefix: dict | None = None,
        frame_pipeline: Sequence[dict] = (),
        file_name: str = '{name}',
        fps: float | None = None,
        cache: bool = False,
        on_bad: str = 'stop',
        **kwargs,
    ) -> None:
        check_choice(self, 'on_bad', on_bad, ('stop', 'skip'))
        load_pyav()  # missing, it would be an error of every worker
        self.sampling = SnippetSampling(**sampling)
        self.frame_pipeline = list(frame_pipeline)
        self.file_name = file_name
        self.fps = fps
        self.cache = cache
        self.on_bad = on_bad
        super().__init__(ann_file, pipeline, data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Match annotations with videos, and list them; nothing is decoded."""
        files = find_videos(self.ann_file, self.data_path, self.subset, self.file_name)
        records = self.learnable(self.with_classes(self.annotated_records()))
        self.clips = SnippetClips(files, self.sampling, self.frame_pipeline, self.fps, self.cache)
        entries, failures = [], []
        for record in records:
            try:
                entries.append(self._entry(record))
            except VideoError as error:
                failures.append(self._failure(error))
        if failures:
            self._skip(failures, len(records))
        return self.shared(entries)

    def full_init(self) -> None:
        """List the videos; decode them to keep them, or to know that they can be."""
        if self._fully_initialized:
            return
        super().full_init()
        if not self.cache and self.on_bad == 'stop':
            return
        names = self.video_names()
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
            self._skip(failures, len(names))
            self.get_subset_(good)
        if self.cache:
            num_bytes = sum(frames.nbytes for frames in self.clips.kept.values())
            self.log(f'frames of {len(good)} videos are kept in {num_bytes / 1e6:.0f} MB.')

    def get_data_info(self, idx: int) -> dict:
        """The video's entry, with what reads its frames and which of its pieces to read."""
        return {**super().get_data_info(idx), 'snippet_clips': self.clips}

    def _entry(self, record: VideoRecord) -> dict:
        timeline = SnippetTimeline(
            self.sampling.stride,
            self.sampling.window_frames,
            self.fps or record.fps or self.clips.fps_of(record.name),
        )
        num_snippets = self.clips.num_snippets(record.name)
        return {
            **video_entry(record, num_snippets, timeline, classes=self.classes),
            'filename': str(self.clips.videos[record.name]),
        }

    def _failure(self, error: VideoError) -> str:
        """What was found, where it is not a reason to stop."""
        if self.on_bad == 'stop':
            raise error
        return str(error).splitlines()[0]

    def _skip(self, failures: list[str], num_videos: int) -> None:
        found = f'{len(failures)} of {num_videos} videos cannot be decoded: {first_few(failures)}'
        if len(failures) == num_videos:
            raise VideoError(
                f'{self.data_path}: {found}\n  expected: videos with frames\n'
                '  fix: correct data_prefix and file_name, or record or download them again'
            )
        self.count_left_out(len(failures), 'videos that cannot be decoded')
        self.log(f'{found}; skipped.')
