"""Progress on stderr: bars in a terminal, and a line every ten seconds in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from contsym.machine import raise_if_asked_to_stop
from contsym.sweep.job import Job, is_done

if TYPE_CHECKING:
    from contsym.sweep.plan import Sweep


LINE_SECONDS = 10.0
"""Least time between two lines of a log."""


class RunProgress:
    """The phases of a run: in a terminal a bar for each, else a line now and then."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._lines = Lines(console, self._line)
        self._bar: Any = None
        self._phase = Phase("starting", None)

    def __enter__(self) -> Self:
        self._bars.start()
        self._lines.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.stop()
        self._finish()
        self._bars.stop()

    def phase(self, description: str, total: int | None) -> None:
        self._finish()
        self._phase = Phase(description, total)
        self._bar = self._bars.add_task(escape(description), total=total, note="")

    def advance(self, loss: float | None = None) -> None:
        self._phase.n_done += 1
        self._phase.loss = loss
        self._bars.update(self._bar, advance=1, note=self._phase.note())

    def _line(self) -> str:
        return self._phase.line()

    def _finish(self) -> None:
        if self._bar is not None and not self._bars.disable:
            (bar,) = [t for t in self._bars.tasks if t.id == self._bar]
            # A phase without steps is one step that is done.
            total = bar.total or 1
            loss = self._phase.loss
            last = "" if loss is None else f"loss {loss:.4f}"
            self._bars.update(self._bar, total=total, completed=bar.completed or total, note=last)
            self._bars.stop_task(self._bar)


class Phase:
    """One phase of a run, and how far it is."""

    def __init__(self, description: str, total: int | None) -> None:
        self.description, self.total = description, total
        self.n_done = 0
        self.loss: float | None = None
        self._started = time.monotonic()

    def note(self) -> str:
        """The loss and the time left, as far as they are known."""
        loss = "" if self.loss is None else f"loss {self.loss:.4f}"
        return ", ".join(part for part in (loss, self._left()) if part)

    def line(self) -> str:
        """
        >>> phase = Phase("training on mnli", 150)
        >>> phase.line()
        'training on mnli: 0 of 150 steps'
        >>> phase.n_done, phase.loss, phase._started = 50, 0.7, phase._started - 120
        >>> phase.line()
        'training on mnli: 50 of 150 steps, loss 0.7000, about 4 min left'
        """
        if not self.total:
            return f"{self.description} ({duration(time.monotonic() - self._started)})"
        steps = f"{self.description}: {self.n_done:,} of {self.total:,} steps"
        return ", ".join(part for part in (steps, self.note()) if part)

    def _left(self) -> str:
        if not self.total or not 0 < self.n_done < self.total:
            return ""
        seconds = (time.monotonic() - self._started) * (self.total - self.n_done) / self.n_done
        return f"about {duration(seconds)} left"


class SweepProgress:
    """How many cells of a sweep are done, the time left, and which are running."""

    def __init__(self, console: Console, sweep: Sweep) -> None:
        self._console = console
        steps = {cell.job.key: cell.n_steps for cell in sweep.cells if not is_done(cell.job)}
        begun = {c.first_task.key: c for c in sweep.cells if c.first_task and c.job.key in steps}
        steps |= {
            key: c.n_first_task_steps
            for key, c in begun.items()
            if c.first_task and not is_done(c.first_task)
        }
        self._steps, self._n_steps_done = steps, 0
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._lines = Lines(console, self._line)
        self._n_cells = len(sweep.cells)
        self._n_done = sum(is_done(cell.job) for cell in sweep.cells)
        self._all = self._bars.add_task("cells", total=self._n_cells, completed=self._n_done, left="")
        self._left = ""
        self._rows: dict[str, Any] = {}
        self._running: dict[str, str] = {}
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        self._lines.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.stop()
        self._bars.stop()

    def started(self, job: Job) -> None:
        self._running[job.key] = job.name
        self._rows[job.key] = self._bars.add_task(f"  {job.name}", total=None, left="")

    def ended(self, job: Job, error: str | None) -> None:
        self._running.pop(job.key, None)
        if (row := self._rows.pop(job.key, None)) is not None and not self._bars.disable:
            self._bars.remove_task(row)
        if error:
            self._console.print(Text(f"{job.name}: {error}", style="red"))
            return
        self._n_steps_done += self._steps.pop(job.key, 0)
        if not job.is_first_task:
            self._n_done += 1
            self._bars.advance(self._all)

    def tick(self) -> None:
        if self._n_steps_done:
            seconds = (time.monotonic() - self._began) * sum(self._steps.values()) / self._n_steps_done
            self.note(f"about {duration(seconds)} left")

    def note(self, text: str) -> None:
        self._left = text
        self._bars.update(self._all, left=text)

    def _line(self) -> str:
        running = ", ".join(list(self._running.values()))
        parts = (
            f"{self._n_done:,} of {self._n_cells:,} cells done",
            self._left,
            running and f"running {running}",
        )
        return "; ".join(part for part in parts if part)


class Lines:
    """A thread that prints a line of progress every `LINE_SECONDS`; none in a terminal, which has bars.

    A thread, so that a long phase without steps is heard of too.
    """

    def __init__(self, console: Console, line: Callable[[], str]) -> None:
        self._console, self._line = console, line
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if not self._console.is_terminal:
            self._thread = threading.Thread(target=self._print_now_and_then, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread:
            self._thread.join()

    def _print_now_and_then(self) -> None:
        while not self._stopped.wait(LINE_SECONDS):
            try:
                self.print(self._line())
            except OSError:
                # Nobody reads the log any more; the run does not need it.
                return

    def print(self, text: str) -> None:
        """Without wrapping: a log is read by programs too."""
        self._console.print(Text(text), soft_wrap=True)


@contextmanager
def status(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Say what goes on before there are steps to count: a spinner in a terminal, else lines.

    Gives a function that replaces the text, and ends the work there if a signal has asked for it.
    """
    phase = Phase(text, None)
    lines = Lines(console, lambda: phase.line())
    spinner = console.status(escape(text)) if console.is_terminal else None

    def update(text: str) -> None:
        nonlocal phase
        raise_if_asked_to_stop()
        if spinner:
            spinner.update(escape(text))
        else:
            phase = Phase(text, None)
            lines.print(text)

    lines.start()
    try:
        with spinner or nullcontext():
            yield update
    finally:
        lines.stop()


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(42), duration(754), duration(9000)
    ('42 s', '13 min', '2 h 30 min')
    """
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
