"""Every config runs: on generated data in the containers and layouts that it names."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmsola.apis.export import _datasets
from mmsola.models import SoLaPretrainer

CONFIGS = sorted((Path(__file__).parents[1] / 'configs').glob('*.py'))
NUM_VIDEOS = 8  # in each subset


def test_there_are_configs():
    assert len(CONFIGS) >= 6


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_trains_two_steps_and_validates(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(path)
    specs = list(_datasets([cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader]))
    # relative to the working directory; long paths also make MMEngine's layout of configs crawl
    assert all(spec.data_root.startswith('data/') for spec in specs)
    write_data(specs, np.random.default_rng(0))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.batch_size = NUM_VIDEOS // 2
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    for hook in cfg.custom_hooks:
        if hook.type == 'TSMVisualizationHook':
            hook.num_videos = 1
        if hook.type == 'GateWarmupHook':
            hook.num_steps = 0
    cfg.work_dir = 'work_dir'

    runner = Runner.from_cfg(cfg)
    assert isinstance(runner.model, SoLaPretrainer)
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.train()

    assert runner.iter == 2
    # alpha starts at 0, so the first step moves it alone of the neck, and the second the rest
    moved = {k for k, v in runner.model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == set(before)
    scores = runner.message_hub.log_scalars
    best = cfg.default_hooks.checkpoint.save_best
    history = scores[f'val/{best}'].data[0]
    # before the first step and after the last one
    assert len(history) == 2 and np.isfinite(history).all()
    assert np.isfinite(scores['train/loss'].data[0]).all()
    assert list(Path(cfg.work_dir).glob(f'best_{best.replace("/", "_")}_epoch_*.pth'))
    assert len(list(Path(cfg.work_dir, 'tsm').iterdir())) == 1


def write_data(specs, random):
    """What the data sets of a config read: features in their container, annotation in its layout.

    One second is one snippet. Where a config names subsets, the annotation file is a ``database``
    json, else MMAction2's flat one.
    """
    annotations, features = {}, {}
    for spec in specs:
        root = Path(spec.data_root)
        file = root / spec.ann_file
        subset = spec.get('subset')
        timeline = spec.get('timeline') or {}
        fps = timeline.get('fps') or timeline.get('stride_frames') or 25
        videos = annotations.setdefault(file, {})
        store = features.setdefault(root / spec.data_prefix.feature, (spec, {}))[1]
        for i in range(NUM_VIDEOS):
            name = f'{file.stem}_{subset or "all"}_{i}'
            if name in videos:
                continue
            num_snippets = 100 if (spec.get('feature') or {}).get('format') == 'csv' else 26 + 5 * i
            channels = (spec.get('feature') or {}).get('num_channels', 64)
            store[name] = random.random((num_snippets, channels)).astype(np.float32)
            segments = [[num_snippets * 0.3, num_snippets * 0.6]]
            videos[name] = {
                'annotations': [{'segment': s, 'label': f'class_{i % 2}'} for s in segments]
            }
            if subset is None:
                frames = num_snippets * fps
                videos[name].update(
                    duration_second=num_snippets, duration_frame=frames, feature_frame=frames
                )
            else:
                videos[name].update(duration=num_snippets, fps=fps, subset=subset)
            if spec.get('group_field'):
                videos[name][spec.group_field] = name
    for file, videos in annotations.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        is_flat = not any('subset' in video for video in videos.values())
        file.write_text(json.dumps(videos if is_flat else {'database': videos}))
    for place, (spec, store) in features.items():
        if place.suffix == '.h5':
            with h5py.File(place, 'w') as file:
                for name, feature in store.items():
                    file[name] = feature
            continue
        place.mkdir(parents=True, exist_ok=True)
        for name, feature in store.items():
            if (spec.get('feature') or {}).get('format') == 'csv':
                header = ','.join(f'f{i}' for i in range(feature.shape[1]))
                np.savetxt(place / f'{name}.csv', feature, '%.5f', ',', header=header, comments='')
            else:
                np.save(place / f'{name}.npy', feature)
