"""From a video or its features to the actions in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmaction.registry import INFERENCERS, METRICS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.infer import BaseInferencer
from torch import nn

from mmsola.apis.drawn_results import check_outputs, draw_results
from mmsola.apis.extraction_encoder import encoder_of
from mmsola.apis.inference_inputs import InferenceError, InputFiles, InputVideo
from mmsola.apis.input_features import InputFeatures
from mmsola.apis.localizer_checkpoint import load_localizer
from mmsola.apis.localizer_encoder import LocalizerEncoder
from mmsola.apis.localizer_inputs import LocalizerInputs
from mmsola.apis.segment_classes import SnippetScores, classified
from mmsola.device import usable_device
from mmsola.engine.config_file import read_config
from mmsola.engine.seconds import settle_seconds
from mmsola.evaluation.localization_metric import LocalizationMetric
from mmsola.files.shipped_configs import ConfigFileError
from mmsola.messages.progress import progress
from mmsola.models.encoders import SnippetEncoder
from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.structures.submission import submission_entries, write_submission
from mmsola.structures.window_merging import predicted_segments


@INFERENCERS.register_module(name='action-localization')
@INFERENCERS.register_module()
class LocalizationInferencer(BaseInferencer):
    """Segments of actions, with scores and classes, in videos or in files of snippet features.

    Used like MMAction2's ``ActionRecogInferencer``. Videos are encoded by the frozen encoder whose
    features the localizer learned from; its settings are read from their folder.

    Args:
        model: The localizer's config, its file, or ``mmsola::bmn/bmn_demo.py``.
        weights: Its checkpoint, which must fit.
        encoder: The encoder of videos: a ``SnippetEncoder``, or a folder of features made by
            ``mmsola extract``. None takes the folder that the config's test data name;
            feature files need none.
        encoder_checkpoint: The encoder's weights, if their file was moved.
        class_names: Classes of the encoder's own classifier, in its order. Then each segment gets
            the class that the classifier finds most in it, and its score is multiplied with that
            probability. None leaves labels to the localizer, or to ``'action'``.
        device: Where all runs; None takes a GPU if there is one.
        show_progress: Show bars.

    Example::

        inferencer = LocalizationInferencer('bmn_mine.py', 'work_dirs/bmn_mine/epoch_9.pth')
        found = inferencer('holiday.mp4', vid_out_dir='found')['predictions'][0]

    Raises:
        CheckpointError: A checkpoint cannot be read, or does not fit its config.
        InferenceError: There is no such config, or it is of no localizer.
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
        try:
            config = read_config(model)
        except ConfigFileError as error:
            raise InferenceError(str(error)) from error
        settle_seconds(config)
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
                neither the extraction nor ``ann_file`` has it.
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
        if batch_size < 1:
            raise InferenceError(f'batch_size is {batch_size}; expected 1 or more.')
        check_outputs(*(visualize.get(key) for key in ('vid_out_dir', 'video_out', 'show')))
        listed = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
        features = self.preprocess(listed, **preprocess)
        videos, found = self.forward(features, batch_size=batch_size)
        pictures = self.visualize(videos, found, **visualize)
        return {
            **self.postprocess(videos, found, pictures, return_datasamples, **postprocess),
            'failed': features.failed,
        }

    def preprocess(
        self, inputs: list[str | Path], fps: float | None = None, ann_file: str | None = None
    ) -> InputFeatures:
        """Features of the inputs, which are read and encoded as they are asked for."""
        files = InputFiles(inputs, self._data.feature)
        self._data.check(files.paths)
        encoder = self._localizer_encoder() if files.videos else None
        return InputFeatures(files, self._data, encoder, ann_file, fps, self.show_progress)

    @torch.inference_mode()
    def forward(
        self, inputs: InputFeatures, batch_size: int = 1
    ) -> tuple[list[InputVideo], dict[str, LabelledSegments]]:
        """The inputs that could be used, and what the localizer finds in each, the best first."""
        videos: dict[str, InputVideo] = {}
        class_scores: dict[str, SnippetScores] = {}

        def samples() -> Iterator[dict]:
            for video in progress(inputs, 'Localizing', total=len(inputs), show=self.show_progress):
                name = video.record.name
                videos[name] = inputs.input_video(video.record)
                if video.class_scores is not None:
                    class_scores[name] = video.class_scores
                yield from self._data.samples(video.record, video.features, video.timeline)

        windows = []
        left = samples()
        while batch := list(islice(left, batch_size)):
            results = self.model.test_step(self.collate_fn(batch))
            windows += [(result['video_name'], predicted_segments(result)) for result in results]
        found = self._metric.merged(windows)
        for name, scores in class_scores.items():
            found[name] = classified(found[name], *scores)
        return inputs.in_order(videos), found

    def visualize(
        self,
        inputs: list[InputVideo],
        preds: dict[str, LabelledSegments],
        return_vis: bool = False,
        vid_out_dir: str = '',
        video_out: bool = False,
        top_k: int = 10,
        show: bool = False,
    ) -> list[np.ndarray]:
        """A picture of each video, and an mp4 on request, written to ``vid_out_dir``."""
        check_outputs(vid_out_dir, video_out, show)
        classes = self._classes(inputs, preds)
        return draw_results(inputs, preds, classes, vid_out_dir, video_out, return_vis, top_k)

    def postprocess(
        self,
        inputs: list[InputVideo],
        preds: dict[str, LabelledSegments],
        visualization: list[np.ndarray],
        return_datasample: bool = False,
        pred_out_file: str = '',
        print_result: bool = False,
    ) -> dict:
        """Predictions in the order of the inputs, written where asked for."""
        if pred_out_file:
            write_submission(pred_out_file, {video.name: preds[video.name] for video in inputs})
        predictions = [
            {
                'video_name': video.name,
                'duration_sec': video.duration_sec,
                'segments': preds[video.name]
                if return_datasample
                else submission_entries(preds[video.name]),
            }
            for video in inputs
        ]
        if print_result:
            print(json.dumps(predictions, indent=2, ensure_ascii=False))
        return {'predictions': predictions, 'visualization': visualization}

    def _init_model(self, cfg: Any, weights: str | None, device: str = 'cpu') -> nn.Module:
        assert weights is not None
        return load_localizer(cfg, weights, device)

    def _init_pipeline(self, cfg: Any) -> None:
        """The config's settings of test data and results, without those of its own videos."""
        self._data = LocalizerInputs(cfg)
        evaluator = cfg.get('test_evaluator') or {}
        settings = dict(evaluator) if evaluator.get('type') == 'LocalizationMetric' else {}
        for key in ('out_file', 'ann_file', 'subset', 'class_scores'):
            settings.pop(key, None)
        settings['type'] = 'LocalizationMetric'
        self._metric: LocalizationMetric = METRICS.build(settings)

    def _init_collate(self, cfg: Any) -> Any:
        return pseudo_collate

    def _init_visualizer(self, cfg: Any) -> None:
        return None

    def _localizer_encoder(self) -> LocalizerEncoder:
        """The encoder of videos, built when the first one comes."""
        if not isinstance(self._encoder, SnippetEncoder):
            folder = self._data.folder if self._encoder is None else self._encoder
            self._encoder, self._encoder_fps = encoder_of(
                folder, self._device, self._encoder_checkpoint
            )
        return LocalizerEncoder(
            self._encoder,
            self._encoder_fps,
            self._class_names,
            self._data.feature.get('num_channels'),
        )

    def _classes(self, inputs: list[InputVideo], preds: dict[str, LabelledSegments]) -> list[str]:
        """All that may stand in a picture, so that a class has one colour in all of them."""
        classes = set(self._class_names or getattr(self.model, 'class_names', None) or ())
        for video in inputs:
            classes.update(video.annotated_classes, preds[video.name].labels)
        return sorted(classes)
