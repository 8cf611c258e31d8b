"""One-stage localizers: labelled segments from a sequence of any length."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from mmaction.registry import MODELS, TASK_UTILS
from mmaction.structures import ActionDataSample
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn import functional as F

from mmsola.messages.argument_checks import check_choice
from mmsola.messages.first_few import first_few
from mmsola.models.points.decoding import decode_points
from mmsola.structures.candidates import Candidates, join
from mmsola.structures.video_record import CLASS_AGNOSTIC_LABEL


class OneStageLocalizer(BaseModel):
    """Embedding -> pyramid backbone -> pyramid neck -> point head -> decoding -> suppression.

    Each part is a registered module with its config, so another method is another set of parts.
    What a config leaves open of a part is as in ``parts`` of the class, the published settings
    for THUMOS14; a part of another ``type`` starts from its own defaults.

    Sequences are padded with zeros: in training all to ``max_snippets``, in prediction a shorter
    one as well, and a longer one to the next multiple of the backbone's ``length_divisor``. Videos
    are predicted one by one, since what is padded reaches real steps in the published networks: a
    batch gives what each of its videos gives alone.

    Args:
        feat_dim: C of the features.
        num_classes: K.
        channels: Width of embedding, backbone and pyramid.
        num_levels: Levels of the pyramid.
        max_snippets: Longest sequence of a training, and what shorter ones are padded to.
        pad_to_max: Pad to ``max_snippets``, as published. Without it a batch is padded to its
            longest sequence: less to compute where videos are short, and slightly other numbers.
        embedding: Settings of ``SnippetEmbedding``.
        backbone: Settings of the pyramid backbone.
        pyramid: Settings of what the levels pass after it.
        head: Settings of the point head.
        test_cfg: How predictions become segments: ``score_threshold`` and ``top_k``, what is kept
            of each level; ``per_level`` (False keeps of all levels together); ``min_length`` in
            grid units; ``nms``, settings of ``SegmentNMS``.
        class_names: Names of the K classes, in order; None takes those of the training data, which
            stand in the checkpoint.
        neck_feeds: What reads the features of a ``neck``: ``'all'``, or ``'boundaries'``: class
            scores then come from the plain features, and offsets of segments from the neck's. Both
            pass the same embedding, backbone and pyramid, as one batch of 2B: no more parameters,
            and about one and a half times the time.

    Data samples carry, in ``gt_instances``, ``gt_segments`` ``(N, 2)`` in grid units and
    ``gt_labels`` ``(N,)``; in ``metainfo``, ``grid_sec``: the time of the first snippet's centre
    and the time from one snippet to the next; ``covered_sec``: start and end of the video. Without
    ``grid_sec`` segments stay in grid units.

    Raises:
        ValueError: ``max_snippets`` cannot be halved for every level, or there are
            not ``num_classes`` names; or (in training) a sequence is longer than ``max_snippets``,
            a video has no annotation, or a label that is no class.
    """

    #: Default settings of each part.
    parts: ClassVar[dict[str, dict[str, Any]]] = {}

    def __init__(
        self,
        feat_dim: int,
        num_classes: int,
        channels: int = 512,
        num_levels: int = 6,
        max_snippets: int = 2304,
        pad_to_max: bool = True,
        embedding: dict | None = None,
        backbone: dict | None = None,
        pyramid: dict | None = None,
        head: dict | None = None,
        test_cfg: dict | None = None,
        class_names: Sequence[str] | None = None,
        neck_feeds: str = 'all',
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        check_choice(self, 'neck_feeds', neck_feeds, ('all', 'boundaries'))
        self.neck_feeds = neck_feeds
        self.num_classes = num_classes
        self.max_snippets = max_snippets
        self.pad_to_max = pad_to_max
        self.class_names: tuple[str, ...] | None = None
        if class_names is not None:
            self.name_classes(class_names, 'class_names')
        settings = self._settings('embedding', embedding)
        if settings.get('positions') is True:  # as long as the longest sequence
            settings['positions'] = max_snippets
        settings.setdefault('in_channels', feat_dim)
        self.embedding = MODELS.build({'channels': channels, **settings})
        size = {'channels': channels, 'num_levels': num_levels}
        self.backbone = MODELS.build({**size, **self._settings('backbone', backbone)})
        self.pyramid = MODELS.build({**size, **self._settings('pyramid', pyramid)})
        self.head = MODELS.build(
            {
                'num_classes': num_classes,
                'in_channels': channels,
                'num_levels': num_levels,
                **self._settings('head', head),
            }
        )
        test = self._settings('test_cfg', test_cfg)
        self.nms = TASK_UTILS.build({'type': 'SegmentNMS', **test.pop('nms', {})})
        self.test_cfg = test
        self._coarsest = 2 ** (num_levels - 1)  # stride of the last level
        if max_snippets % self._coarsest:
            raise ValueError(
                f'{type(self).__name__}: max_snippets={max_snippets} cannot be halved '
                f'{num_levels - 1} times for num_levels={num_levels}; set '
                f'{_multiple(max_snippets, self._coarsest)}.'
            )

    def name_classes(self, names: Sequence[str], source: str) -> None:
        """Call the classes by these names, in order.

        Raises:
            ValueError: They are not as many as the classes.
        """
        names = tuple(map(str, names))
        if len(names) != self.num_classes:
            raise ValueError(
                f'{source}: {len(names)} classes ({first_few(map(repr, names))}), but '
                f'num_classes={self.num_classes}\n  expected: as many\n  fix: set '
                f'model.num_classes={len(names)}'
            )
        self.class_names = names

    def forward(
        self,
        inputs: Sequence[Tensor] | Tensor,
        data_samples: list[ActionDataSample] | None = None,
        mode: str = 'tensor',
        **kwargs: Any,
    ) -> Any:
        """MMEngine's three modes over sequences ``(C, T_i)``.

        With ``neck_feeds='boundaries'`` they are ``(2, C, T_i)``: plain, and as the neck puts them
        out.
        """
        if mode == 'loss':
            return self.loss(list(inputs), data_samples or [])
        if mode == 'predict':
            return self.predict(list(inputs), data_samples or [])
        if mode == 'tensor':
            features, masks, others = self._seen_by_head(list(inputs))
            return self.head(features, masks, **others)
        raise ValueError(f"{type(self).__name__}: mode is {mode!r}; 'loss', 'predict' or 'tensor'.")

    def extract(self, batch: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Features ``(B, C, T_l)`` and masks ``(B, 1, T_l)`` of each level of a padded batch."""
        features, masks = self.backbone(self.embedding(batch, mask), mask)
        return self.pyramid(features, masks), masks

    def loss(
        self, sequences: list[Tensor], data_samples: Sequence[ActionDataSample]
    ) -> dict[str, Tensor]:
        """Losses of a batch of sequences ``(C, T_i)``."""
        for sequence, sample in zip(sequences, data_samples):
            self._check_training(sequence, sample)
        truths = [sample.gt_instances for sample in data_samples]
        features, masks, others = self._seen_by_head(sequences)
        return self.head.loss(
            features,
            masks,
            [truth.gt_segments for truth in truths],
            [truth.gt_labels for truth in truths],
            **others,
        )

    @torch.no_grad()
    def predict(
        self, sequences: list[Tensor], data_samples: Sequence[ActionDataSample]
    ) -> list[dict[str, Any]]:
        """``video_name`` and ``proposal_list`` of each video, with label, score and segment."""
        results = []
        for i, candidates in enumerate(self._candidates_on_host(sequences)):
            found = self.nms(candidates)
            metainfo = data_samples[i].metainfo if data_samples else {}
            results.append(
                {
                    'video_name': metainfo.get('video_name', metainfo.get('vid_name', str(i))),
                    'proposal_list': self._proposals(found, metainfo),
                }
            )
        return results

    def _candidates_on_host(self, sequences: Sequence[Tensor]) -> Iterator[Candidates]:
        """Those of each video; a GPU computes the next one while the caller works on this one."""
        ahead: list[tuple[list[Tensor], list[int]]] = []
        for sequence in [*sequences, None]:
            # to decode is to wait for the GPU, so nothing may be ahead of it
            done = [Candidates(*(x.cpu() for x in self._decoded(*scored))) for scored in ahead]
            ahead = [] if sequence is None else [self._scored(sequence)]
            yield from done

    def candidates(self, sequence: Tensor) -> Candidates:
        """All that is predicted of one video ``(C, T)`` and not too unlikely, in grid units."""
        return self._decoded(*self._scored(sequence))

    def _scored(self, sequence: Tensor) -> tuple[list[Tensor], list[int]]:
        """Probabilities, offsets and points of all levels, and how many points each has."""
        features, masks, others = self._seen_by_head([sequence])
        logits, offsets = (x[0].float() for x in self.head(features, masks, **others))
        valid = torch.cat(masks, dim=2)[0, 0]
        probability = logits.sigmoid() * valid[:, None]
        lengths = [mask.shape[-1] for mask in masks]
        return [probability, offsets, self.head.points(masks)], lengths

    def _decoded(self, of_all: list[Tensor], lengths: list[int]) -> Candidates:
        rule = dict(self.test_cfg)
        if not rule.pop('per_level', True):
            return decode_points(*of_all, **rule)
        levels = zip(*(x.split(lengths) for x in of_all))
        return join([decode_points(*of_level, **rule) for of_level in levels])

    def _seen_by_head(
        self, sequences: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor], dict[str, list[Tensor]]]:
        """Features and masks of each level, and what else the head reads."""
        batch, mask = self._padded(sequences)
        if self.neck_feeds == 'all':
            return (*self.extract(batch, mask), {})
        size = len(batch)  # B x 2 x C x T
        features, masks = self.extract(batch.transpose(0, 1).flatten(0, 1), mask.repeat(2, 1, 1))
        return (
            [x[:size] for x in features],  # of the plain ones
            [x[:size] for x in masks],
            {'boundary_features': [x[size:] for x in features]},
        )

    def _padded(self, sequences: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Sequences ``(..., T_i)`` as a batch ``(B, ..., T)`` and its mask ``(B, 1, T)``."""
        longest = max(sequence.shape[-1] for sequence in sequences)
        if not self.pad_to_max:
            length = _multiple(longest, self._coarsest)
        elif longest <= self.max_snippets:
            length = self.max_snippets
        else:
            length = _multiple(longest, self.backbone.length_divisor)
        padded = [
            x if x.shape[-1] == length else F.pad(x, (0, length - x.shape[-1])) for x in sequences
        ]
        batch = torch.stack(padded) if len(padded) > 1 else padded[0][None]  # one is not copied
        lengths = torch.tensor([x.shape[-1] for x in sequences], device=batch.device)
        mask = torch.arange(length, device=batch.device) < lengths[:, None]
        return batch, mask[:, None]

    def _proposals(self, found: Candidates, metainfo: dict) -> list[dict[str, Any]]:
        """Segments in seconds, cut to the video, with names."""
        start_sec, step_sec = metainfo.get('grid_sec', (0.0, 1.0))
        segments = start_sec + step_sec * found.segments.double()
        if 'covered_sec' in metainfo:
            segments = segments.clamp(*map(float, metainfo['covered_sec']))
        names = self.class_names or tuple(map(str, range(self.num_classes)))
        rows = zip(segments.tolist(), found.labels.tolist(), found.scores.tolist())
        proposals: list[dict[str, Any]] = [
            {'score': score, 'segment': segment, 'label': names[label]}
            for segment, label, score in rows
        ]
        if names == (CLASS_AGNOSTIC_LABEL,):  # a proposal without a class
            for proposal in proposals:
                del proposal['label']
        return proposals

    def _check_training(self, sequence: Tensor, sample: ActionDataSample) -> None:
        name = sample.metainfo.get('video_name', 'a video')
        if sequence.shape[-1] > self.max_snippets:
            raise ValueError(
                f'{name}: {sequence.shape[-1]} snippets, but max_snippets={self.max_snippets}\n'
                '  expected: training sequences up to it\n  fix: cut them in the pipeline with '
                f"dict(type='TruncateSnippets', max_snippets={self.max_snippets}), or raise it"
            )
        truth = sample.get('gt_instances')
        if truth is None or 'gt_labels' not in truth:
            raise ValueError(
                f'{name}: has no gt_segments and gt_labels to learn from\n  expected: an annotated '
                "video\n  fix: add dict(type='GenerateGridSegments') to the pipeline, and leave "
                'videos without annotation out of the training'
            )
        if len(truth.gt_labels) and not 0 <= int(truth.gt_labels.max()) < self.num_classes:
            raise ValueError(
                f'{name}: a segment of class {int(truth.gt_labels.max())}, but '
                f'num_classes={self.num_classes}\n  fix: set num_classes to that of the training '
                'data'
            )

    def _settings(self, part: str, given: dict | None) -> dict[str, Any]:
        """The class's settings of a part, with those of the config laid over them."""
        return _laid_over(copy.deepcopy(self.parts.get(part, {})), given or {})


def _laid_over(default: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in settings as well; a module of another type has defaults of its own."""
    if given.get('type', default.get('type')) != default.get('type'):
        return dict(given)
    for key, value in given.items():
        both = isinstance(value, dict) and isinstance(default.get(key), dict)
        default[key] = _laid_over(default[key], value) if both else value
    return default


def _multiple(length: int, of: int) -> int:
    return of * -(-length // of)
