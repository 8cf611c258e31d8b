"""G-TAD's network, from features to ranked proposals; ``gtad.py`` adds the neck."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmaction.structures import ActionDataSample
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from mmsola.messages.argument_checks import check_argument, check_choice
from mmsola.models.layers.gcnext import GCNeXt, at_neighbours, nearest_neighbours
from mmsola.models.localizers.anchor_overlap import batched_labels
from mmsola.models.localizers.proposals import ranked_proposals, subgraph_proposals
from mmsola.models.localizers.sparse_sampling import computed_in
from mmsola.models.localizers.subgraph_alignment import ROI_WIDTHS, SubgraphAlignment
from mmsola.models.localizers.subgraph_labels import subgraph_labels
from mmsola.models.losses.subgraph_loss import (
    boundary_loss,
    proposal_classification_loss,
    proposal_regression_loss,
)

CONTEXTS = ('none', 'last_layer', 'all_layers')
_INPUT_GROUPS = 4  # of the first convolution, as published


class SubgraphLocalizer(BaseModel):
    """G-TAD (Xu et al., CVPR 2020): graph blocks, sub-graphs of all proposals, and their scores.

    The numbers, parameters and names of the authors' code for THUMOS14, whose settings are the
    defaults. Where that, their code for ActivityNet and HACS, and OpenTAD differ, an argument
    chooses; what each has is said there.

    Args:
        feat_dim: C of the features, a multiple of 4.
        temporal_dim: T, snippets that it sees. ActivityNet and HACS: 100.
        max_duration: D, snippets of the longest proposal. ActivityNet and HACS: 100.
        hidden_dim_1d: Channels of the snippets, a multiple of 4.
        hidden_dim_2d: Channels of the map of proposals.
        hidden_dim_3d: Channels that a proposal's sub-graph is mixed to.
        graph_dim: Width of the bottlenecks of the graph blocks.
        graph_groups: Groups of their convolutions.
        num_neighbours: Snippets that each one has an edge to, itself included.
        context: What is pooled beside the features: nothing (``'none'``), their mean over the
            nearest neighbours (``'last_layer'``), or over those in both backbone blocks
            (``'all_layers'``). The authors' ``goi_style`` 0, 1, 2.
        num_inner: Bins of the features. 32 for ActivityNet and HACS.
        num_context: Bins of the context. 4 for ActivityNet and HACS.
        samples_per_bin: The authors' ``goi_samp``; 0 takes as many as a bin is wide.
        roi_width: Of the stretch pooled for a proposal of L snippets: ``'2L-1'`` (the authors) or
            ``'2L'`` (OpenTAD).
        kernel_size_2d: Of the two convolutions on the map. 1 for ActivityNet and HACS.
        regression_weight: Of that loss. The authors' code for ActivityNet and HACS has the factor
            10 here and not on the classification; OpenTAD has 5 here and 1 there.
        classification_weight: Of that loss. The authors' code for THUMOS14 has 10.
        strict_end: Put out no proposal that ends with the sequence; OpenTAD does (False).
        likely_boundaries: Put out those alone that begin and end where the node scores have a peak
            or are over half of their greatest; the authors for ActivityNet and HACS, and OpenTAD.
        longest: Put out only proposals of fewer snippets than this. The authors' code for THUMOS14
            cuts at 300 frames, 60 of its snippets; None does not.
        soft_nms_alpha: Lower scores more where it is smaller. 0.8 for ActivityNet and HACS.
        soft_nms_low_threshold: TIoU above which scores fall; see
            :func:`mmsola.structures.proposal_nms.soft_nms`.
        soft_nms_high_threshold: The same for the longest proposals.
        post_process_top_k: Proposals of a sequence. 100 for ActivityNet and HACS.
        double_decay: Of windows of a long video: soft-NMS of a window lowers scores, and merging
            the windows lowers them again, as in the authors' code for THUMOS14. False: it chooses
            the proposals of a window, which keep the scores that were predicted. Only for windows
            that the metric merges; whole videos keep True, which lowers scores once.
        fast: Mix channels before proposals are sampled, equal up to rounding; False builds the
            published map of ``(C * N, D, T)`` a video.

    A proposal is put out where its labels lie, whole snippets from the outer edge of the first; the
    authors' code for THUMOS14 puts it half a snippet later than their labels.

    Raises:
        ArgumentError: Channels that cannot be grouped, D above T, or T below ``num_neighbours``.
    """

    def __init__(
        self,
        feat_dim: int,
        temporal_dim: int = 256,
        max_duration: int = 64,
        hidden_dim_1d: int = 256,
        hidden_dim_2d: int = 128,
        hidden_dim_3d: int = 512,
        graph_dim: int = 128,
        graph_groups: int = 32,
        num_neighbours: int = 3,
        context: str = 'last_layer',
        num_inner: int = 16,
        num_context: int = 16,
        samples_per_bin: int = 0,
        roi_width: str = '2L-1',
        kernel_size_2d: int = 3,
        regression_weight: float = 1.0,
        classification_weight: float = 10.0,
        strict_end: bool = True,
        likely_boundaries: bool = False,
        longest: int | None = None,
        soft_nms_alpha: float = 0.46,
        soft_nms_low_threshold: float = 0.0,
        soft_nms_high_threshold: float = 0.0,
        post_process_top_k: int = 200,
        double_decay: bool = True,
        fast: bool = True,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        for name, channels in (('feat_dim', feat_dim), ('hidden_dim_1d', hidden_dim_1d)):
            is_grouped = channels % _INPUT_GROUPS == 0
            check_argument(is_grouped, self, name, channels, f'a multiple of {_INPUT_GROUPS}')
        is_short = 1 <= max_duration <= temporal_dim
        check_argument(
            is_short, self, 'max_duration', max_duration, f'1 to {temporal_dim} snippets'
        )
        is_long = temporal_dim >= num_neighbours
        check_argument(is_long, self, 'temporal_dim', temporal_dim, f'{num_neighbours} or more')
        check_choice(self, 'context', context, CONTEXTS)
        check_choice(self, 'roi_width', roi_width, ROI_WIDTHS)
        check_argument(kernel_size_2d % 2 == 1, self, 'kernel_size_2d', kernel_size_2d, 'odd')
        self.temporal_dim = temporal_dim
        self.max_duration = max_duration
        self.num_neighbours = num_neighbours
        self.context = context
        self.bins = (num_inner,) if context == 'none' else (num_inner, num_context)
        self.samples_per_bin = samples_per_bin
        self.roi_width = roi_width
        self.regression_weight = regression_weight
        self.classification_weight = classification_weight
        self.strict_end = strict_end
        self.likely_boundaries = likely_boundaries
        self.longest = longest
        self.soft_nms_alpha = soft_nms_alpha
        self.soft_nms_low_threshold = soft_nms_low_threshold
        self.soft_nms_high_threshold = soft_nms_high_threshold
        self.post_process_top_k = post_process_top_k
        self.double_decay = double_decay
        self.fast = fast
        self._alignment: SubgraphAlignment | None = None

        def block() -> GCNeXt:
            return GCNeXt(hidden_dim_1d, graph_dim, graph_groups, num_neighbours)

        self.backbone1 = nn.Sequential(
            nn.Conv1d(feat_dim, hidden_dim_1d, 3, padding=1, groups=_INPUT_GROUPS),
            nn.ReLU(inplace=True),
            block(),
        )
        self.regu_s = nn.Sequential(block(), nn.Conv1d(hidden_dim_1d, 1, 1), nn.Sigmoid())
        self.regu_e = nn.Sequential(block(), nn.Conv1d(hidden_dim_1d, 1, 1), nn.Sigmoid())
        self.backbone2 = nn.Sequential(block())
        wide = dict(kernel_size=kernel_size_2d, padding=kernel_size_2d // 2)
        self.localization = nn.Sequential(
            nn.Conv2d(hidden_dim_1d * sum(self.bins), hidden_dim_3d, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden_dim_3d, hidden_dim_2d, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden_dim_2d, hidden_dim_2d, **wide),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden_dim_2d, hidden_dim_2d, **wide),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden_dim_2d, 2, 1),
            nn.Sigmoid(),
        )

    def forward(
        self,
        inputs: Sequence[Tensor] | Tensor,
        data_samples: list[ActionDataSample] | None = None,
        mode: str = 'tensor',
        **kwargs: Any,
    ) -> Any:
        """MMEngine's three modes over sequences ``(C, T)``."""
        batch = inputs if isinstance(inputs, Tensor) else torch.stack(list(inputs))
        if mode == 'loss':
            return self.loss(batch, data_samples or [])
        if mode == 'predict':
            return self.predict(batch, data_samples or [])
        if mode == 'tensor':
            return self._forward(batch)
        raise ValueError(f"{type(self).__name__}: mode is {mode!r}; 'loss', 'predict' or 'tensor'.")

    def loss(self, batch: Tensor, data_samples: Sequence[ActionDataSample]) -> dict[str, Tensor]:
        """Losses of boundaries, and of proposals by regression and classification, weighted."""
        segments = [sample.gt_instances['gt_bbox'] for sample in data_samples]
        tiou, start_label, end_label = (x.to(batch.device) for x in self.generate_labels(segments))
        valid = self.valid_proposals(batch.device)
        tiou = tiou * valid
        confidence, start, end = self._forward(batch)
        regression = proposal_regression_loss(confidence[:, 0], tiou)
        classification = proposal_classification_loss(confidence[:, 1], tiou, valid)
        return {
            'loss_node': boundary_loss(start, start_label) + boundary_loss(end, end_label),
            'loss_regression': self.regression_weight * regression,
            'loss_classification': self.classification_weight * classification,
        }

    @torch.no_grad()
    def predict(
        self, batch: Tensor, data_samples: Sequence[ActionDataSample]
    ) -> list[dict[str, Any]]:
        """Ranked proposals of each video, ``{'video_name', 'proposal_list'}``."""
        outputs = (output.float().cpu().numpy() for output in self._forward(batch))
        return [
            {
                'video_name': sample.metainfo['video_name'],
                'proposal_list': ranked_proposals(
                    self.proposals(confidence, start, end),
                    sample.metainfo,
                    self.soft_nms_alpha,
                    self.soft_nms_low_threshold,
                    self.soft_nms_high_threshold,
                    self.post_process_top_k,
                    feature_extraction_interval=1,
                    keep_scores=not self.double_decay,
                ),
            }
            for confidence, start, end, sample in zip(*outputs, data_samples)
        ]

    def proposals(self, confidence: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """All that is proposed of one sequence, ``(N, 3)`` of start, end and score."""
        boundaries = (start, end) if self.likely_boundaries else None
        return subgraph_proposals(confidence, boundaries, self.strict_end, self.longest)

    def generate_labels(self, gt_bbox: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """TIoU map ``(B, D, T)``, start and end labels ``(B, T)``."""
        size = (self.temporal_dim, self.max_duration)
        tiou, start, end = batched_labels(
            gt_bbox, math.prod(size), lambda segments: subgraph_labels(segments, *size)
        )
        return tiou, start, end

    def valid_proposals(self, device: torch.device) -> Tensor:
        """``(D, T)``, 1 where a proposal ends within the sequence."""
        start = torch.arange(self.temporal_dim, device=device)
        length = torch.arange(1, self.max_duration + 1, device=device)
        return (start + length[:, None] <= self.temporal_dim).float()

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Confidence ``(B, 2, D, T)``, start and end scores ``(B, T)`` of ``(B, C, T)``."""
        x = self.backbone1[:2](x)
        first_neighbours = nearest_neighbours(x, self.num_neighbours)  # (B, T, K)
        base = self.backbone1[2](x, first_neighbours)
        neighbours = nearest_neighbours(base, self.num_neighbours)  # those of three blocks
        start, end = (
            head[1:](head[0](base, neighbours)).squeeze(1) for head in (self.regu_s, self.regu_e)
        )
        features = [self.backbone2[0](base, neighbours)]
        if self.context == 'last_layer':
            neighbours = nearest_neighbours(features[0], self.num_neighbours)
        elif self.context == 'all_layers':
            neighbours = torch.cat([first_neighbours, neighbours], dim=2)  # (B, T, 2 * K)
        if self.context != 'none':
            features.append(at_neighbours(features[0], neighbours).mean(dim=-1))
        return self._localize(features), start, end

    def _localize(self, features: list[Tensor]) -> Tensor:
        """Confidence ``(B, 2, D, T)`` of all proposals in features ``(B, C, T)`` each."""
        alignment = self._aligned_on(features[0])
        if not self.fast:
            return self.localization(alignment.pool(features))
        blocks = torch.relu(alignment(features, self.localization[0]))
        # a convolution of width 1 sees one proposal at a time, so it can stay on the columns too
        columns = _mixed(blocks, self.localization[2]).relu()
        if self.localization[4].kernel_size == (1, 1):
            for conv in (self.localization[4], self.localization[6]):
                columns = _mixed(columns[None], conv).relu()
            return alignment.to_map(_mixed(columns[None], self.localization[8]).sigmoid())
        return self.localization[4:](alignment.to_map(columns))

    def _aligned_on(self, x: Tensor) -> SubgraphAlignment:
        """How proposals are sampled, on the device of ``x`` and as precise as the weights."""
        weight = self.localization[0].weight
        alignment, dtype = self._alignment, computed_in(weight.dtype)
        if alignment is None or (alignment.device, alignment.dtype) != (x.device, dtype):
            # made in inference, it must still be fit for training
            with torch.inference_mode(False):
                self._alignment = alignment = SubgraphAlignment(
                    self.temporal_dim,
                    self.max_duration,
                    self.bins,
                    self.samples_per_bin,
                    self.roi_width,
                    like=torch.empty(0, dtype=dtype, device=x.device),
                )
        return alignment

    def __getstate__(self) -> dict[str, Any]:
        # sparse tensors can be neither copied nor pickled; it is made again when it is needed
        return {**self.__dict__, '_alignment': None}


def _mixed(blocks: Tensor, conv: nn.Conv2d) -> Tensor:
    """What ``conv`` of width 1 makes of columns whose channels lie in blocks ``(K, B, P, C / K)``.

    Returns:
        ``(B, P, O)``.
    """
    first, *others = zip(blocks, conv.weight.flatten(1).chunk(len(blocks), dim=1))
    mixed = F.linear(*first, conv.bias)
    for block, weight in others:
        mixed = mixed + F.linear(block, weight)
    return mixed
