"""How the command lines end: in one line, and with nothing left half done."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from mmsola.atomic import is_disk_fault

_SIGNAL_EXIT = 128  # a shell's exit code of a process that a signal ended is this plus the signal


class Terminated(BaseException):
    """SIGTERM, as an exception: what is unfinished is cleaned up like after Ctrl-C."""


def run(main: Callable[[], object], *expected: type[Exception]) -> None:
    """Run a tool's main function; errors of ours, Ctrl-C and SIGTERM end it in a message.

    An error of another library keeps its traceback, since it is a fault of ours. Exit codes: 1
    after an error, 130 after Ctrl-C, 143 after SIGTERM.

    Args:
        main: What the tool does.
        expected: Errors of other libraries whose message is enough, too.
    """
    signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        _stop(signal.SIGINT, 'stopped by Ctrl-C')
    except Terminated:
        _stop(signal.SIGTERM, 'stopped by SIGTERM')
    except BrokenPipeError:  # whoever read the output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_SIGNAL_EXIT + signal.SIGPIPE)
    except Exception as error:
        if isinstance(error, OSError) and is_disk_fault(error):
            sys.exit(
                f'{error.filename or "the disk"}: {error.strerror}. Free some space or correct its '
                'rights, and run the same command again.'
            )
        if not is_ours(error) and not isinstance(error, expected):
            raise
        sys.exit(str(error))


def is_ours(error: Exception) -> bool:
    """Whether an error is one of mmsola's own kinds, whose message says all there is to say."""
    return type(error).__module__.split('.')[0] == 'mmsola'


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    # another one, while the first is cleaned up after, is not waited for
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated


def _stop(number: signal.Signals, message: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(f'\n{message}; run the same command again to go on', file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    # threads and workers would still be waited for, each with a traceback of its own
    os._exit(_SIGNAL_EXIT + number)
