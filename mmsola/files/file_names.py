"""Which names of videos may become names of files."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath

_SUSPICIOUS = re.compile(r'\.\.|^[/\\]|:|\0')


def leads_out(name: str) -> bool:
    """Whether a file of this name would not lie below the folder it is looked for or written in.

    Names come from annotation files and lists, which strangers write. Checked for the separators
    and drives of every system, since a file made on one is read on another.

    Examples:
        >>> leads_out('../outside'), leads_out('/etc/passwd'), leads_out('train/abc..def')
        (True, True, False)
    """
    if name and not _SUSPICIOUS.search(name):
        return False  # taking a path apart takes longer than reading a window
    paths = (PurePosixPath(name), PureWindowsPath(name))
    return not name or '\0' in name or any(path.anchor or '..' in path.parts for path in paths)
