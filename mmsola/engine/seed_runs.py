"""Trainings of one config with several seeds, each in a process and a folder of its own."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmsola.atomic import replacing
from mmsola.engine.threads import threads_of
from mmsola.evaluation.seeds import validations_of
from mmsola.files.folder_lock import only_writer
from mmsola.files.json_file import is_number, read_json_object
from mmsola.version import __version__, commit

#: The command that trains one config; its folder keeps the whole output.
TRAIN = (sys.executable, '-u', '-m', 'mmsola', 'train')
_STOP_SEC = 5  # for a training to clean up before it is killed


class SeedRunError(ValueError):
    """A run that failed, or a folder that holds a run of other settings."""


@dataclass(frozen=True)
class SeedRun:
    """One training. In any text of the config, ``{seed}`` is its seed and ``{folder}`` its folder.

    Finished runs are kept; one that was killed goes on from its newest checkpoint.
    """

    cfg: Config
    seed: int
    folder: Path

    @property
    def max_epochs(self) -> int:
        """Epochs of a finished run."""
        return self.cfg.train_cfg.max_epochs

    def check(self) -> None:
        """Refuse to take a run of other settings for this one.

        Raises:
            SeedRunError: The folder says that it is one.
        """
        if self._stamp.exists() and self._stamp.read_text() != self.settings():
            raise SeedRunError(
                f'{self.folder}: was trained with another config or other options; choose another '
                '--work-dir, or remove it.'
            )

    def is_finished(self) -> bool:
        """Whether the last epoch was trained and validated."""
        try:
            return self.max_epochs in validations_of(self.folder)
        except FileNotFoundError:
            return False

    def figures(self) -> dict[str, float]:
        """What the validation after the last epoch measured."""
        return validations_of(self.folder)[self.max_epochs]

    def cost(self) -> dict[str, Any]:
        """``seconds`` of the process, restarts added, and the greatest ``memory_mb`` it held.

        With ``mmsola`` and ``commit`` of the last process, where they were written.
        """
        file = self.folder / 'cost.json'
        if not file.exists():
            return {'seconds': 0.0, 'memory_mb': 0.0}
        cost = read_json_object(
            file, SeedRunError, '{"seconds": ..., "memory_mb": ...}', 'remove it'
        )
        if not all(is_number(cost.get(key)) and cost[key] >= 0 for key in ('seconds', 'memory_mb')):
            raise SeedRunError(
                f'{file}: holds {cost}\n  expected: seconds and memory_mb, both 0 or more\n'
                '  fix: remove it'
            )
        if not all(isinstance(cost.get(key), (str, type(None))) for key in ('mmsola', 'commit')):
            raise SeedRunError(
                f'{file}: holds {cost}\n  expected: mmsola and commit, both texts\n  fix: remove it'
            )
        return cost

    def made_with(self) -> tuple[str | None, str | None]:
        """Version of mmsola and commit that trained it; None where that was not written."""
        cost = self.cost()
        return cost.get('mmsola'), cost.get('commit')

    @property
    def num_threads(self) -> int:
        """CPU threads that it computes with, on which its figures depend."""
        return threads_of(self.cfg)

    def train(self, running: Running, on_epoch: Callable[[], object] = lambda: None) -> None:
        """Run ``mmsola train`` until it ends; its output goes to ``train.log``.

        Args:
            running: What it is stopped by, together with others.
            on_epoch: Called when an epoch begins.

        Raises:
            SeedRunError: The folder is one of other settings, or another process trains there; the
                training failed or was stopped.
        """
        running.check()
        with only_writer(self.folder, SeedRunError, 'training'):
            self._train(running, on_epoch)

    def _train(self, running: Running, on_epoch: Callable[[], object]) -> None:
        self.check()
        config = self._write_config()
        command = [*TRAIN, str(config), '--work-dir', str(self.folder)]
        command += ['--seed', str(self.seed), '--resume', '--cfg-options', 'quiet_console=False']
        log, epoch, began = self.folder / 'train.log', '0', time.monotonic()
        with log.open('a') as file:
            process = running.start(command)
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    file.write(line)
                    file.flush()
                    found = re.search(r'Epoch\(train\) +\[(\d+)\]', line)
                    if found and found[1] != epoch:
                        epoch = found[1]
                        on_epoch()
                # the only way to learn what this one process used
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            finally:
                running.end(process)
        self._add_cost(time.monotonic() - began, usage.ru_maxrss)
        if running.are_stopped:
            raise SeedRunError(f'seed {self.seed} was stopped')
        if process.returncode:
            tail = '\n'.join(log.read_text().splitlines()[-5:])
            raise SeedRunError(f'seed {self.seed} failed:\n{tail}\nThe whole log: {log}')

    def _write_config(self) -> Path:
        config = self.folder / 'config.py'
        filled = Config(_filled(self.seeded(), '{folder}', str(self.folder)))
        with replacing(config) as partial:
            partial.write_text(filled.pretty_text)
        with replacing(self._stamp) as partial:
            partial.write_text(self.settings())
        return config

    @property
    def _stamp(self) -> Path:
        return self.folder / 'settings.sha256'

    def seeded(self) -> dict[str, Any]:
        """Its settings, with the seed in place of ``{seed}``."""
        settings = self.cfg.to_dict()
        return {key: _filled(value, '{seed}', str(self.seed)) for key, value in settings.items()}

    def settings(self) -> str:
        """A digest of all settings, which differs where one of them does."""
        return hashlib.sha256(repr(sorted(self.seeded().items())).encode()).hexdigest()

    def _add_cost(self, seconds: float, memory_kb: float) -> None:
        before = self.cost()
        # kilobytes on Linux, bytes on macOS
        memory_mb = memory_kb / (2**20 if sys.platform == 'darwin' else 2**10)
        cost = {
            'seconds': before['seconds'] + seconds,
            'memory_mb': max(before['memory_mb'], memory_mb),
            'num_threads': self.num_threads,
            'mmsola': __version__,
            'commit': commit(),
        }
        with replacing(self.folder / 'cost.json') as partial:
            partial.write_text(json.dumps(cost))


class Running:
    """Trainings that run now, in whatever threads, so that one call ends them all."""

    def __init__(self) -> None:
        self.are_stopped = False
        self._processes: set[subprocess.Popen] = set()
        self._lock = threading.Lock()

    def check(self) -> None:
        """Refuse to begin one after :meth:`stop`."""
        if self.are_stopped:
            raise SeedRunError('stopped before it began')

    def start(self, command: list[str]) -> subprocess.Popen:
        """Begin one, in a process group of its own."""
        with self._lock:
            self.check()
            # a group of its own: it ends with all its workers, and only when it is stopped
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            self._processes.add(process)
            return process

    def end(self, process: subprocess.Popen) -> None:
        """Forget one that ended, or kill it where nobody waited for it."""
        with self._lock:
            self._processes.discard(process)
        if process.returncode is None:
            _signal_group(process, signal.SIGKILL)

    def stop(self) -> None:
        """End all of them, and let no other one begin."""
        with self._lock:
            self.are_stopped = True
            processes = list(self._processes)
        for process in processes:
            _signal_group(process, signal.SIGTERM)
        end = time.monotonic() + _STOP_SEC
        while time.monotonic() < end and any(map(_is_running, processes)):
            time.sleep(0.05)
        for process in processes:
            _signal_group(process, signal.SIGKILL)


def _is_running(process: subprocess.Popen) -> bool:
    # not process.poll(), which would take the exit status from whom it is for
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def _signal_group(process: subprocess.Popen, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def train_all(
    runs: Sequence[SeedRun],
    jobs: int,
    on_epochs: Callable[[int], object] = lambda count: None,
    stop_at_failure: bool = True,
    check: Callable[[SeedRun], object] = lambda run: None,
) -> None:
    """Train the runs that are not finished, in their order, so many at a time.

    Args:
        runs: The runs; each computes with its own ``num_threads``, whatever ``jobs`` is.
        jobs: Runs at a time.
        on_epochs: Called with the epochs that are done, one or those of a finished run.
        stop_at_failure: Begin no other training once one failed; those that run then may end. False
            trains all others, says at once what failed, and fails in the end.
        check: Called with each finished run, also one of before; what it raises ends all trainings.

    Raises:
        SeedRunError: A folder is one of other settings, or a training failed.
    """
    running = Running()
    _warn_of_too_many_threads(min(jobs, len(runs)) * max(run.num_threads for run in runs))
    with ThreadPoolExecutor(jobs) as pool:
        waiting: dict[Future, SeedRun] = {}
        failures = []
        try:
            for run in runs:
                run.check()
                if run.is_finished():
                    check(run)
                    on_epochs(run.max_epochs)
                else:
                    training = pool.submit(run.train, running, lambda: on_epochs(1))
                    waiting[training] = run
            for done in as_completed(waiting) if not stop_at_failure else waiting:
                try:
                    done.result()
                    check(waiting[done])
                except SeedRunError as error:
                    if stop_at_failure:
                        raise
                    failures.append(error)
                    print(f'{error}\nThe other trainings go on.', file=sys.stderr)
        except SeedRunError:
            pool.shutdown(cancel_futures=True)
            raise
        except BaseException:  # Ctrl-C, or a run that check refused
            running.stop()
            pool.shutdown(cancel_futures=True)
            raise
    if failures:
        raise SeedRunError(f'{len(failures)} of {len(runs)} trainings failed; first {failures[0]}')


def _warn_of_too_many_threads(number: int) -> None:
    cores = os.cpu_count() or 1
    if number > cores:
        print(
            f'jobs times num_threads is {number}, and this machine has {cores} cores: fewer jobs '
            'take less time.',
            file=sys.stderr,
        )


def check_seeds_and_jobs(parser: argparse.ArgumentParser, seeds: Sequence[int], jobs: int) -> None:
    """End the command where a seed is there twice, or nothing could be trained at a time."""
    if len(set(seeds)) < len(seeds):
        parser.error('a seed is named twice')
    if jobs < 1:
        parser.error('--jobs is at least 1')


def _filled(value: object, placeholder: str, text: str) -> object:
    """The value with this text in each of its texts that has the placeholder."""
    if isinstance(value, str):
        return value.replace(placeholder, text)
    if isinstance(value, dict):
        return {key: _filled(item, placeholder, text) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_filled(item, placeholder, text) for item in value)
    return value
