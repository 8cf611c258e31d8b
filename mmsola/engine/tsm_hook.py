"""Draw temporal self-similarity of a few validation videos while SoLa learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmaction.registry import HOOKS
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmsola.engine.unwrap import unwrapped_model


@HOOKS.register_module()
class TSMVisualizationHook(Hook):
    """After each validation, draw videos before and after SoLa on one colour scale.

    The newest picture of each video is in ``work_dir/tsm``; every one goes to the visualizer's
    backends (TensorBoard, for example) as ``tsm_<video>`` at the epoch it belongs to.

    Args:
        num_videos: How many; evenly spaced over the scored videos of ``val_dataloader``.

    Examples:
        >>> HOOKS.build(dict(type='TSMVisualizationHook', num_videos=2)).num_videos
        2
    """

    priority = 'LOW'

    def __init__(self, num_videos: int = 4) -> None:
        self.num_videos = num_videos

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draw, except before the first step, when both sides are the same."""
        if runner.iter > 0:
            self._draw(runner, runner.val_dataloader.dataset, f'after SoLa, epoch {runner.epoch}')

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draw what a checkpoint makes of the test videos."""
        self._draw(runner, runner.test_dataloader.dataset, 'after SoLa')

    @master_only
    def _draw(self, runner: Runner, dataset, after_title: str) -> None:
        # imported here: matplotlib costs a second that most runs need not spend
        from mmsola.visualization.tsm import draw_tsm, figure_to_rgb, save_rgb

        model = unwrapped_model(runner)
        for index in self._chosen(dataset):
            item = dataset[index]
            sample = item['data_samples']
            with torch.no_grad():
                batch = model.data_preprocessor(
                    {'inputs': [item['inputs']], 'data_samples': [sample]}
                )
                after = model(**batch, mode='tensor')[0].T
            figure = draw_tsm(
                {'before SoLa': batch['inputs'][0].T, after_title: after},
                title=sample.video_name,
                centres_sec=sample.get('snippet_centres_sec'),
                segments=sample.get('annotations', ()),
            )
            name = sample.video_name.replace('/', '_')
            image = figure_to_rgb(figure)
            save_rgb(image, Path(runner.work_dir) / 'tsm' / f'{name}.png')
            # no slash in the name: LocalVisBackend would lose the picture without a word
            runner.visualizer.add_image(f'tsm_{name}', image, step=runner.epoch)

    def _chosen(self, dataset) -> list[int]:
        roles = [dataset.get_data_info(i)['role'] for i in range(len(dataset))]
        scored = [i for i, role in enumerate(roles) if role == 'score'] or list(range(len(roles)))
        count = min(self.num_videos, len(scored))
        return [scored[i] for i in np.linspace(0, len(scored) - 1, count).round().astype(int)]
