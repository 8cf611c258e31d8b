"""Whether training data hold what a one-stage localizer can learn, before the first step."""

from __future__ import annotations

import logging
from typing import Any

import torch
from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmsola.datasets import (
    GenerateGridSegments,
    ResizeSnippets,
    SnippetClipDataset,
    SnippetFeatureDataset,
    TruncateSnippets,
)
from mmsola.engine.unwrap import one_stage_localizer
from mmsola.engine.wrapped_datasets import datasets_in
from mmsola.models.localizers import OneStageLocalizer
from mmsola.models.points.center_assigner import CenterAssigner, distances_to_ends
from mmsola.models.points.pyramid_points import pyramid_points


@HOOKS.register_module()
class LearnableSegmentsHook(Hook):
    """Refuse training data that a one-stage localizer cannot learn from; count what it cannot.

    A segment is learned at points of a level whose range it fits and that lie near its middle. One
    much shorter than a snippet's stride may hold no such point. ``build_runner`` adds this hook to
    every run; other models and data sets are left alone.

    Raises:
        ValueError: A video is longer than the localizer's ``max_snippets`` and the pipeline does
            not cut it; or not one segment holds a point that could learn it.
    """

    def before_train(self, runner: Runner) -> None:
        """Of whole videos; a cut may still take a segment's middle away."""
        model = one_stage_localizer(runner)
        if model is None:
            return
        for dataset in datasets_in(runner.train_dataloader.dataset):
            if isinstance(dataset, (SnippetFeatureDataset, SnippetClipDataset)):
                self._check(model, dataset)

    def _check(
        self, model: OneStageLocalizer, dataset: SnippetFeatureDataset | SnippetClipDataset
    ) -> None:
        steps = dataset.pipeline.transforms
        to_grid = next((s for s in steps if isinstance(s, GenerateGridSegments)), None)
        if to_grid is None:
            return
        resized = next((s.num_snippets for s in steps if isinstance(s, ResizeSnippets)), None)
        longest = min(
            (s.max_snippets for s in steps if isinstance(s, TruncateSnippets)), default=None
        )
        num_segments = num_learnable = 0
        for i in range(len(dataset)):
            info = dict(dataset.get_data_info(i))
            if resized is not None:
                info.update(num_snippets=resized, window_strides=1.0)
            self._check_length(model, info, longest)
            segments = torch.from_numpy(to_grid.transform(info).get('gt_segments'))
            num_segments += len(segments)
            num_learnable += _count_learnable(model, segments, info['num_snippets'])
        self._tell(num_segments, num_learnable, dataset.ann_file)

    @staticmethod
    def _check_length(model: OneStageLocalizer, info: dict[str, Any], longest: int | None) -> None:
        length = min(info['num_snippets'], longest or info['num_snippets'])
        if length > model.max_snippets:
            raise ValueError(
                f'{info["video_name"]}: {length} snippets in training, but '
                f'model.max_snippets={model.max_snippets}\n  expected: no more than that\n'
                f'  fix: set max_snippets={model.max_snippets} in TruncateSnippets, or raise '
                'that of the model'
            )

    @staticmethod
    def _tell(num_segments: int, num_learnable: int, source: str) -> None:
        lost = num_segments - num_learnable
        if lost and not num_learnable:
            raise ValueError(
                f'{source}: none of {num_segments} segments holds a point that could learn it\n'
                '  expected: segments that fit the ranges of the levels, in snippets\n'
                '  fix: set model.head.ranges to their lengths, or take features of another stride'
            )
        if lost:
            print_log(
                f'{source}: {lost} of {num_segments} training segments hold no point that could '
                'learn them; they are too short for the stride of the features, or outside of '
                'model.head.ranges.',
                'current',
                logging.WARNING,
            )


def _count_learnable(model: OneStageLocalizer, segments: torch.Tensor, num_snippets: int) -> int:
    """How many segments ``(N, 2)``, in grid units, some point could learn if it were alone."""
    head = model.head
    if not len(segments) or not isinstance(head.assigner, CenterAssigner):
        return len(segments)
    lengths = [-(-num_snippets // 2**level) for level in range(len(head.ranges))]
    points = torch.cat(pyramid_points(lengths, head.ranges, torch.zeros(())))
    candidates = head.assigner.lengths_of_candidates(
        points, segments, distances_to_ends(points, segments)
    )
    return int(candidates.isfinite().any(dim=0).sum())
