"""From a video or its features to the actions in it."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmaction.registry import DATASETS, INFERENCERS, METRICS, MODELS
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.infer import BaseInferencer
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.data import DataLoader

from mmsola.apis.extraction import encoder_of, extract_features
from mmsola.apis.inference_inputs import (
    InferenceError,
    InputFiles,
    annotation_entry,
    is_video,
)
from mmsola.apis.segment_classes import ScoringEncoder, classified
from mmsola.atomic import replacing
from mmsola.datasets.annotations import load_annotations
from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.datasets.videos.video_facts import read_facts
from mmsola.device import usable_device
from mmsola.engine.launch import check_neck
from mmsola.evaluation.localization_metric import LocalizationMetric
from mmsola.files.name_match import match_names, rules_used
from mmsola.models.checkpoint_file import (
    CheckpointError,
    class_names_in,
    misfits,
    read_checkpoint,
    state_dict_in,
    the_one_file,
)
from mmsola.models.encoders import SnippetEncoder
from mmsola.models.localizers import OneStageLocalizer, SnippetNeckMixin
from mmsola.progress import progress
from mmsola.structures.labelled_segments import LabelledSegments, annotated_segments
from mmsola.structures.submission import submission_entries, write_submission
from mmsola.structures.window_merging import predicted_segments
from mmsola.visualization.film import write_timeline_video
from mmsola.visualization.thumbnails import thumbnails_of
from mmsola.visualization.tsm import figure_to_rgb
from mmsola.visualization.video_picture import draw_video_timeline

_SEQUENCES = dict(
    type='SnippetFeatureDataset',
    pipeline=[
        dict(type='LoadSnippetSequence'),
        dict(type='GenerateSnippetLabels'),
        dict(
            type='PackSnippetInputs',
            meta_keys=(
                'video_name',
                'duration_second',
                'duration_frame',
                'feature_span',
                'window_sec',
            ),
        ),
    ],
)


_Scores = tuple[np.ndarray, np.ndarray, list[str]]  # (T,) seconds, (T, classes), their names


@dataclass(frozen=True)
class _Source:
    """One video or feature file that can be used."""

    name: str
    path: Path
    duration_sec: float
    truth: LabelledSegments | None  # None where nobody annotated it
    annotated_classes: frozenset[str] = frozenset()  # of the whole annotation file

    @property
    def is_video(self) -> bool:
        return is_video(self.path)


@INFERENCERS.register_module(name='action-localization')
@INFERENCERS.register_module()
class LocalizationInferencer(BaseInferencer):
    """Segments of actions, with scores and classes, in videos or in files of snippet features.

    In the manner of MMAction2's ``ActionRecogInferencer``. Videos pass the frozen encoder that made
    the features which the localizer learned from; its settings are taken from their folder.

    Args:
        model: The localizer's config, or its file.
        weights: Its checkpoint, which must fit.
        encoder: The encoder of videos: a ``SnippetEncoder``, or a folder of features made by
            ``mmsola extract``. None takes the folder that the config's test data name;
            feature files need none.
        encoder_checkpoint: The encoder's weights, where they lie elsewhere by now.
        class_names: Classes of the encoder's own classifier, in its order. Then each segment gets
            the class that the classifier finds most in it, and its score is multiplied with that
            probability. None leaves labels to the localizer, or to ``'action'``.
        device: Where all runs; None takes a GPU if there is one.
        show_progress: Show bars.

    Example::

        inferencer = LocalizationInferencer('configs/bmn_mine.py', 'work_dirs/bmn_mine/epoch_9.pth')
        found = inferencer('holiday.mp4', vid_out_dir='found')['predictions'][0]

    Raises:
        CheckpointError: A checkpoint cannot be read, or does not fit its config.
        InferenceError: The config is of no localizer.
    """

    preprocess_kwargs = {'fps', 'ann_file'}
    forward_kwargs: set = set()
    visualize_kwargs = {'return_vis', 'vid_out_dir', 'video_out', 'top_k', 'show'}
    postprocess_kwargs = {'pred_out_file', 'print_result'}

    def __init__(
        self,
        model: str | Path | Config,
        weights: str | Path,
        encoder: SnippetEncoder | str | Path | None = None,
        encoder_checkpoint: str | Path | None = None,
        class_names: Sequence[str] | None = None,
        device: str | None = None,
        show_progress: bool = True,
    ) -> None:
        config = model if isinstance(model, Config) else str(model)
        if isinstance(config, str) and not Path(config).is_file():
            raise InferenceError(f'{config}: no such config file.')
        self._encoder = encoder
        self._encoder_checkpoint = encoder_checkpoint
        self._encoder_fps: float | None = None
        self._class_names = None if class_names is None else list(class_names)
        if device is not None:
            device = str(usable_device(device))
        super().__init__(config, str(weights), device, 'mmaction', show_progress)
        self._device = next(self.model.parameters()).device

    def __call__(
        self,
        inputs: str | Path | Iterable[str | Path],
        return_datasamples: bool = False,
        batch_size: int = 1,
        **kwargs: Any,
    ) -> dict:
        """Find actions.

        Args:
            inputs: A video, a feature file (npy, csv, npz, pt), a folder of either, or several.
            return_datasamples: Predictions as :class:`LabelledSegments` instead of plain numbers.
            batch_size: Videos that the localizer takes at once.
            fps: Frames a second of the videos that feature files were extracted from, where
                neither the extraction nor ``ann_file`` tells it.
            ann_file: Annotations, for durations of feature files, and to be drawn.
            return_vis: Return the pictures, ``(H, W, 3)`` each.
            vid_out_dir: Folder for a picture ``<name>.png`` of each video.
            video_out: Write ``<name>.mp4`` there as well, the timeline under the picture.
            top_k: Segments that are drawn.
            pred_out_file: Write ActivityNet's submission json here.
            print_result: Print the predictions.

        Returns:
            ``predictions``, a list of ``{'video_name', 'duration_sec', 'segments': [{'segment':
            [start_sec, end_sec], 'label', 'score'}]}`` with the best first; ``visualization``;
            ``failed``, names and reasons of what could not be decoded.
        """
        preprocess, _, visualize, postprocess = self._dispatch_kwargs(**kwargs)
        listed = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
        with tempfile.TemporaryDirectory() as folder:
            sources, failed, dataset, scores = self.preprocess(
                listed, folder=Path(folder), **preprocess
            )
            found = self.forward(dataset, batch_size=batch_size)
        found = {
            name: classified(segments, *scores[name]) if name in scores else segments
            for name, segments in found.items()
        }
        pictures = self.visualize(sources, found, **visualize)
        return {
            **self.postprocess(sources, found, pictures, return_datasamples, **postprocess),
            'failed': failed,
        }

    def preprocess(
        self,
        inputs: list[str | Path],
        folder: Path = Path(),
        fps: float | None = None,
        ann_file: str | None = None,
    ) -> tuple[list[_Source], dict[str, str], Any, dict[str, _Scores]]:
        """Inputs with what is known of them, a data set of their features, and class scores."""
        dataset_cfg = self._dataset_cfg()
        files = InputFiles(inputs, dataset_cfg.get('feature') or {})
        paths = files.paths
        features = folder / 'features'
        features.mkdir()
        facts: dict[str, dict] = {}
        failed: dict[str, str] = {}
        scores: dict[str, _Scores] = {}
        if files.videos:
            facts, failed, scores = self._encode(files.videos, features, dataset_cfg)
        for name, array, known in files.features():
            facts[name] = known
            with replacing(features / f'{name}.npy') as partial:
                np.save(partial, array)
        if not facts:
            raise InferenceError(
                'none of the inputs can be used:\n'
                + '\n'.join(f'- {why}' for why in failed.values())
            )
        records = {}
        if ann_file is not None:
            records = {r.name: r for r in load_annotations(ann_file, on_bad_segment='keep').records}
            matched = match_names(paths, records)
            if matched:
                print_log(f'{ann_file}: {rules_used(matched)}', 'current')
            records.update({name: records[held] for name, held in matched.items()})
        names = [name for name in paths if name in facts]
        timeline = SnippetTimeline(**dataset_cfg.get('timeline') or {})
        database = {
            name: annotation_entry(paths[name], facts[name], records.get(name), fps, timeline)
            for name in names
        }
        classes = frozenset(s.label for r in records.values() for s in r.segments or ())
        sources = [
            _Source(
                name,
                paths[name],
                database[name]['duration'],
                annotated_segments(records.get(name)),
                classes,
            )
            for name in names
        ]
        annotations = folder / 'annotations.json'
        annotations.write_text(json.dumps({'database': database}))
        dataset_cfg.update(
            ann_file=str(annotations),
            data_root='',
            data_prefix=dict(feature=str(features)),
            test_mode=True,
            min_snippets=1,
        )
        # as they were written here, whatever they come from
        num_channels = (dataset_cfg.pop('feature', None) or {}).get('num_channels')
        dataset_cfg['feature'] = dict(num_channels=num_channels)
        # of the config's own videos
        for key in ('classes', 'class_agnostic', 'ignored_classes', 'metainfo'):
            dataset_cfg.pop(key, None)
        for key in ('subset', 'group_field', 'role', 'on_missing', 'indices', 'unannotated'):
            dataset_cfg.pop(key, None)
        return sources, failed, DATASETS.build(dataset_cfg), scores

    @torch.inference_mode()
    def forward(self, inputs: Any, batch_size: int = 1) -> dict[str, LabelledSegments]:
        """What the localizer finds in each video, the best first, windows merged."""
        loader = DataLoader(inputs, batch_size, collate_fn=pseudo_collate)
        unit = 'videos' if batch_size == 1 else 'batches'
        results = [
            (result['video_name'], predicted_segments(result))
            for batch in progress(loader, 'Localizing', unit, len(loader), self.show_progress)
            for result in self.model.test_step(batch)
        ]
        return self._metric.merged(results)

    def visualize(
        self,
        inputs: list[_Source],
        preds: dict[str, LabelledSegments],
        return_vis: bool = False,
        vid_out_dir: str = '',
        video_out: bool = False,
        top_k: int = 10,
        show: bool = False,
    ) -> list[np.ndarray]:
        """A picture of each video, and an mp4 on request, written to ``vid_out_dir``."""
        if show:
            raise InferenceError('show=True: there is no window here; set vid_out_dir.')
        if video_out and not vid_out_dir:
            raise InferenceError('video_out=True: where to is not said; set vid_out_dir.')
        pictures = []
        classes = self._classes(inputs, preds)
        for source in inputs if vid_out_dir or return_vis else ():
            thumbnails = thumbnails_of(source.path, 8) if source.is_video else []
            found, duration_sec = preds[source.name], source.duration_sec
            figure = draw_video_timeline(
                source.name, duration_sec, found, source.truth, thumbnails, top_k, classes=classes
            )
            out = Path(vid_out_dir) / source.name
            if vid_out_dir:
                with replacing(f'{out}.png') as partial:
                    figure.savefig(partial, dpi=130, format='png')
            if video_out and source.is_video:
                write_timeline_video(
                    f'{out}.mp4', source.path, found, source.truth, classes=classes
                )
            if return_vis:
                pictures.append(figure_to_rgb(figure))
        return pictures

    def postprocess(
        self,
        inputs: list[_Source],
        preds: dict[str, LabelledSegments],
        visualization: list[np.ndarray],
        return_datasample: bool = False,
        pred_out_file: str = '',
        print_result: bool = False,
    ) -> dict:
        """Predictions in the order of the inputs, written where asked for."""
        if pred_out_file:
            write_submission(pred_out_file, {source.name: preds[source.name] for source in inputs})
        predictions = [
            {
                'video_name': source.name,
                'duration_sec': source.duration_sec,
                'segments': preds[source.name]
                if return_datasample
                else submission_entries(preds[source.name]),
            }
            for source in inputs
        ]
        if print_result:
            print(json.dumps(predictions, indent=2, ensure_ascii=False))
        return {'predictions': predictions, 'visualization': visualization}

    def _classes(self, inputs: list[_Source], preds: dict[str, LabelledSegments]) -> list[str]:
        """All that may stand in a picture, so that a class has one colour in all of them."""
        classes = set(self._class_names or getattr(self.model, 'class_names', None) or ())
        for source in inputs:
            classes.update(source.annotated_classes, preds[source.name].labels)
        return sorted(classes)

    def _init_model(self, cfg: Any, weights: str | None, device: str = 'cpu') -> nn.Module:
        """The localizer with the weights of its checkpoint, all of them."""
        init_default_scope('mmaction')
        model_cfg = copy.deepcopy(cfg.get('model') or ConfigDict(type=None))
        neck = model_cfg.get('neck')
        if neck is not None:
            neck.pop('init_cfg', None)  # its weights are in the localizer's checkpoint
        model = MODELS.build(model_cfg)
        if not isinstance(model, SnippetNeckMixin):
            raise InferenceError(
                f'model is a {model_cfg.type}; expected a localizer of snippet features, such as '
                'BMN, or a class of your own derived from SnippetNeckMixin.'
            )
        check_neck(ConfigDict(model=model_cfg, load_from=weights), model)
        assert weights is not None
        file = the_one_file(weights)
        content = read_checkpoint(file)
        found, wanted = state_dict_in(file, content), model.state_dict()
        problems = misfits(wanted, found, left_over=('',))
        if problems:
            raise CheckpointError(
                f'{file}: does not fit {getattr(cfg, "filename", "the config")}\n{problems}'
                '  expected: the weights of this very localizer, and of its neck\n'
                '  fix: name the checkpoint that was trained with this config'
            )
        model.load_state_dict(found)
        names = class_names_in(file, content)
        if isinstance(model, OneStageLocalizer) and names is not None:
            model.name_classes(names, str(file))
        return model.to(device).eval()

    def _init_pipeline(self, cfg: Any) -> None:
        """Nothing: data come through the config's own test data set."""
        evaluator = cfg.get('test_evaluator') or {}
        settings = dict(evaluator) if evaluator.get('type') == 'LocalizationMetric' else {}
        for key in ('out_file', 'ann_file', 'subset', 'class_scores'):  # of the config's own videos
            settings.pop(key, None)
        settings['type'] = 'LocalizationMetric'
        self._metric: LocalizationMetric = METRICS.build(settings)

    def _init_collate(self, cfg: Any) -> Any:
        return pseudo_collate

    def _init_visualizer(self, cfg: Any) -> None:
        return None

    def _dataset_cfg(self) -> ConfigDict:
        """The config's test data, or such as a stock config of resized features has."""
        own = (self.cfg.get('test_dataloader') or {}).get('dataset') or ConfigDict()
        if own.get('type') in ('SnippetFeatureDataset', 'SlidingWindowDataset'):
            return copy.deepcopy(own)
        return ConfigDict(copy.deepcopy(_SEQUENCES))

    def _encode(
        self, videos: dict[str, Path], features: Path, dataset_cfg: ConfigDict
    ) -> tuple[dict[str, dict], dict[str, str], dict[str, _Scores]]:
        """Features of videos into a folder; their facts, what failed, and class scores if asked."""
        encoder, fps = self._encoder_of_videos(dataset_cfg)
        scoring = (
            encoder if self._class_names is None else ScoringEncoder(encoder, self._class_names)
        )
        folder = features.with_name('encoded')
        total = extract_features(scoring, videos, folder, fps=fps, show_progress=self.show_progress)
        facts, scores = {}, {}
        for name in videos.keys() - total['failed'].keys():
            array = np.load(folder / f'{name}.npy', allow_pickle=False)
            facts[name] = asdict(read_facts(folder / f'{name}.json', InferenceError))
            if self._class_names is not None:
                array, of_classes = np.split(array, [-len(self._class_names)], axis=1)
                sampling = encoder.sampling
                centres_sec = SnippetTimeline(
                    sampling.stride, sampling.window_frames, facts[name]['fps']
                ).centres_sec(len(array))
                scores[name] = (centres_sec, of_classes, self._class_names)
            with replacing(features / f'{name}.npy') as partial:
                np.save(partial, array)
        return facts, total['failed'], scores

    def _encoder_of_videos(self, dataset_cfg: ConfigDict) -> tuple[SnippetEncoder, float | None]:
        """The encoder, which must place snippets as the localizer learned them, and its fps."""
        if not isinstance(self._encoder, SnippetEncoder):
            folder = self._encoder
            if folder is None:
                root = dataset_cfg.get('data_root') or ''
                folder = Path(root) / (dataset_cfg.get('data_prefix') or {}).get('feature', '')
            self._encoder, self._encoder_fps = encoder_of(
                folder, self._device, self._encoder_checkpoint
            )
        sampling = self._encoder.sampling
        timeline = dataset_cfg.get('timeline') or {}
        if timeline.get('stride_frames') is not None:
            learned = (timeline['stride_frames'], timeline.get('window_frames', sampling.stride))
            if learned != (sampling.stride, sampling.window_frames):
                raise InferenceError(
                    f'the localizer learned from snippets of stride and window {learned} frames, '
                    f'the encoder makes them of {(sampling.stride, sampling.window_frames)}; name '
                    'the encoder of its features.'
                )
        else:  # the data set that it learned from took these from its folder of features
            dataset_cfg['timeline'] = {
                **timeline,
                'stride_frames': sampling.stride,
                'window_frames': sampling.window_frames,
            }
        return self._encoder, timeline.get('fps') or self._encoder_fps
