"""The error of a config, or of a checkpoint under it, that a run is refused for."""

from __future__ import annotations


class RunConfigError(ValueError):
    """A config that cannot be run as it is, or that does not fit its data or checkpoint."""
