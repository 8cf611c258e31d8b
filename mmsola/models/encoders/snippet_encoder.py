"""A recognizer of MMAction2 as frozen snippet encoder."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmaction.structures import ActionDataSample
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from torch import Tensor

from mmsola.datasets.videos.snippet_sampling import SnippetSampling
from mmsola.models.encoders.recognizer_features import (
    EncoderError,
    RecognizerFeatures,
    kind_of,
    shifts_frames,
)

# Transforms that open, sample and decode: here that is done once for all snippets of a video.
_BEFORE_FRAMES = ('Init', 'SampleFrames', 'UniformSample', 'Decode')
_SHAPING = 'FormatShape'


class SnippetEncoder:
    """Frames of snippets to features ``(N, C)``: a recognizer in eval mode, nothing of it trained.

    Features are what MMAction2's ``FeatureHead`` makes of the recognizer's: pooled over space and
    time, averaged over crops. Frames are resized, cropped and normalised as the recognizer's
    config says for validation.

    Args:
        config: Config of a ``Recognizer2D`` or ``Recognizer3D`` of RGB frames, or its file.
        checkpoint: Its weights; all of backbone and neck must be there and fit.
        snippet_frames: Frames of a snippet; None takes what the config's validation takes.
        frame_interval: Distance of these frames; None takes the config's, which only 3-D
            recognizers have.
        stride_frames: From one snippet to the next; None lets them follow without overlap.
        short_side: Resize frames to this shorter side instead of the config's.
        crop_size: Crop their centre to this size instead of the config's.
        device: Where it runs.
        amp: Run it under autocast, in half precision.
        name: What messages call the config; None is its file.

    Raises:
        EncoderError: The config is of something else, or lacks the frames of a snippet.
        CheckpointError: The checkpoint cannot be read, or does not fit the config.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path,
        snippet_frames: int | None = None,
        frame_interval: int | None = None,
        stride_frames: int | None = None,
        short_side: int | None = None,
        crop_size: int | None = None,
        device: str | torch.device = 'cpu',
        amp: bool = False,
        name: str | None = None,
    ) -> None:
        cfg = config if isinstance(config, Config) else Config.fromfile(str(config))
        init_default_scope(cfg.get('default_scope', 'mmaction'))  # as MMAction2's init_recognizer
        self.name = name or getattr(cfg, 'filename', None) or 'the config'
        model_cfg = cfg.get('model') or ConfigDict()
        #: The recognizer, nothing of it trained.
        self.model = RecognizerFeatures(model_cfg, str(self.name), with_classifier=True)
        self.is_2d = self.model.is_2d
        pipeline = _validation_pipeline(cfg, self.name)
        self.sampling = self._sampling(
            pipeline, model_cfg, snippet_frames, frame_interval, stride_frames
        )
        self.frame_pipeline, self.snippet_pipeline = self._split(pipeline)
        _set_size(self.frame_pipeline, short_side, crop_size, self.name)
        #: Whether the checkpoint has the classifier of the config as well.
        self.classifies = self.model.load(checkpoint)
        self.model.requires_grad_(False).eval()
        # its own method moves its preprocessor too; that of the outer module would not
        self.model.recognizer.to(device)
        self.device = torch.device(device)
        self.amp = amp

    @property
    def clips(self) -> dict[str, int]:
        """``num_clips`` and ``clip_len`` of a snippet, as MMAction2's FormatShape reads them."""
        if self.is_2d:
            return {'num_clips': self.sampling.snippet_frames, 'clip_len': 1}
        return {'num_clips': 1, 'clip_len': self.sampling.snippet_frames}

    @torch.inference_mode()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Features ``(N, C)``, float32 on the CPU, of snippets ``(N, ...)``."""
        return self.model.pooled(*self._features(inputs), len(inputs)).float().cpu()

    @torch.inference_mode()
    def with_scores(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``(N, C)`` and the recognizer's class scores ``(N, classes)``.

        Raises:
            EncoderError: The checkpoint has no classifier that fits the config.
        """
        if not self.classifies:
            raise EncoderError(
                f'{self.name}: the checkpoint has no classifier of its own that fits\n'
                '  expected: weights of cls_head for the classes of the config\n'
                '  fix: name the checkpoint that was trained with this config'
            )
        features, kwargs = self._features(inputs)
        samples = [ActionDataSample() for _ in range(len(inputs))]
        with self._autocast():
            samples = self.model.recognizer.cls_head.predict(features, samples, **kwargs)
        scores = torch.stack([sample.pred_score for sample in samples])
        return self.model.pooled(features, kwargs, len(inputs)).float().cpu(), scores.float().cpu()

    def settings(self) -> dict[str, Any]:
        """What features depend on, besides config and checkpoint; comparable and json."""
        return {
            **asdict(self.sampling),
            'stride_frames': self.sampling.stride,
            'window_frames': self.sampling.window_frames,
            'frame_pipeline': [dict(step) for step in self.frame_pipeline],
            'snippet_pipeline': [dict(step) for step in self.snippet_pipeline],
            'amp': self.amp,
        }

    def _features(self, inputs: Tensor) -> tuple[Any, dict[str, Any]]:
        with self._autocast():
            return self.model.features(inputs)

    def _autocast(self) -> torch.autocast:
        dtype = torch.bfloat16 if self.device.type == 'cpu' else torch.float16
        return torch.autocast(self.device.type, dtype, enabled=self.amp)

    def _sampling(
        self,
        pipeline: Sequence[ConfigDict],
        model_cfg: ConfigDict,
        snippet_frames: int | None,
        frame_interval: int | None,
        stride_frames: int | None,
    ) -> SnippetSampling:
        samplers = [step for step in pipeline if 'Sample' in kind_of(step)]
        sampler = samplers[0] if samplers else ConfigDict()
        own_frames = sampler.get('num_clips' if self.is_2d else 'clip_len')
        if shifts_frames(model_cfg.backbone):
            own_frames = model_cfg.backbone.get('num_segments', 8)
            if snippet_frames not in (None, own_frames):
                raise EncoderError(
                    f'{self.name}: snippet_frames is {snippet_frames}, but its backbone shifts '
                    f'among {own_frames} frames\n  expected: snippet_frames={own_frames}\n'
                    '  fix: leave snippet_frames out'
                )
        frames = snippet_frames or own_frames
        if frames is None:
            raise EncoderError(
                f'{self.name}: does not say how many frames a snippet has\n'
                '  expected: SampleFrames with clip_len (3-D) or num_clips (2-D) in its validation '
                'pipeline\n  fix: give --snippet-frames'
            )
        interval = frame_interval or (None if self.is_2d else sampler.get('frame_interval', 1))
        if interval is None and frames > 1:
            raise EncoderError(
                f'{self.name}: a 2-D recognizer takes {frames} frames from anywhere in a clip\n'
                '  expected: the distance of the frames of a snippet\n'
                '  fix: give --frame-interval, in frames'
            )
        return SnippetSampling(frames, interval or 1, stride_frames)

    def _split(self, pipeline: Sequence[ConfigDict]) -> tuple[list[ConfigDict], list[ConfigDict]]:
        steps = [step for step in pipeline if not any(x in kind_of(step) for x in _BEFORE_FRAMES)]
        shaping = [i for i, step in enumerate(steps) if kind_of(step) == _SHAPING]
        formats = [steps[i].get('input_format') for i in shaping]
        wanted = 'NCHW' if self.is_2d else 'NCTHW'
        if formats != [wanted]:
            raise EncoderError(
                f'{self.name}: its validation pipeline shapes frames as {formats or "nothing"}\n'
                f'  expected: one FormatShape with {wanted!r}, for RGB frames\n'
                '  fix: name the config of a recognizer of RGB frames'
            )
        return steps[: shaping[0]], steps[shaping[0] :]


def _validation_pipeline(cfg: Config, name: str) -> list[ConfigDict]:
    for split in ('val', 'test'):
        dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}
        while 'dataset' in dataset:
            dataset = dataset['dataset']
        if dataset.get('pipeline'):
            return copy.deepcopy(list(dataset['pipeline']))
    raise EncoderError(
        f'{name}: has no pipeline of a val_dataloader or test_dataloader\n'
        '  expected: one that says how frames are resized and cropped\n'
        "  fix: name the recognizer's whole config"
    )


def _set_size(
    steps: list[ConfigDict], short_side: int | None, crop_size: int | None, name: str
) -> None:
    for value, key, kinds, option in (
        (short_side and (-1, short_side), 'scale', ('Resize',), '--short-side'),
        (crop_size, 'crop_size', ('CenterCrop', 'ThreeCrop', 'TenCrop'), '--crop-size'),
    ):
        if value is None:
            continue
        found = [step for step in steps if kind_of(step) in kinds]
        if not found:
            raise EncoderError(
                f'{name}: its validation pipeline has no {" or ".join(kinds)} to set\n  expected: '
                f'one for {option}\n  fix: leave {option} out'
            )
        for step in found:
            step[key] = value
            if key == 'scale':
                step.keep_ratio = True
