"""What the platform's watch does where the databases can't be started."""

from io import StringIO

from rich.console import Console

from adapters.processes import Supervisor
from domain.errors import EnvironmentProblem
from orchestration import platform


class Databases:
    """Databases that can't be started twice, then can, then somebody presses Ctrl-C."""

    def __init__(self) -> None:
        self.looks = 0

    def ensure(self) -> None:
        self.looks += 1
        if self.looks <= 2:
            raise EnvironmentProblem("No room on [disk].", next_step="Make some.")
        if self.looks > 3:
            raise KeyboardInterrupt


def test_databases_that_can_not_be_started_yet_are_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "_WATCH_SECONDS", 0.0)
    databases, told = Databases(), StringIO()
    platform._watch(Supervisor(tmp_path), databases, Console(file=told))
    assert databases.looks == 4
    assert told.getvalue().count("No room on [disk].") == 2
