"""Which files lie below a folder of features."""

from __future__ import annotations

import os

from mmsola.datasets.features.feature_errors import feature_error


def files_by_suffix(root: str) -> dict[str, list[str]]:
    """Keys of the files below a folder by suffix; hidden files are none of ours.

    Links to folders are followed, but each real folder is visited once: a link to a folder that
    contains it would count every file again, without an end.

    Raises:
        FeatureError: A folder cannot be read.
    """
    keys: dict[str, list[str]] = {}
    visited: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        links: list[str] = []
        for start in waiting:
            for folder, subfolders, files in os.walk(start, onerror=_stop):
                status = os.stat(folder)
                if (status.st_dev, status.st_ino) in visited:
                    subfolders.clear()
                    continue
                visited.add((status.st_dev, status.st_ino))
                below = os.path.relpath(folder, root).replace(os.sep, '/')
                prefix = '' if below == '.' else f'{below}/'
                for file in files:
                    if not file.startswith('.'):
                        stem, suffix = os.path.splitext(file)
                        keys.setdefault(suffix, []).append(prefix + stem)
                # later, so that what lies below the root has the name that it has there
                paths = [os.path.join(folder, name) for name in sorted(subfolders)]
                links += [path for path in paths if os.path.islink(path)]
        waiting = links
    return keys


def _stop(error: OSError) -> None:
    raise feature_error(
        f'{error.filename}: cannot be read ({error.strerror})',
        'folders that you may read',
        'correct its rights, or move it away',
    ) from error
