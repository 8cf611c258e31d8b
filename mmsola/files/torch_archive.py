"""Files of torch.save that would unpack to more than they are."""

from __future__ import annotations

import zipfile
from pathlib import Path


def packed_entries(path: str | Path) -> list[str]:
    """Entries of a file of ``torch.save`` that are compressed, which PyTorch itself never writes.

    A few bytes of them can stand for many gigabytes. A file that is no archive has none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [
                entry.filename
                for entry in archive.infolist()
                if entry.compress_type != zipfile.ZIP_STORED
                or entry.file_size > entry.compress_size
            ]
    except Exception:  # no archive, or a damaged one: its reader will say so
        return []
