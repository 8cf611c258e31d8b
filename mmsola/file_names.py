"""Which names of videos may become names of files."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath


def leads_out(name: str) -> bool:
    """Whether a file of this name would not lie below the folder it is looked for or written in.

    Names come from annotation files and lists, which strangers write. Checked for the separators
    and drives of every system, since a file made on one is read on another.

    Example:
        >>> leads_out('../outside'), leads_out('/etc/passwd'), leads_out('train/abc..def')
        (True, True, False)
    """
    paths = (PurePosixPath(name), PureWindowsPath(name))
    return not name or '\0' in name or any(path.anchor or '..' in path.parts for path in paths)
