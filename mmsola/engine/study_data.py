"""What a study reads, looked for before the first training: its last row may be hours away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmsola.datasets.known_sets import see_page
from mmsola.engine.seed_runs import SeedRun
from mmsola.engine.study_part import StudyError
from mmsola.engine.wrapped_datasets import dataset_configs
from mmsola.messages.first_few import first_few

_LOADERS = ('train_dataloader', 'val_dataloader')


def check_data_are_there(runs: Iterable[SeedRun]) -> None:
    """Refuse to begin where annotations or features of a run that is not finished are missing.

    What is in the files is checked by each training itself.

    Raises:
        StudyError: One is missing.
    """
    needed = dict.fromkeys(
        path for run in runs if not run.is_finished() for path in _files_of(run.seeded())
    )
    missing = [path for path in needed if not path.exists()]
    if missing:
        pages = dict.fromkeys(see_page(path) for path in missing)
        raise StudyError(
            f'the data of this study: not there are {first_few(missing)}\n'
            '  expected: annotations and features of every row, before the first training\n'
            f'  fix: make them, or train the other rows with --only{"".join(pages)}'
        )


def _files_of(cfg: Mapping[str, Any]) -> Iterator[Path]:
    """Annotation files and folders of features that a training and its validation read."""
    for loader in _LOADERS:
        for dataset in dataset_configs((cfg.get(loader) or {}).get('dataset') or {}):
            root = Path(dataset.get('data_root') or '')
            features = (dataset.get('data_prefix') or {}).get('feature')
            for path in (dataset.get('ann_file'), features):
                if isinstance(path, str) and path and '://' not in path and '{' not in path:
                    yield (root / path).expanduser()
