"""A recognizer of MMAction2 as far as its features: one vector for each snippet."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from mmaction.models.heads import FeatureHead
from mmaction.registry import MODELS
from mmengine.config import ConfigDict
from torch import Tensor, nn

from mmsola.models.encoders.recognizer_checkpoint import load_recognizer_weights

RECOGNIZERS = ('Recognizer2D', 'Recognizer3D')
# FeatureHead asks for the name of backbones whose features need special care.
_FEATURE_HEAD_NAMES = {
    'ResNet3dSlowFast': 'slowfast',
    'ResNetTSM': 'tsm',
    'MobileNetV2TSM': 'tsm',
    'MobileOneTSM': 'tsm',
}


class EncoderError(ValueError):
    """A recognizer that cannot serve as snippet encoder."""


class RecognizerFeatures(nn.Module):
    """Frames of snippets to features ``(N, C)``, normalised as the recognizer's config says.

    Features are what MMAction2's ``FeatureHead`` makes of the recognizer's: pooled over space and
    time, averaged over crops. They have gradients, and the module is in the mode it is set to.

    Args:
        model: Config of a ``Recognizer2D`` or ``Recognizer3D`` of RGB frames.
        name: What messages call it.
        with_classifier: Build its ``cls_head`` too, which features do not depend on.

    Raises:
        EncoderError: The config is of something else.
    """

    def __init__(
        self, model: dict, name: str = 'the encoder', with_classifier: bool = False
    ) -> None:
        super().__init__()
        cfg = ConfigDict(copy.deepcopy(model))
        if cfg.get('type') not in RECOGNIZERS:
            raise EncoderError(
                f'{name}: its model is a {cfg.get("type")}\n  expected: {" or ".join(RECOGNIZERS)}'
                ', which classify clips of frames\n  fix: name the config of a recognizer of RGB '
                'frames'
            )
        self.name = name
        self.is_2d = cfg.type == 'Recognizer2D'
        # all views at once: batches are of many snippets here
        test_cfg = cfg.get('test_cfg') or {}
        cfg.test_cfg = {
            k: v for k, v in test_cfg.items() if k not in ('max_testing_views', 'fcn_test')
        }
        if 'pretrained' in cfg.backbone:
            cfg.backbone.pretrained = None
        if not with_classifier:
            cfg.pop('cls_head', None)
        kind = kind_of(cfg.backbone)  # building may take it out of the config
        num_segments = cfg.backbone.get('num_segments', 8) if self.is_2d else None
        self.recognizer = MODELS.build(cfg)
        self.head = FeatureHead(
            backbone_name=_FEATURE_HEAD_NAMES.get(kind),
            num_segments=num_segments,  # read for backbones that shift among these frames only
            average_clips=None,
        )

    def load(self, checkpoint: str | Path) -> bool:
        """Load all weights of backbone and neck; whether those of the classifier came along.

        Raises:
            CheckpointError: The checkpoint cannot be read, or does not fit.
        """
        return load_recognizer_weights(self.recognizer, checkpoint, self.name)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features ``(N, C)`` of snippets as ``FormatShape`` shapes them.

        Args:
            inputs: ``(N, views, C, L, H, W)`` for 3-D recognizers and ``(N, views * L, C, H, W)``
                for 2-D ones, not normalised.

        Raises:
            EncoderError: What the backbone puts out cannot be pooled.
        """
        return self.pooled(*self.features(inputs), len(inputs))

    def features(self, inputs: Tensor) -> tuple[Any, dict[str, Any]]:
        """Outputs of backbone and neck, and the further arguments of the recognizer's head."""
        data = {'inputs': list(inputs), 'data_samples': None}
        data = self.recognizer.data_preprocessor(data, False)
        features, kwargs = self.recognizer.extract_feat(data['inputs'], test_mode=True)
        return features, {k: v for k, v in kwargs.items() if k != 'fcn_test' or self.is_2d}

    def pooled(self, features: Any, kwargs: dict[str, Any], num_snippets: int) -> Tensor:
        """One vector for each snippet, ``(N, C)``, of what :meth:`features` returns."""
        if isinstance(features, tuple) and isinstance(features[-1], list):
            features = features[-1][-1]  # MViT: the class token of the last stage
        try:
            pooled = self.head(features, num_segs=kwargs.get('num_segs'))
            return pooled.reshape(num_snippets, -1, pooled.shape[-1]).mean(1)
        except (AssertionError, NotImplementedError, RuntimeError, UnboundLocalError) as error:
            shape = tuple(getattr(features, 'shape', ())) or type(features).__name__
            raise EncoderError(
                f'{self.name}: features {shape} of {num_snippets} snippets cannot be pooled to one '
                f'vector each ({error})\n  expected: (N, C), (N, C, T, H, W), or (N T, C, H, W) of '
                "a 2-D recognizer\n  fix: choose a backbone that MMAction2's FeatureHead knows"
            ) from error


def shifts_frames(backbone: dict) -> bool:
    """Whether a backbone shifts features among the frames of a snippet."""
    return _FEATURE_HEAD_NAMES.get(kind_of(backbone)) == 'tsm'


def kind_of(cfg: Any) -> str:
    """Name of a transform or module, whether the config names it by text or by class."""
    kind = cfg['type']
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__
