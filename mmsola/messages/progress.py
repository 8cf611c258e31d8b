"""How far a long task is: a bar on a terminal, and a plain line now and then in files and pipes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from tqdm import tqdm

#: Between two lines where there is no terminal.
LINE_EVERY_SEC = 10.0
_MOST_LINES = 20  # while the time that has passed doubles

T = TypeVar('T')


class Progress:
    """Counts what is done of a task, and shows it on stderr.

    The bar is removed at the end, so that one bar at a time is on a terminal. Of several processes
    of one job only the first one shows anything.

    Args:
        total: How many there are to do; as a float where parts of one are counted.
        task: What is done: ``'Checking features'``.
        unit: What is counted, in the plural: ``'videos'``.
        show: False shows nothing.
        delay_sec: Tasks that are over before are not shown on a terminal.
    """

    def __init__(
        self, total: float, task: str, unit: str = 'videos', show: bool = True, delay_sec: float = 0
    ) -> None:
        self.total, self.task, self.unit = total, task, unit
        self.count: float = 0
        self._digits = ',d' if isinstance(total, int) else ',.1f'
        self._note = ''
        self._show = show and os.environ.get('RANK', '0') == '0'
        self._began_sec = time.monotonic()
        self._line_at_sec = self._began_sec + LINE_EVERY_SEC
        self._bar: tqdm | None = None
        if self._show and sys.stderr.isatty():
            self._bar = tqdm(
                total=total,
                desc=task,
                unit=unit,
                leave=False,
                delay=delay_sec,
                dynamic_ncols=True,
                bar_format=f'{{desc}}: {{n:{self._digits}}} of {{total:,.0f}} {{unit}} |{{bar}}| '
                '{elapsed}, about {remaining} left{postfix}',
            )

    def update(self, number: float = 1, note: str | None = None) -> None:
        """Count so many more; the note stands behind the numbers."""
        self.count += number
        if note is not None:
            self._note = note
        if self._bar is not None:
            if note is not None:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(number)
        elif self._show and self.count < self.total:
            now_sec = time.monotonic()
            if now_sec >= self._line_at_sec:
                self._print_line(now_sec - self._began_sec)
                # what takes hours needs no line in ten seconds
                passed_sec = now_sec - self._began_sec
                self._line_at_sec = now_sec + max(LINE_EVERY_SEC, passed_sec / _MOST_LINES)

    def _print_line(self, passed_sec: float) -> None:
        left_sec = passed_sec * (self.total - self.count) / max(self.count, 1e-9)
        parts = [
            f'{self.task}: {self.count:{self._digits}} of {self.total:,.0f} {self.unit}',
            f'about {tqdm.format_interval(left_sec)} left',
            self._note,
        ]
        print(', '.join(filter(None, parts)), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def progress(
    items: Iterable[T],
    task: str,
    unit: str = 'videos',
    total: int | None = None,
    show: bool = True,
    delay_sec: float = 0,
) -> Iterator[T]:
    """The items, counted by a :class:`Progress`."""
    if total is None:
        assert isinstance(items, Collection)
        total = len(items)
    with Progress(total, task, unit, show, delay_sec) as counter:
        for item in items:
            yield item
            counter.update()
