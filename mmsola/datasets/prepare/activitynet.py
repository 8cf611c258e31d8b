"""ActivityNet-1.3 as BSN publishes its annotations: one file of all becomes one a subset."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from mmsola.datasets.annotations import AnnotationError
from mmsola.datasets.prepare.output import refuse_other, write_json
from mmsola.datasets.tables.csv_rows import read_rows, row_error
from mmsola.files.json_file import as_number, is_positive, read_json_object

_SOURCE = 'BSN-boundary-sensitive-network'
_FILE_OF_SUBSET = {'training': 'train', 'validation': 'val', 'testing': 'test'}


class ActivityNetVideos(NamedTuple):
    """What is where.

    Attributes:
        videos_of: The entries of each file, ``train``, ``val``, ``test`` and ``full``, by video.
        left_out: Videos of the annotations that the csv file lacks.
    """

    videos_of: dict[str, dict[str, Any]]
    left_out: list[str]


def prepare_activitynet(source: Path, out: Path) -> ActivityNetVideos:
    """Write ``anet_anno_{train,val,test,full}.json``, as MMAction2's configs read them.

    Args:
        source: Folder of ``anet_anno_action.json`` and ``video_info_new.csv``.
        out: Folder to write.

    Raises:
        AnnotationError: A file is missing or cannot be used.
        OutputError: Another file is in the way.
    """
    split_videos = split(source)
    files = {
        out / f'anet_anno_{name}.json': videos for name, videos in split_videos.videos_of.items()
    }
    for path, videos in files.items():
        refuse_other(path, videos)
    for path, videos in files.items():
        write_json(path, videos)
    return split_videos


def split(source: Path) -> ActivityNetVideos:
    """The entries of the videos of each subset, with their frame rates; ``full`` has all.

    Raises:
        AnnotationError: A file is missing or cannot be used.
    """
    file, table = source / 'anet_anno_action.json', source / 'video_info_new.csv'
    entries = read_json_object(file, AnnotationError, f'the annotations of {_SOURCE}')
    videos_of: dict[str, dict[str, Any]] = {
        name: {} for name in (*_FILE_OF_SUBSET.values(), 'full')
    }
    for line, row in read_rows(table, ('video', 'fps', 'rfps', 'subset'), _SOURCE):
        name, subset = row['video'], row['subset']
        if not isinstance(entries.get(name), dict):
            raise row_error(table, line, f'video {name!r}', f'one of {file}')
        if name in videos_of['full']:
            raise row_error(table, line, f'video {name!r} for the second time', 'each once')
        if subset not in _FILE_OF_SUBSET:
            raise row_error(table, line, f'the subset {subset!r}', ' or '.join(_FILE_OF_SUBSET))
        rates = {field: as_number(row[field]) for field in ('fps', 'rfps')}
        for field, rate in rates.items():
            if not is_positive(rate):
                found = f'video {name!r}: {field} is {row[field]!r}'
                raise row_error(table, line, found, 'frames a second, above 0')
        videos_of['full'][name] = videos_of[_FILE_OF_SUBSET[subset]][name] = {
            **entries[name],
            **rates,
        }
    left_out = [name for name in entries if name not in videos_of['full']]
    return ActivityNetVideos(videos_of, left_out)
