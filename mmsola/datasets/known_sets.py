"""The data sets of the configs, and the page that says where each one comes from."""

from __future__ import annotations

import os
from pathlib import Path

# folder below data/ -> page below tools/data/
PAGE_OF_FOLDER = {
    'ActivityNet': 'activitynet',
    'CharadesSTA': 'charades_sta',
    'HACS': 'hacs',
    'captaincook_pe': 'captaincook_pe',
    'captaincook_pe_4s': 'captaincook_pe',
    'charades_clip': 'charades_clip',
    'demo': 'generated',
    'epic_kitchens': 'epic_kitchens',
    'isl_i3d': 'isl_i3d',
    'thumos14': 'thumos14',
    'video_world': 'generated',
}


# what makes those that are generated
_COMMAND_OF_FOLDER = {
    'demo': 'mmsola demo-data data/demo',
    'video_world': 'mmsola video-world data/video_world',
}


def see_page(path: str | os.PathLike[str]) -> str:
    """``'. See tools/data/<set>/README.md'`` for what is missing below ``data/`` of a known set.

    The end of a message; an empty text for any other path.

    Example:
        >>> see_page('data/mine/features')
        ''
    """
    parts = Path(path).parts
    for parent, folder in zip(parts, parts[1:]):
        if parent == 'data' and folder in PAGE_OF_FOLDER:
            made_by = _COMMAND_OF_FOLDER.get(folder)
            make = f', or make it with: {made_by}' if made_by else ''
            return f'{make}. See {page_path(PAGE_OF_FOLDER[folder])}'
    return ''


def page_path(page: str) -> str:
    """The page of a set: that of the clone, else that of the installed package.

    Relative to the working directory where it lies below it.
    """
    below = Path('tools', 'data', page, 'README.md')
    package = Path(__file__).resolve().parents[1]
    for root in (package.parent, package / '.mim'):
        if (root / below).is_file():
            here = Path.cwd()
            file = root / below
            return str(file.relative_to(here) if file.is_relative_to(here) else file)
    return f'{below.as_posix()} in the repository of mmsola'
