"""Progress on stderr: bars in a terminal, a line every ten seconds in a log."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from contsym.commands.views.time_left import TimeLeft
from contsym.machine import raise_if_asked_to_stop
from contsym.sweeps.job import Job, is_done

if TYPE_CHECKING:
    from contsym.sweeps.plan import Sweep


LINE_SECONDS = 10.0
"""The least time between two lines of a log."""
NOTE_WIDTH = len("loss 0.1234, about 12 min left")


class Log:
    """A thread that prints a line every `LINE_SECONDS`, during long phases without steps too.

    On the console if that is not a terminal, and on `file`.
    """

    def __init__(self, console: Console, line: Callable[[], str], file: Console | None = None) -> None:
        self._consoles = [] if console.is_terminal or console.quiet else [console]
        self._file, self._line = file, line
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._print_lines, daemon=True)

    def __enter__(self) -> Self:
        if self._consoles or self._file:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _print_lines(self) -> None:
        while not self._ended.wait(LINE_SECONDS):
            try:
                self.print(self._line())
            except OSError:
                # The reader of the log is gone; the run does not need it.
                return

    def print(self, text: str) -> None:
        # Not wrapped, since programs read logs too.
        for console in self._consoles:
            console.print(Text(text), soft_wrap=True)
        if self._file:
            self._file.print(Text(f"{datetime.now():%H:%M:%S} {text}"), soft_wrap=True)


class Display(ABC):
    """Bars, each with a note behind it, a log in their place where there is no terminal, and one in `file`."""

    def __init__(self, console: Console, file: Console | None = None) -> None:
        columns = (
            # The only column that gives way where the terminal is narrow.
            TextColumn("{task.description}", table_column=Column(overflow="fold")),
            # With the usual name of a phase, all of it fits into 80 columns.
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            # Its room is kept from the start: otherwise the names would be folded again at the first note.
            TextColumn("{task.fields[note]}", table_column=Column(min_width=NOTE_WIDTH)),
        )
        self.console, self.file = console, file
        self.bars = Progress(*columns, console=console, disable=not console.is_terminal or console.quiet)
        self._log = Log(console, self.line, file)

    @abstractmethod
    def line(self) -> str:
        """The state as a line of the log."""

    def __enter__(self) -> Self:
        self.bars.start()
        self._log.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._log.__exit__()
        self.bars.stop()


class RunProgress(Display):
    """The phases of a run, a bar each."""

    def __init__(self, console: Console, file: Console | None = None) -> None:
        super().__init__(console, file)
        self._bar: TaskID | None = None
        self._phase = Phase("starting", None)

    def __exit__(self, *_: object) -> None:
        self._finish_bar()
        super().__exit__()

    def phase(self, description: str, total: int | None) -> None:
        self._finish_bar()
        self._phase = Phase(description, total)
        self._bar = self.bars.add_task(escape(description), total=total, note="")

    def advance(self, loss: float | None = None) -> None:
        self._phase.n_done += 1
        self._phase.loss = loss
        if self._bar is not None:
            self.bars.update(self._bar, advance=1, note=self._phase.note())

    def line(self) -> str:
        return self._phase.line()

    def _finish_bar(self) -> None:
        if self._bar is not None and not self.bars.disable:
            phase = self._phase
            # A phase without steps counts as one step.
            total = phase.total or 1
            self.bars.update(self._bar, total=total, completed=phase.n_done or total, note=phase.loss_text())
            self.bars.stop_task(self._bar)


class Phase:
    """One phase of a run, and its state."""

    def __init__(self, description: str, total: int | None) -> None:
        self.description, self.total = description, total
        self.n_done = 0
        self.loss: float | None = None
        self._started = time.monotonic()

    def loss_text(self) -> str:
        return "" if self.loss is None else f"loss {self.loss:.4f}"

    def note(self) -> str:
        """The loss and the time left, as far as they are known."""
        left = ""
        if self.total and 0 < self.n_done < self.total:
            seconds = (time.monotonic() - self._started) * (self.total - self.n_done) / self.n_done
            left = f"about {duration(seconds)} left"
        return ", ".join(filter(None, (self.loss_text(), left)))

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
        return ", ".join(filter(None, (steps, self.note())))


class SweepProgress(Display):
    """The finished cells of a sweep, the time left, and the running cells."""

    def __init__(self, console: Console, file: Console | None, sweep: Sweep, seconds: float) -> None:
        """`seconds`: how long it takes at most by the plan, until cells that are done say more; 0 if unknown."""
        super().__init__(console, file)
        # Without a training step a cell takes time too.
        steps = {cell.job.key: max(1, cell.n_steps) for cell in sweep.cells if not is_done(cell.job)}
        steps |= {
            cell.first_task.key: max(1, cell.n_first_task_steps)
            for cell in sweep.cells
            if cell.job.key in steps and cell.first_task and not is_done(cell.first_task)
        }
        self._time_left = TimeLeft(steps, seconds, time.monotonic())
        done = [is_done(cell.job) for cell in sweep.distinct]
        self._n_cells, self._n_done = len(done), sum(done)
        self._cells = self.bars.add_task("cells", total=self._n_cells, completed=self._n_done, note="")
        self._note = ""
        self._running: dict[str, tuple[str, TaskID]] = {}

    def started(self, job: Job) -> None:
        self._time_left.started(job.key, time.monotonic())
        bar = self.bars.add_task(escape(f"  {job.name}"), total=None, note="")
        self._running[job.key] = (job.name, bar)

    def ended(self, job: Job, error: str | None) -> None:
        _, bar = self._running.pop(job.key, ("", None))
        if bar is not None and not self.bars.disable:
            self.bars.remove_task(bar)
        if error:
            self._time_left.dropped(job.key)
            for console in filter(None, (self.console, self.file)):
                console.print(Text(f"{job.name}: {error}", style="red"))
            return
        self._time_left.ended(job.key, time.monotonic())
        if not job.is_first_task:
            self._n_done += 1
            self.bars.advance(self._cells)

    def tick(self) -> None:
        if self._n_done == self._n_cells:
            self.note("")
        elif (seconds := self._time_left.seconds(time.monotonic())) is not None:
            self.note(f"about {duration(seconds)} left" if seconds >= 1 else "longer than expected")

    def note(self, text: str) -> None:
        self._note = text
        self.bars.update(self._cells, note=text)

    def line(self) -> str:
        running = ", ".join([name for name, _ in list(self._running.values())])
        done = f"{self._n_done:,} of {self._n_cells:,} cells done"
        return "; ".join(filter(None, (done, self._note, running and f"running {running}")))


@contextmanager
def status(console: Console, text: str, file: Console | None = None) -> Iterator[Callable[[str], None]]:
    """Show a text during work without steps: behind a spinner in a terminal, else as lines of a log.

    Gives a function that replaces the text; if a signal has asked the command to stop, it raises.
    """
    phase = Phase(text, None)
    spinner = console.status(escape(text)) if console.is_terminal and not console.quiet else None
    log = Log(console, lambda: phase.line(), file)

    def update(text: str) -> None:
        nonlocal phase
        raise_if_asked_to_stop()
        if spinner:
            spinner.update(escape(text))
        phase = Phase(text, None)
        log.print(text)

    with log, spinner or nullcontext():
        yield update


def duration(seconds: float) -> str:
    """
    >>> duration(42), duration(754), duration(9000)
    ('42 s', '13 min', '2 h 30 min')
    """
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
