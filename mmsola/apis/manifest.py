"""What a folder of results says of itself: how they were made, and whether all are there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from mmsola.atomic import replacing

_SHOWN = 120  # letters of a setting that a message shows


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest, None where there is none."""
    return json.loads(path.read_text(encoding='utf-8')) if path.exists() else None


def write_manifest(path: Path, content: dict[str, Any]) -> None:
    """Write it whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + '\n', 'utf-8')


def differences(
    begun: dict[str, Any], content: dict[str, Any], only_told: Collection[str]
) -> list[str]:
    """Which settings were others, readable; those ``only_told`` are not compared."""
    return [
        f'{key} was {_short(begun.get(key))}, is {_short(value)}'
        for key, value in content.items()
        if key not in only_told and begun.get(key) != value
    ]


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
