"""What configs read, generated: features in their container, annotations in their layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from mmaction.registry import DATASETS

from mmsola.datasets import SnippetFeatureDataset

NUM_VIDEOS = 8  # in each subset


def write_snippet_data(specs: Sequence[dict], random: np.random.Generator) -> None:
    """For ``SnippetFeatureDataset`` and ``SlidingWindowDataset``; lists of classes, where named.

    One second is one snippet, unless both frame rate and stride are given. Where a config names
    subsets, the annotation file is a ``database`` json, else MMAction2's flat one. Videos of
    sliding windows are a little longer than two of these half over each other.
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
            if name in store:
                continue
            num_snippets = 100 if (spec.get('feature') or {}).get('format') == 'csv' else 26 + 5 * i
            num_snippets += spec.get('window') or 0
            step_sec = (timeline.get('stride_frames') or fps) / fps
            if 'duration' in videos.get(name, {}) and timeline.get('stride_frames'):
                # other features of the same videos, which have another stride
                num_snippets = int(videos[name]['duration'] / step_sec)
            duration_sec = num_snippets * step_sec
            channels = (spec.get('feature') or {}).get('num_channels', 64)
            store[name] = random.random((num_snippets, channels), np.float32)
            if name in videos and ('duration' in videos[name] or not timeline.get('stride_frames')):
                continue  # other features of these videos say how long they are
            segments = [[duration_sec * 0.3, duration_sec * 0.6]]
            videos[name] = {
                'annotations': [{'segment': s, 'label': f'class_{i % 2}'} for s in segments]
            }
            if subset is None:
                frames = duration_sec * fps
                videos[name].update(
                    duration_second=duration_sec, duration_frame=frames, feature_frame=frames
                )
            else:
                videos[name].update(duration=duration_sec, fps=fps, subset=subset)
            if spec.get('group_field'):
                videos[name][spec.group_field] = name
        if isinstance(spec.get('classes'), str):
            (root / spec.classes).parent.mkdir(parents=True, exist_ok=True)
            (root / spec.classes).write_text('class_0\nclass_1\n')
    for file, videos in annotations.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        is_flat = not any('subset' in video for video in videos.values())
        file.write_text(json.dumps(videos if is_flat else {'database': videos}))
    for path, (spec, store) in features.items():
        _write_features(path, store, (spec.get('feature') or {}).get('format', 'npy'))


def write_activitynet(specs: Sequence[dict], random: np.random.Generator) -> None:
    """For MMAction2's ``ActivityNetDataset``: ``anet_anno_full.json`` has what the others have.

    The last video of each has no segment.
    """
    subsets: dict[str, dict] = {'train': {}, 'val': {}}
    for subset, videos in subsets.items():
        for i in range(NUM_VIDEOS):
            segments = [[20.0 + i, 60.0 + i]][: NUM_VIDEOS - 1 - i]
            videos[f'v_{subset}_{i}'] = {
                'duration_second': 100.0 + i,
                'duration_frame': 2500,
                'feature_frame': 2480,
                'annotations': [{'segment': s, 'label': f'class_{i % 2}'} for s in segments],
            }
    subsets['full'] = {**subsets['train'], **subsets['val']}
    for spec in specs:
        file = Path(spec.ann_file)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(subsets[file.stem.removeprefix('anet_anno_')]))
    store = {name: random.random((100, 400), np.float32) for name in subsets['full']}
    for path in {Path(spec.data_prefix.video) for spec in specs}:
        _write_features(path, store, 'csv')


def write_class_scores(files: dict[str, set[str]], random: np.random.Generator) -> None:
    """Scores of whole videos in CUHK's layout: file -> annotation files whose videos it has."""
    for file, ann_files in files.items():
        contents = [json.loads(Path(ann_file).read_text()) for ann_file in ann_files]
        names = sorted(n for content in contents for n in content.get('database', content))
        scores = {name: random.random(2).tolist() for name in names}
        Path(file).write_text(json.dumps({'class': ['class_0', 'class_1'], 'results': scores}))


def write_charades_sta(spec: dict, random: np.random.Generator, num_channels: int) -> None:
    """For MMAction2's ``CharadesSTADataset``, both subsets.

    Segments are those of two 32nds of the video that an untrained DRN predicts: where not one
    prediction fits, its second stage has no gradient and stops.
    """
    words = ['a', 'person', 'opens', 'the', 'door', 'and', 'sits', 'down']
    names = [f'V{i:04d}' for i in range(2 * NUM_VIDEOS)]
    starts = [20 / 32 * (i + 0.5) for i in range(len(names))]
    lines = [
        f'{name} {start:.5f} {start + 1.25:.5f}##a person {words[i % 8]}.'
        for i, (name, start) in enumerate(zip(names, starts))
    ]
    root = Path(spec.ann_file).parent
    root.mkdir(parents=True, exist_ok=True)
    (root / 'Charades_sta_train.txt').write_text('\n'.join(lines[:NUM_VIDEOS]))
    (root / 'Charades_sta_test.txt').write_text('\n'.join(lines[NUM_VIDEOS:]))
    for file, content in (
        (spec.word2id_file, {word: i + 1 for i, word in enumerate(words)}),
        (spec.fps_file, dict.fromkeys(names, 24.0)),
        (spec.duration_file, dict.fromkeys(names, 20.0)),
        (spec.num_frames_file, dict.fromkeys(names, 480)),
    ):
        Path(file).write_text(json.dumps(content))
    store = {name: random.random((59, num_channels), np.float32) for name in names}
    _write_features(Path(spec.data_prefix.video), store, 'pt')


def _write_features(path: Path, store: dict[str, np.ndarray], format: str) -> None:
    if path.suffix == '.h5':
        with h5py.File(path, 'w') as file:
            for name, feature in store.items():
                file[name] = feature
        return
    path.mkdir(parents=True, exist_ok=True)
    for name, feature in store.items():
        if format == 'csv':
            header = ','.join(f'f{i}' for i in range(feature.shape[1]))
            np.savetxt(path / f'{name}.csv', feature, '%.5f', ',', header=header, comments='')
        elif format == 'pt':
            torch.save(torch.from_numpy(feature), path / f'{name}.pt')
        else:
            np.save(path / f'{name}.npy', feature)


def feature_dataset(root: Path, **settings) -> SnippetFeatureDataset:
    """Whole videos of ``root/features`` with ``root/annotations.json``."""
    defaults = dict(
        type='SnippetFeatureDataset',
        ann_file=str(root / 'annotations.json'),
        data_prefix=dict(feature=str(root / 'features')),
        pipeline=[dict(type='LoadSnippetSequence'), dict(type='PackSnippetInputs')],
    )
    return DATASETS.build({**defaults, **settings})
