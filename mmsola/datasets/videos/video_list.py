"""Which videos: a folder of them, a list, or those of an annotation file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mmsola.datasets.annotations import load_annotations
from mmsola.datasets.videos.video import VideoError, list_videos
from mmsola.files.name_match import match_names, rules_used
from mmsola.files.suffixes import VIDEO_SUFFIXES
from mmsola.messages.main_process_log import log_in_main_process


def find_videos(
    source: str | Path,
    root: str | Path | None = None,
    subset: str | Sequence[str] | None = None,
    file_name: str = '{name}',
) -> dict[str, Path]:
    """Videos by name. A file that is named but missing is in it; whoever opens it will report it.

    Args:
        source: A folder, searched with its sub-folders; a text file with a path in each line (and
            perhaps a label behind it, as MMAction2's lists have); or an annotation json.
        root: The folder that paths in a list, or videos of an annotation file, are relative to;
            None is that of the list, for an annotation file it must be given.
        subset: Subsets of the annotation file.
        file_name: From a video's name in the annotation file to its file, such as ``'v_{name}'``.

    Raises:
        VideoError: There is no such source, no video, or two videos have one name.
    """
    path = Path(source)
    if path.is_dir():
        return list_videos(path)
    if not path.is_file():
        raise _error(f'{source}: no such file or folder', 'correct the path')
    if path.suffix == '.json':
        if root is None:
            raise _error(f'{source}: the folder of its videos is missing', 'give --root FOLDER')
        return _of_annotations(path, Path(root), subset, file_name)
    if path.suffix.lower() in VIDEO_SUFFIXES or _is_binary(path):
        return {path.stem: path}
    return _of_list(path, Path(root) if root is not None else path.parent)


def _of_list(path: Path, root: Path) -> dict[str, Path]:
    videos: dict[str, Path] = {}
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise _error(
            f'{path}: is no list of paths, since it is no text in UTF-8 ({error})',
            'name a folder, or a list',
        ) from error
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith('#'):
            continue
        file = root / entry
        if not os.path.isfile(file) and entry.rpartition(' ')[2].isdigit():
            file = root / entry.rpartition(' ')[0]  # MMAction2's lists end in a label
        if not file.name or os.path.isdir(file):  # '.', '..', '/'
            raise _error(f'{path}, line {number}: {entry!r} is no file', 'correct that line')
        relative = file.relative_to(root) if file.is_relative_to(root) else Path(file.name)
        name = relative.with_suffix('').as_posix()
        if '..' in relative.parts:
            name = file.stem
        if videos.get(name, file) != file:
            raise _error(
                f'{path}, line {number}: {file} and {videos[name]} are both called {name!r}',
                'rename one, or extract them into two folders',
            )
        videos[name] = file
    if not videos:
        raise _error(f'{path}: names no video', 'write one path in each line')
    return videos


def _of_annotations(
    path: Path, root: Path, subset: str | Sequence[str] | None, file_name: str
) -> dict[str, Path]:
    on_disk = list_videos(root)
    names = [r.name for r in load_annotations(path, subset, on_bad_segment='keep').records]
    files = {name: file_name.replace('{name}', name) for name in names}
    matched = match_names(files.values(), on_disk)
    if matched:
        log_in_main_process(f'{path}: {rules_used(matched)}')
    files = {name: matched.get(file, file) for name, file in files.items()}
    found = {name: on_disk[file] for name, file in files.items() if file in on_disk}
    if not found:
        raise _error(
            f'{path}: none of its {len(names)} videos lies in {root}, for example '
            f'{files[names[0]]!r}; there are {len(on_disk)} such as {next(iter(on_disk))!r}',
            "correct --root, or say how names become files, such as --file-name 'v_{name}'",
        )
    return {name: found.get(name, root / file) for name, file in files.items()}


def _is_binary(path: Path) -> bool:
    """Whether a file is no text, so that whoever opens it as a video will report what it is."""
    with path.open('rb') as stream:
        begin = stream.read(4096)
    return b'\0' in begin and not begin.startswith((b'\xff\xfe', b'\xfe\xff'))  # UTF-16


def _error(found: str, fix: str) -> VideoError:
    return VideoError(
        f'{found}\n  expected: a folder of videos, a list of paths, or an annotation json\n'
        f'  fix: {fix}'
    )
