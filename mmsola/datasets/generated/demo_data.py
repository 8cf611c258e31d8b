"""A small generated data set whose features have the task discrepancy of frozen encoders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mmsola.atomic import replacing

FPS = 16.0
STRIDE_FRAMES = 8
WINDOW_FRAMES = 16


def make_demo_data(
    root: str | Path,
    num_training: int = 96,
    num_validation: int = 48,
    num_channels: int = 64,
    num_classes: int = 5,
    seed: int = 0,
) -> Path:
    """Write ``features/<video>.npy`` ``(T, C)`` and ``annotations.json`` below ``root``.

    A video's features are, in falling order of size: the direction of its class, a direction of its
    own (the scene), a slow drift of the scene, noise, and a faint sign of whether the action is
    going on, blurred at its boundaries. So most of a feature is constant inside a video, and what a
    localizer needs is the smallest part. Nothing here is tuned to make SoLa win: the drift is a
    nuisance that Similarity Matching cannot separate from the action.

    Each video has 1 to 4 segments of one class with background between them, and a ``subject``; no
    subject is in both subsets. The same arguments give the same bytes.

    Returns:
        The annotation file.
    """
    rng = np.random.default_rng(seed)
    root = Path(root)
    class_direction = _unit(rng.normal(size=(num_classes, num_channels)))
    # action looks a little alike in every class, and a little like its own class
    action_direction = _unit(
        rng.normal(size=num_channels) + rng.normal(size=(num_classes, num_channels))
    )
    database = {}
    for index in range(num_training + num_validation):
        subset = 'training' if index < num_training else 'validation'
        name = f'demo_{index:04d}'
        label = int(rng.integers(num_classes))
        num_snippets = int(rng.integers(40, 121))
        segments = _segments(num_snippets, rng)
        position = np.arange(num_snippets)
        going_on = np.zeros(num_snippets)
        for start, end in segments:
            rise, fall = (position - start) / 1.5, (end - position) / 1.5
            going_on += 1 / (1 + np.exp(-np.clip(np.minimum(rise, fall), -30, 30)))
        scene = _unit(rng.normal(size=num_channels))
        drift = np.cumsum(rng.normal(size=(num_snippets, num_channels)), axis=0)
        drift -= drift.mean(0)
        feature = (
            1.0 * class_direction[label]
            + 0.7 * scene
            + 0.5 * drift / np.linalg.norm(drift, axis=1).mean()
            + 0.25 * _unit(rng.normal(size=(num_snippets, num_channels)))
            + 0.2 * going_on[:, None] * action_direction[label]
        )
        # frozen encoders end in ReLU and average pooling: nothing is negative
        feature = np.maximum(feature + 0.1, 0).astype(np.float32)
        with replacing(root / 'features' / f'{name}.npy') as partial:
            np.save(partial, feature)
        # the time of snippet k by SnippetTimeline's formula; boundaries lie between snippets
        seconds = [
            [(k * STRIDE_FRAMES + WINDOW_FRAMES / 2) / FPS for k in segment] for segment in segments
        ]
        database[name] = {
            'duration': ((num_snippets - 1) * STRIDE_FRAMES + WINDOW_FRAMES) / FPS,
            'fps': FPS,
            'subset': subset,
            'subject': f'{subset}_{index % 12}',
            'annotations': [{'segment': s, 'label': f'class_{label}'} for s in seconds],
        }
    annotation_file = root / 'annotations.json'
    with replacing(annotation_file) as partial:
        partial.write_text(json.dumps({'version': 'demo', 'database': database}, indent=1))
    return annotation_file


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _segments(num_snippets: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """One segment in each of 1 to 4 equal parts of the video, with a margin, in snippets."""
    count = int(rng.integers(1, 5))
    part = num_snippets / count
    segments = []
    for i in range(count):
        length = part * rng.uniform(0.25, 0.6)
        start = i * part + rng.uniform(0.1, 0.9) * (part - length)
        segments.append((float(start), float(start + length)))
    return segments
