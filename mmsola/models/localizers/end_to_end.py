"""A localizer whose encoder is trained along, on the frames of whole videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mmsola.models.encoders.recognizer_features import RecognizerFeatures


@MODELS.register_module()
class EndToEndLocalizer(BaseModel):
    """Frames of all snippets of a video -> encoder -> features ``(C, T)`` -> localizer.

    Fine-tuning on the localization labels is what one would do were it not for its cost, and what
    a neck on frozen features has to be compared with. The encoder learns at another rate with
    ``optim_wrapper=dict(paramwise_cfg=dict(custom_keys={'encoder': dict(lr_mult=0.1)}))``.

    Args:
        encoder: Config of a ``Recognizer2D`` or ``Recognizer3D``, the ``model`` of its own config.
            It normalises frames as its ``data_preprocessor`` says; its classifier is left out.
        localizer: Config of a localizer, with or without a neck of its own.
        encoder_checkpoint: Weights that the encoder begins with, or a pattern that one file
            matches; all of its backbone and neck must be there and fit. They are loaded when a
            training begins; a checkpoint of the whole model needs them no more. None begins with
            random weights.
        frozen_encoder: Leave the encoder as it is: no gradient, eval mode. The features are those
            that ``mmsola extract`` writes.
        norm_eval: Keep the statistics of the encoder's batch normalisation, since a batch is the
            snippets of one or two videos.
        chunk_snippets: Snippets that pass the encoder at once; None takes all of a video.
        checkpointing: Forget the activations of a chunk and compute them again for its gradient:
            less memory, up to a third more time. Not with ``norm_eval=False``, whose statistics
            would count each chunk twice.

    Raises:
        ValueError: Arguments contradict each other; or (at the first forward) nothing was ever
            loaded into the encoder, or its channels are not those the localizer takes.
        EncoderError: The encoder is no recognizer, or its features cannot be pooled.
    """

    is_init: bool  # MMEngine's: whether init_weights was called

    def __init__(
        self,
        encoder: dict,
        localizer: dict,
        encoder_checkpoint: str | None,
        frozen_encoder: bool = False,
        norm_eval: bool = True,
        chunk_snippets: int | None = None,
        checkpointing: bool = False,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        for wrong, found, fix in (
            (
                frozen_encoder and encoder_checkpoint is None,
                'frozen_encoder without encoder_checkpoint would keep random weights',
                'Name a checkpoint',
            ),
            (
                checkpointing and not norm_eval and not frozen_encoder,
                'checkpointing with norm_eval=False would count statistics twice',
                'Set norm_eval=True',
            ),
            (
                chunk_snippets is not None and chunk_snippets < 1,
                f'chunk_snippets is {chunk_snippets}',
                'Set it to 1 or more, or None for all snippets of a video',
            ),
        ):
            if wrong:
                raise ValueError(f'{type(self).__name__}: {found}. {fix}.')
        self.encoder_checkpoint = encoder_checkpoint
        self.frozen_encoder = frozen_encoder
        self.norm_eval = norm_eval
        self.chunk_snippets = chunk_snippets
        self.checkpointing = checkpointing
        self.encoder = RecognizerFeatures(encoder, f'the encoder of {type(self).__name__}')
        self.localizer = MODELS.build(localizer)
        self._is_loaded = encoder_checkpoint is None
        if frozen_encoder:
            self.encoder.requires_grad_(False)
        self.train()  # a module begins in training mode before anybody calls train()

    def init_weights(self) -> None:
        """The localizer's own; the encoder's are loaded, and not drawn anew after it.

        Raises:
            CheckpointError: The encoder's checkpoint cannot be read, or does not fit.
        """
        if self.is_init:
            return
        self.localizer.init_weights()
        if self.encoder_checkpoint is None:
            self.encoder.recognizer.init_weights()
        else:
            self.encoder.load(self.encoder_checkpoint)
        self._is_loaded = self.is_init = True

    def train(self, mode: bool = True) -> EndToEndLocalizer:
        """Switch the mode, except of what keeps its statistics."""
        super().train(mode)
        if self.frozen_encoder:
            self.encoder.eval()
        elif self.norm_eval:
            for module in self.encoder.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(
        self,
        inputs: Sequence[Tensor],
        data_samples: list[ActionDataSample] | None = None,
        mode: str = 'tensor',
    ) -> Any:
        """MMEngine's three modes, those of the localizer.

        Args:
            inputs: Of each video ``(T_i, C, L, H, W)`` for 3-D recognizers, ``(T_i, L, C, H, W)``
                for 2-D ones, not normalised.
            data_samples: As the localizer takes them.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.
        """
        if not self._is_loaded:
            raise ValueError(
                f'{type(self).__name__}: no weights were loaded into the encoder. Call '
                'init_weights(), as a training does, or load a checkpoint of this model; '
                'encoder_checkpoint=None trains it from random weights.'
            )
        return self.localizer([self.features(clips) for clips in inputs], data_samples, mode)

    def features(self, clips: Tensor) -> Tensor:
        """Features ``(C, T)`` of a video's snippets, as :meth:`forward` takes them.

        Raises:
            ValueError: They are shaped for a recognizer of the other kind.
        """
        is_2d = self.encoder.is_2d
        if clips.ndim != 5 or clips.shape[2 if is_2d else 1] != 3:
            wanted, name = ('(T, L, 3, H, W)', 'NCHW') if is_2d else ('(T, 3, L, H, W)', 'NCTHW')
            raise ValueError(
                f'{type(self).__name__}: expected RGB frames {wanted}, found {tuple(clips.shape)}; '
                f"set dict(type='LoadSnippetClips', input_format={name!r})."
            )
        if not is_2d:
            clips = clips.unsqueeze(1)  # recognizers take several views of a clip; here is one
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen_encoder):
            chunks = clips.split(self.chunk_snippets or len(clips))
            return torch.cat([self._encoded(chunk) for chunk in chunks]).transpose(0, 1)

    def _encoded(self, chunk: Tensor) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(self.encoder, chunk, use_reentrant=False)
        return self.encoder(chunk)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # MMEngine loads with strict=False: a localizer's own checkpoint leaves the encoder random
        self._is_loaded |= any(key.startswith(f'{prefix}encoder.') for key in state_dict)
        super()._load_from_state_dict(state_dict, prefix, *args)
