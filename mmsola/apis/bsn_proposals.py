"""BSN's middle step: what TEM dumped becomes proposals, and features of them for PEM."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmaction.models.localizers.utils import generate_bsp_feature, generate_candidate_proposals
from mmengine.config import Config

from mmsola.atomic import replacing
from mmsola.files.file_names import leads_out
from mmsola.files.json_file import read_json_object
from mmsola.messages.first_few import first_few
from mmsola.messages.progress import progress

_NEEDED = ('duration_second', 'duration_frame', 'feature_frame', 'annotations')
_HEADER = 'tmin,tmax,tmin_score,tmax_score,score,match_iou,match_ioa'
#: Ground truth of a video without any, at which MMAction2 stops: no proposal overlaps it.
_NOWHERE = {'segment': [-2.0, -1.0]}


class ProposalError(ValueError):
    """TEM results or annotations of which no proposals can be made."""


@dataclass(frozen=True)
class ProposalGeneration:
    """MMAction2's generation of proposals and BSP features, one file each a video.

    Files appear whole or not at all. Those that are there are kept, unless what they are made from
    is newer; of other settings they know nothing.

    Args:
        tem_results: Folder of the csv files that testing TEM writes.
        proposals: Folder for proposals, csv.
        features: Folder for their features, npy.
        proposal_settings: Arguments of MMAction2's ``generate_candidate_proposals``.
        feature_settings: Arguments of its ``generate_bsp_feature``.
        overwrite: Make all files again.
    """

    tem_results: Path
    proposals: Path
    features: Path
    proposal_settings: dict[str, Any]
    feature_settings: dict[str, Any]
    overwrite: bool = False

    @classmethod
    def from_config(cls, cfg: Config, mode: str, overwrite: bool = False) -> ProposalGeneration:
        """From the keys of MMAction2's ``bsn_pgm`` configs, for ``'train'`` or ``'test'``."""
        return cls(
            tem_results=Path(cfg.tem_results_dir),
            proposals=Path(cfg.pgm_proposals_dir),
            features=Path(cfg.pgm_features_dir),
            proposal_settings=_without_threads(cfg.pgm_proposals_cfg),
            feature_settings=_without_threads(cfg[f'pgm_features_{mode}_cfg']),
            overwrite=overwrite,
        )

    def run(self, videos: Sequence[dict], num_processes: int = 1) -> int:
        """Write the files of all videos (see :func:`load_videos`), and show how far it is.

        Returns:
            How many files were written; two a video if none was there.

        Raises:
            ProposalError: TEM has not seen every video, or left a broken file.
        """
        self._check_all_there([video['video_name'] for video in videos])
        counts = self._each(videos, num_processes)
        return sum(progress(counts, 'BSN proposals', total=len(videos)))

    def generate(self, video: dict) -> int:
        """Write what is missing of one video; returns how many files that was."""
        name = video['video_name']
        tem_file = self._tem_file(name)
        proposals, features = self.proposals / f'{name}.csv', self.features / f'{name}.npy'
        written = 0
        if self._is_due(proposals, tem_file):
            self._check_tem_results(tem_file)
            video = {**video, 'annotations': video['annotations'] or [_NOWHERE]}
            rows = generate_candidate_proposals(
                [0], [video], str(self.tem_results), **self.proposal_settings
            )[name]
            if len(rows) == 1:
                rows = rows.repeat(2, axis=0)  # MMAction2 reads a file of one row as a vector
            with replacing(proposals) as partial:
                np.savetxt(partial, rows, header=_HEADER, delimiter=',', comments='')
            written += 1
        if self._is_due(features, proposals):
            feature = generate_bsp_feature(
                [0], [video], str(self.tem_results), str(self.proposals), **self.feature_settings
            )[name]
            with replacing(features) as partial:
                np.save(partial, feature)
            written += 1
        return written

    def _each(self, videos: Sequence[dict], num_processes: int) -> Iterator[int]:
        if num_processes <= 1:
            yield from map(self.generate, videos)
            return
        with ProcessPoolExecutor(num_processes) as pool:
            try:
                yield from pool.map(self.generate, videos, chunksize=8)
            except BrokenProcessPool:
                raise ProposalError(
                    'one of the processes was killed, perhaps for its memory; what is written '
                    'stays. Call this again, with fewer processes.'
                ) from None
            except BaseException:
                pool.shutdown(cancel_futures=True)  # tell now, and not after all other videos
                raise

    def _tem_file(self, name: str) -> Path:
        return self.tem_results / f'{name}.csv'

    def _is_due(self, file: Path, source: Path) -> bool:
        if self.overwrite or not file.is_file():
            return True
        return file.stat().st_mtime_ns < source.stat().st_mtime_ns

    def _check_all_there(self, names: Sequence[str]) -> None:
        missing = [name for name in names if not self._tem_file(name).is_file()]
        if missing:
            raise ProposalError(
                f'{self.tem_results}: {len(missing)} of {len(names)} videos have no TEM results: '
                f'{first_few(missing)}. Expected for example '
                f'{self._tem_file(missing[0])}; test the TEM config on these videos '
                '(ann_file_test), or correct tem_results_dir.'
            )

    def _check_tem_results(self, file: Path) -> None:
        """Of MMAction2's own dump, a killed test leaves half a file."""
        expected = (self.proposal_settings['temporal_scale'], 5)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('error', UserWarning)  # of no rows NumPy only warns
                found = np.loadtxt(file, dtype=np.float32, delimiter=',', skiprows=1, ndmin=2)
            fault = f'has shape {found.shape}' if found.shape != expected else ''
            if not fault and not np.isfinite(found).all():
                fault = 'has NaN or Inf among its values'
        except (ValueError, UserWarning) as error:
            fault = f'cannot be read ({error})'
        if fault:
            raise ProposalError(
                f'{file}: {fault}; expected {expected[0]} rows of action, start, end, tmin, tmax. '
                'Test the TEM config again, or set temporal_scale to its temporal_dim.'
            )


def load_videos(ann_file: str) -> list[dict]:
    """Entries of an annotation file in MMAction2's layout, each with its ``video_name``.

    Raises:
        ProposalError: There is no such file, or it is of another layout.
    """
    if not Path(ann_file).is_file():
        raise ProposalError(f'{ann_file}: no such annotation file; correct it in the config.')
    content = read_json_object(ann_file, ProposalError, 'annotations as MMAction2 prepares them')
    for name, entry in content.items():
        if leads_out(name):
            raise ProposalError(f'{ann_file}: the name of video {name!r} leads out of its folder.')
        lacking = [key for key in _NEEDED if not isinstance(entry, dict) or key not in entry]
        if lacking:
            raise ProposalError(
                f'{ann_file}: {name!r} lacks {", ".join(lacking)}; expected '
                f'{{name: {{{", ".join(_NEEDED)}}}}}, as MMAction2 prepares ActivityNet.'
            )
    return [{**entry, 'video_name': name} for name, entry in content.items()]


def _without_threads(settings: dict) -> dict[str, Any]:
    """The arguments of MMAction2's functions; the number of processes is a matter of its own."""
    return {key: value for key, value in settings.items() if not key.endswith('_thread')}
