"""A neck between snippet features and any localizer of MMAction2."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmsola.models.data_preprocessors.snippet_data_preprocessor import stack_sequences
from mmsola.models.localizers.temporal_resize import WHOLE, is_fitting, resize_to_head
from mmsola.models.necks import SoLa, Standardize


class SnippetNeckMixin(BaseModel):
    """Give a localizer ``neck=``: features pass it at their native rate, then fit the head.

    A localizer of one's own takes three lines::

        @MODELS.register_module()
        class MyLocalizerWithNeck(SnippetNeckMixin, MyLocalizer):
            feat_dim_key, temporal_dim_key = 'in_channels', 'num_snippets'

    Without ``neck`` the class is the stock one: the same state dict, the same outputs. What is
    added even then: sequences whose length is not the head's are resized instead of refused, and
    segments come in seconds of the video where a sample has the part of it that the head saw.

    A SoLa neck is frozen unless its config has ``frozen=False``.

    Args:
        neck: Config of a module ``(B, C, T) -> (B, C, T)``, usually ``type='SoLa'``. Everything
            else goes to the localizer.

    Data samples may carry, in ``metainfo``:
        feature_span: Start and end of the sequence in units of what the head sees, ``(0, 1)`` where
            they are the same. The first and last snippet's outer edges lie there.
        window_sec: Start and end, in seconds of the video, of what the head sees. What starts after
            the last snippet is left out.
        covered_sec: Start and end of the video, or of what its features cover. Ends are cut to it.

    Raises:
        ValueError: The neck's channels are not those the localizer takes; or (at the first
            forward) the features'.
        TypeError: The localizer has no argument or attribute of the name ``feat_dim_key``.
    """

    #: The localizer's arguments that have the channels and the length of its input.
    feat_dim_key: ClassVar[str] = 'feat_dim'
    temporal_dim_key: ClassVar[str | None] = 'temporal_dim'
    #: Whether its inputs are ``(T, C)`` instead of ``(C, T)``.
    channels_last: ClassVar[bool] = False
    #: Whether its ``predict`` only understands one video at a time.
    predicts_one_video: ClassVar[bool] = False
    #: Whether its ``predict`` puts out seconds of the video, and needs no ``window_sec``.
    predicts_in_seconds: ClassVar[bool] = False

    neck: nn.Module | None

    def __init__(self, *args: Any, neck: dict | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._feat_dim: int = self._bound_argument(self.feat_dim_key, args, kwargs)
        length_key = self.temporal_dim_key
        self._temporal_dim: int | None = (
            self._bound_argument(length_key, args, kwargs) if length_key else None
        )
        self._has_logged_resizing = False
        # no attribute of a module's kind without a neck: the state dict stays the stock one's
        self.neck = None if neck is None else self._build_neck(neck)

    @property
    def with_neck(self) -> bool:
        """Whether features pass a neck."""
        return self.neck is not None

    def init_weights(self) -> None:
        """The localizer's own, then the neck's, which BMN and TEM would leave out."""
        super().init_weights()
        if self.neck is not None and not getattr(self.neck, 'is_init', False):
            initialise = getattr(self.neck, 'init_weights', None)
            if initialise is not None:
                initialise()

    def forward(
        self,
        inputs: list[Tensor] | Tensor,
        data_samples: list[ActionDataSample] | None = None,
        mode: str = 'tensor',
        **kwargs: Any,
    ) -> Any:
        """MMEngine's three modes over sequences ``(C, T_i)``, ``(T_i, C)`` if ``channels_last``."""
        sequences = list(inputs)
        samples = list(data_samples or [])
        for sample in samples:
            _shape_ground_truth(sample)
        sequences = self._fit(sequences, samples)
        if mode != 'predict' or self.predicts_in_seconds:
            return super().forward(sequences, data_samples, mode, **kwargs)
        in_units = [self._in_units_of_window(sample) for sample in samples]
        if self.predicts_one_video:
            results = [
                result
                for sequence, sample in zip(sequences, in_units)
                for result in super(SnippetNeckMixin, self).forward(
                    [sequence], [sample], mode, **kwargs
                )
            ]
        else:
            results = super().forward(sequences, in_units, mode, **kwargs)
        if samples and len(results) != len(samples):
            raise RuntimeError(
                f'{type(self).__name__}: predicted {len(results)} results for a batch of '
                f'{len(samples)} videos; set predicts_one_video = True in its class.'
            )
        for result, sample in zip(results, samples):
            _to_seconds(result, sample)
        return results

    def _bound_argument(self, key: str, args: tuple, kwargs: dict) -> Any:
        """The value of a constructor's argument, by the caller, a default or a base class."""
        bases = type(self).__mro__
        for base in bases[bases.index(SnippetNeckMixin) + 1 :]:
            if '__init__' not in vars(base):
                continue
            try:
                bound = inspect.signature(base.__init__).bind(self, *args, **kwargs)  # type: ignore[misc]
            except TypeError:  # the class before it has more arguments or fewer
                break
            bound.apply_defaults()
            if key in bound.arguments:
                return bound.arguments[key]
            if key in kwargs:
                return kwargs[key]
        if hasattr(self, key):
            return getattr(self, key)
        raise TypeError(
            f'{type(self).__name__}: has neither an argument nor an attribute {key!r}; set '
            'feat_dim_key and temporal_dim_key to the names of its arguments for the channels and '
            'the length of its input (temporal_dim_key = None if any length will do).'
        )

    def _build_neck(self, cfg: dict) -> nn.Module:
        cfg = dict(cfg)
        kind = MODELS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
        if inspect.isclass(kind) and issubclass(kind, (SoLa, Standardize)):
            cfg.setdefault('in_channels', self._feat_dim)
        if inspect.isclass(kind) and issubclass(kind, SoLa):
            cfg.setdefault('frozen', True)
        neck = MODELS.build(cfg)
        channels = getattr(neck, 'out_channels', getattr(neck, 'in_channels', self._feat_dim))
        if channels != self._feat_dim:
            raise ValueError(
                f'{type(self).__name__}: the neck puts out {channels} channels, but '
                f'{self.feat_dim_key}={self._feat_dim}; set both to those of the features.'
            )
        if isinstance(neck, (SoLa, Standardize)):
            neck.may_be_loaded_later = True
        how = ', frozen' if getattr(neck, 'frozen', False) else ''
        print_log(f'{type(self).__name__}: features pass {type(neck).__name__}{how}.', 'current')
        return neck

    def _fit(self, sequences: list[Tensor], samples: list[ActionDataSample]) -> list[Tensor]:
        """Apply the neck and resize to the head's length, where there is anything to do."""
        spans = [_span(sample) for sample in samples] or [WHOLE] * len(sequences)
        time, channel = (0, 1) if self.channels_last else (1, 0)
        for i, sequence in enumerate(sequences):
            wanted = self._feat_dim if self.neck is None else _in_channels(self.neck)
            if sequence.ndim != 2 or (wanted is not None and sequence.shape[channel] != wanted):
                name = _name(samples[i]) if samples else f'sequence {i}'
                order = '(T, C)' if self.channels_last else '(C, T)'
                raise ValueError(
                    f'{name}: expected features {order} with C={wanted}, found '
                    f'{tuple(sequence.shape)}; set {self.feat_dim_key} (and in_channels of the '
                    'neck) to the channels of the features.'
                )
        lengths = [sequence.shape[time] for sequence in sequences]
        fitting = all(map(is_fitting, lengths, spans, [self._temporal_dim] * len(lengths)))
        if self.neck is None and fitting:
            return sequences
        if self.channels_last:
            sequences = [sequence.transpose(0, 1) for sequence in sequences]  # (C, T_i)
        if self.neck is not None:
            sequences = _apply_neck(self.neck, sequences)
        if not fitting:
            assert self._temporal_dim is not None
            self._log_resizing(lengths)
            sequences = [
                resize_to_head(sequence, span, self._temporal_dim)
                for sequence, span in zip(sequences, spans)
            ]
        if self.channels_last:
            sequences = [sequence.transpose(0, 1) for sequence in sequences]  # (T, C)
        return sequences

    def _in_units_of_window(self, sample: ActionDataSample) -> ActionDataSample:
        """The sample as MMAction2's post-processing must see it to put out units of the window."""
        if 'window_sec' not in sample.metainfo:
            return sample
        unit = sample.new()
        # it cuts the frames down to a multiple of this: exactly one leaves them whole
        frames = getattr(self, 'feature_extraction_interval', 1)
        last_start, last_end = _inside(sample)
        unit.set_metainfo(
            {
                'duration_second': 1.0,
                'duration_frame': frames,
                'last_start': last_start,
                'last_end': last_end,
            }
        )
        return unit

    def _log_resizing(self, lengths: list[int]) -> None:
        if not self._has_logged_resizing:
            self._has_logged_resizing = True
            print_log(
                f'{type(self).__name__}: sequences are resized to '
                f'{self.temporal_dim_key}={self._temporal_dim}'
                f'{" after the neck" if self.with_neck else ""}; in the first batch they have '
                f'{min(lengths)} to {max(lengths)} snippets.',
                'current',
            )


