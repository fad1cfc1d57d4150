"""Experiences on their way into the table EXPERIENCES."""

from agents.learning.experiences import experience_frame
from domain.experience import Experience
from domain.ports.time_series import Table, TimeSeriesStore


class ExperienceBuffer:
    """Takes experiences one by one and writes them together; the table holds each once.

    What still waits when a process ends is in the record of orders, from which the batch plane
    collects the same rows (`assets.experience`).
    """

    def __init__(self, store: TimeSeriesStore) -> None:
        self._store = store
        self._waiting: dict[str, Experience] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, experience: Experience) -> None:
        """Take an experience in; the same one again changes nothing."""
        self._waiting[experience.message_id] = experience

    def write(self) -> str:
        """Write what waits, and return the table's version; empty where nothing waited.

        Where the store refuses, all of it goes on waiting.
        """
        written = dict(self._waiting)
        if not written:
            return ""
        version = self._store.write(Table.EXPERIENCES, experience_frame(written.values()))
        for name in written:
            self._waiting.pop(name, None)
        return version
