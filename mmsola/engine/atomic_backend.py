"""Checkpoints that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmsola.atomic import replacing


class AtomicLocalBackend(LocalBackend):
    """MMEngine's LocalBackend whose writes take their name only when they are complete.

    CheckpointHook overwrites the newest checkpoint after a best score; a kill at that moment
    would leave nothing to resume from. ``backend_args=dict(backend='atomic')`` asks for this one.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file."""
        with replacing(filepath) as partial:
            super().put(obj, partial)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text to a file."""
        with replacing(filepath) as partial:
            super().put_text(obj, partial, encoding)


# force: a second import of the module (a notebook's reload) is no error
register_backend('atomic', AtomicLocalBackend, force=True)
