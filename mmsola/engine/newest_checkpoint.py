"""The checkpoint that a killed training goes on from."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from mmengine.logging import print_log

from mmsola.models.checkpoint_file import CheckpointError, read_checkpoint

_NUMBERED = re.compile(r'(epoch|iter)_(\d+)\.pth')


def newest_whole_checkpoint(work_dir: str | Path) -> Path | None:
    """The newest checkpoint of a work directory that can be resumed from, None if there is none.

    MMEngine goes by the file ``last_checkpoint``, which a kill can leave empty or behind the newest
    checkpoint, and whose checkpoint may be damaged or gone. What is skipped, and why, is logged.
    """
    skipped = []
    for path in _newest_first(Path(work_dir)):
        try:
            _check_resumable(path)
        except CheckpointError as error:
            skipped.append(str(error).splitlines()[0])
            continue
        for reason in skipped:
            print_log(f'Not resumed from {reason}', 'current', logging.WARNING)
        print_log(f'Resuming from {path}, the newest whole checkpoint there.', 'current')
        return path
    for reason in skipped:
        print_log(f'Not resumed from {reason}', 'current', logging.WARNING)
    print_log(
        f'{work_dir}: there is no {"whole " if skipped else ""}checkpoint to resume from, so the '
        'training begins anew.',
        'current',
        logging.WARNING if skipped else logging.INFO,
    )
    return None


def _newest_first(work_dir: Path) -> Iterator[Path]:
    """Checkpoints of the work directory, and of where ``last_checkpoint`` points to."""
    found = {path for path in work_dir.glob('*.pth') if _NUMBERED.fullmatch(path.name)}
    pointer = work_dir / 'last_checkpoint'
    if pointer.is_file():
        text = pointer.read_text(encoding='utf-8', errors='replace').strip()
        last = Path(text)
        # a relative path may have been meant from another working directory
        here = next((p for p in (last, work_dir / last.name) if text and p.is_file()), None)
        if here is None:
            content = f'names {text!r}, which is not there' if text else 'is empty'
            print_log(f'{pointer}: {content}.', 'current', logging.WARNING)
        elif here.resolve() not in {path.resolve() for path in found}:
            found.add(here)
    return iter(sorted(found, key=_age, reverse=True))


def _age(path: Path) -> tuple[int, int]:
    """Newer checkpoints have greater ones: by number, whatever copying did to their times."""
    matched = _NUMBERED.fullmatch(path.name)
    return (int(matched[2]) if matched else -1, path.stat().st_mtime_ns)


def _check_resumable(path: Path) -> None:
    checkpoint = read_checkpoint(path)
    parts = ('state_dict', 'meta', 'message_hub', 'optimizer')
    lacking = (
        [part for part in parts if part not in checkpoint]
        if isinstance(checkpoint, dict)
        else parts
    )
    if lacking:
        raise CheckpointError(f'{path}: lacks {", ".join(lacking)}.')
