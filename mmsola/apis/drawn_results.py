"""Pictures and films of what was found in videos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mmsola.apis.inference_inputs import InferenceError, InputVideo
from mmsola.atomic import replacing
from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.visualization.film import write_film
from mmsola.visualization.thumbnails import thumbnails_of
from mmsola.visualization.tsm import figure_to_rgb
from mmsola.visualization.video_picture import draw_video

_THUMBNAILS = 8
_DPI = 130


def check_outputs(vid_out_dir: str | None, video_out: bool | None, show: bool | None) -> None:
    """Refuse what cannot be drawn, before anything is computed.

    Raises:
        InferenceError: A setting is missing.
    """
    if show:
        raise InferenceError('show=True: there is no window here; set vid_out_dir.')
    if video_out and not vid_out_dir:
        raise InferenceError('video_out=True: no folder to write to; set vid_out_dir.')


def draw_results(
    videos: Iterable[InputVideo],
    found: Mapping[str, LabelledSegments],
    classes: Sequence[str],
    folder: str = '',
    with_films: bool = False,
    return_pictures: bool = False,
    top_k: int = 10,
) -> list[np.ndarray]:
    """Draw the timeline of each video with what was found in it.

    Args:
        videos: The inputs.
        found: Segments by name.
        classes: All that may be drawn, so that a class has one colour in all of them.
        folder: Write ``<name>.png`` there; '' writes nothing.
        with_films: Write ``<name>.mp4`` there as well, for inputs that are videos.
        return_pictures: Return the pictures, ``(H, W, 3)`` each.
        top_k: Segments that are drawn.
    """
    pictures = []
    for video in videos if folder or return_pictures else ():
        thumbnails = thumbnails_of(video.path, _THUMBNAILS) if video.is_video else []
        segments, truth = found[video.name], video.truth
        figure = draw_video(
            video.name, video.duration_sec, segments, truth, thumbnails, top_k, classes=classes
        )
        out = Path(folder) / video.name
        if folder:
            with replacing(f'{out}.png') as partial:
                figure.savefig(partial, dpi=_DPI, format='png')
        if with_films and video.is_video:
            write_film(f'{out}.mp4', video.path, segments, truth, classes=classes)
        if return_pictures:
            pictures.append(figure_to_rgb(figure))
    return pictures
