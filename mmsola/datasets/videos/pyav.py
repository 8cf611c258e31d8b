"""PyAV, imported by the first video: those who have features of their own do without it."""

from __future__ import annotations

from types import ModuleType


class MissingPyAV(ImportError):
    """A video cannot be read or written, since PyAV cannot be imported."""


def load_pyav() -> ModuleType:
    """The module ``av``.

    Raises:
        MissingPyAV: It is not installed, or does not work here.
    """
    try:
        import av
    except ImportError as error:
        raise MissingPyAV(
            f'reading and writing videos needs PyAV, which cannot be imported ({error}); '
            "install it with: pip install 'av>=15'"
        ) from None
    return av