def _apply_neck(neck: nn.Module, sequences: list[Tensor]) -> list[Tensor]:
    """The neck's output for each ``(C, T_i)``, as if it were alone."""
    lengths = [sequence.shape[-1] for sequence in sequences]
    if len(set(lengths)) == 1:
        return list(neck(torch.stack(sequences)))  # (B, C, T)
    if 'mask' not in inspect.signature(neck.forward).parameters:
        return [neck(sequence[None])[0] for sequence in sequences]  # (1, C, T_i) each
    batch, mask = stack_sequences(sequences)  # (B, C, T) and (B, T)
    return [row[:, :length] for row, length in zip(neck(batch, mask=mask), lengths)]


def _in_channels(neck: nn.Module) -> int | None:
    return getattr(neck, 'in_channels', None)


def _name(sample: ActionDataSample) -> str:
    return str(sample.metainfo.get('video_name', sample.metainfo.get('vid_name', 'a video')))


def _span(sample: ActionDataSample) -> tuple[float, float]:
    start, end = sample.metainfo.get('feature_span', WHOLE)
    return float(start), float(end)


def _inside(sample: ActionDataSample) -> tuple[float, float]:
    """Where the last snippet and the video end, in units of what the head sees."""
    start_sec, end_sec = sample.metainfo['window_sec']
    _, video_end_sec = sample.metainfo.get('covered_sec', (start_sec, end_sec))
    last_end = (video_end_sec - start_sec) / (end_sec - start_sec)
    return min(_span(sample)[1], last_end), last_end


def _shape_ground_truth(sample: ActionDataSample) -> None:
    """A video without segments is packed as shape (0,), which no localizer can read."""
    instances = sample.get('gt_instances')
    if instances is not None and 'gt_bbox' in instances and instances['gt_bbox'].numel() == 0:
        sample.gt_instances = type(instances)(gt_bbox=instances['gt_bbox'].reshape(0, 2))


def _to_seconds(result: Any, sample: ActionDataSample) -> None:
    """Segments as plain numbers, in seconds of the video where its window is known."""
    if isinstance(result, dict) and 'proposal_list' in result:
        start_sec, end_sec = sample.metainfo.get('window_sec', WHOLE)
        if 'window_sec' in sample.metainfo:  # a localizer's own post-processing knows no limits
            last_start, last_end = _inside(sample)
            result['proposal_list'] = [
                {**proposal, 'segment': [start, min(end, last_end)]}
                for proposal in result['proposal_list']
                for start, end in [proposal['segment']]
                if start < last_start
            ]
        for proposal in result['proposal_list']:
            proposal['segment'] = [
                start_sec + (end_sec - start_sec) * float(at) for at in proposal['segment']
            ]
