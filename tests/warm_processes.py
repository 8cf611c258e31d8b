"""Processes that begin without the seconds that importing PyTorch and MMAction2 takes.

Each is forked from a server that has imported them and has done nothing else. It can be killed as
any other. How a tool starts and ends by itself is for others to test: see ``test_train.py``.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import runpy
import sys
import tempfile
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from signal import SIGKILL
from subprocess import CompletedProcess

import torch
from mmengine.config import config

CONTEXT = multiprocessing.get_context('forkserver')
# the last two are what a training imports when it begins
CONTEXT.set_forkserver_preload(['mmsola', 'torch._dynamo', 'torch.utils.tensorboard'])


def unformatted(text: str, **style: object) -> tuple[str, bool]:
    """For yapf's FormatCode: a Runner lays its config out about five times, for seconds."""
    return text, False


class WarmJob:
    """A tool with its arguments in a folder, used as a ``subprocess.Popen`` with one pipe.

    It leads a process group of its own. Its environment is that of the first of these processes.
    """

    def __init__(self, folder: Path, tool: Path, *arguments: object, errors: str | None = None):
        """``errors`` is a file for its standard error, which else goes into the pipe."""
        reader, writer = CONTEXT.Pipe(duplex=False)
        command = [str(tool), *map(str, arguments)]
        self._process = CONTEXT.Process(target=_run, args=(folder, command, writer, errors))
        self._process.start()
        self.pid = self._process.pid
        writer.close()
        self.stdout = os.fdopen(os.dup(reader.fileno()))  # ends when the job ends
        reader.close()

    def communicate(self, timeout: float = 200) -> tuple[str, None]:
        """Wait for its end; what is left of its output."""
        alarm = threading.Timer(timeout, os.killpg, (self.pid, SIGKILL))
        alarm.start()
        with self.stdout:
            output = self.stdout.read()
        alarm.cancel()
        self.wait()
        return output, None

    def wait(self, timeout: float = 60) -> None:
        self._process.join(timeout)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode


def run_tool(folder: Path, tool: Path, *arguments: object) -> CompletedProcess[str]:
    """As ``subprocess.run`` with its output captured, of a warm job."""
    with tempfile.NamedTemporaryFile('r') as errors:
        job = WarmJob(folder, tool, *arguments, errors=errors.name)
        output = job.communicate()[0]
        return CompletedProcess([tool, *arguments], job.returncode, output, errors.read())


def _run(folder: Path, command: list[str], output: Connection, errors: str | None) -> None:
    os.setsid()
    os.dup2(output.fileno(), 1)
    os.dup2(1 if errors is None else os.open(errors, os.O_WRONLY), 2)
    output.close()
    sys.stdout.reconfigure(line_buffering=True)  # before a signal ends it
    os.chdir(folder)
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    torch.set_num_threads(1)
    config.FormatCode = unformatted
    gc.freeze()
    sys.argv = command
    sys.path.insert(0, str(Path(command[0]).parent))
    runpy.run_path(command[0], run_name='__main__')
