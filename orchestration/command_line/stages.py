"""Say what is being done: a moving bar on a terminal, one line a stage in a pipe."""

import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


@dataclass
class Stage:
    """A running stage; `detail` ends up in its line, `advance` moves its bar."""

    title: str
    detail: str = ""
    _progress: Progress | None = None
    _task: TaskID | None = None

    def advance(self, done: float, total: float, detail: str = "") -> None:
        """Show how far the stage is."""
        self.detail = detail or self.detail
        if self._progress is not None and self._task is not None:
            self._progress.update(
                self._task, completed=done, total=total, detail=detail or self.detail
            )

    def say(self, detail: str) -> None:
        """Set what the stage's line tells."""
        self.detail = detail
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, detail=detail)


@dataclass
class Stages:
    """The stages of a long command, with the time each took."""

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, title: str) -> Generator[Stage]:
        """Run one stage: its bar while it runs, its line when it ends."""
        started = time.monotonic()
        if self.console.is_terminal:
            bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description:<34}"),
                BarColumn(bar_width=24),
                TimeElapsedColumn(),
                TextColumn("{task.fields[detail]}", style="dim", markup=False),
                console=self.console,
                transient=True,
            )
            stage = Stage(title, _progress=bar, _task=bar.add_task(title, total=None, detail=""))
        else:
            bar, stage = nullcontext(), Stage(title)
        mark = "[red]✗[/red]"
        try:
            with bar:
                yield stage
            mark = "[green]✓[/green]"
        finally:
            self.seconds[title] = time.monotonic() - started
            self.console.print(
                f"{mark} {title:<34} {self.seconds[title]:6.1f} s  {escape(stage.detail)}",
                highlight=False,
                soft_wrap=True,
            )
