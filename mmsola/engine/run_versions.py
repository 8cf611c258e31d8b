"""Which mmsola made the runs of a table: finished runs are kept when it changes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mmsola.engine.seed_runs import SeedRun

#: Version of mmsola and commit of some runs, each pair once; None where that was not written.
Versions = list[tuple[str | None, str | None]]


def versions_of(runs: Sequence[SeedRun]) -> Versions:
    """Read which mmsola made the runs; print a warning where it was more than one."""
    versions = list(dict.fromkeys(run.made_with() for run in runs))
    if len(versions) > 1:
        print(
            f'runs were made by several versions: {versions_in_words(versions)}. To train one '
            'again, remove its folder.',
            file=sys.stderr,
        )
    return versions


def version_columns(versions: Versions) -> list[str]:
    """Versions and commits for a row of a table about all runs; several are separated by spaces."""
    return [' '.join(value or 'unknown' for value in column) for column in zip(*versions)]


def versions_in_words(versions: Versions) -> str:
    """As a table prints them: ``mmsola 0.2.0, commit abcdef1; mmsola 0.1.0``."""
    return '; '.join(
        f'mmsola {version or "of unknown version"}' + (f', commit {made_at}' if made_at else '')
        for version, made_at in versions
    )
