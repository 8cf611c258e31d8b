"""Decoded frames through MMAction2's transforms that treat every frame alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def frame_views(
    frames: Sequence[np.ndarray], pipeline: Callable[[dict], dict]
) -> list[list[np.ndarray]]:
    """Each frame ``(H, W, 3)`` resized and cropped, once for every crop that the pipeline makes."""
    results = pipeline(
        {
            'imgs': list(frames),
            'original_shape': frames[0].shape[:2],
            'img_shape': frames[0].shape[:2],
            'modality': 'RGB',
            'num_clips': 1,
            'clip_len': len(frames),
        }
    )
    # crops follow each other, each with all frames
    return [results['imgs'][i :: len(frames)] for i in range(len(frames))]
