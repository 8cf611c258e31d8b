"""What a folder of results says of itself: how they were made, and whether all are there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from mmsola.atomic import replacing
from mmsola.files.file_names import leads_out
from mmsola.files.json_file import read_json_object

#: What :func:`mmsola.version.provenance` writes into a manifest: work may go on with other ones.
PROVENANCE = ('commit', 'threads')
_SHOWN = 120  # letters of a setting that a message shows


def read_manifest(path: Path, error: type[ValueError]) -> dict[str, Any] | None:
    """The manifest, None where there is none.

    Raises:
        error: It is damaged.
    """
    if not path.exists():
        return None
    return read_json_object(
        path,
        error,
        'the settings that were written with these files',
        'restore it, or remove it together with the files it belongs to',
    )


def write_manifest(path: Path, content: dict[str, Any]) -> None:
    """Write it whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + '\n', 'utf-8')


def differences(
    begun: dict[str, Any], content: dict[str, Any], not_compared: Collection[str]
) -> list[str]:
    """Which settings were others, readable; those ``not_compared`` may differ."""
    return [
        f'{key} was {_short(begun.get(key))}, is {_short(value)}'
        for key, value in content.items()
        if key not in not_compared and begun.get(key) != value
    ]


def check_names(names: Iterable[str], folder: Path, error: type[ValueError]) -> None:
    """Refuse names of videos that cannot become files below a folder, before anything is computed.

    Raises:
        error: A name leads out of the folder, or is no text in UTF-8; names the first.
    """
    for name in names:
        if leads_out(name):
            raise error(f'{name!r}: this name of a video leads out of {folder}; rename its entry.')
        try:
            name.encode()
        except UnicodeEncodeError as cause:
            raise error(
                f'{name!r}: this name of a video is no text in UTF-8, so it can stand in no json '
                'and no HDF5 file; rename its file.'
            ) from cause


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'


def sha256_of(path: str | Path) -> str:
    """Hash of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
