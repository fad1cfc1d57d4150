"""Which software the processes of a state folder run."""

import time
from pathlib import Path

from adapters.processes.run_file import software_versions

_FRESH_SECONDS = 1.0


class Fleet:
    """The processes of a state folder, looked at again once a second.

    Parameters
    ----------
    home
        The state folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._looked = -_FRESH_SECONDS
        self._versions: frozenset[str] = frozenset()

    def versions(self) -> frozenset[str]:
        """Return the versions that living processes run; more than one is a mixture."""
        now = time.monotonic()
        if now - self._looked >= _FRESH_SECONDS:
            self._versions, self._looked = software_versions(self._home), now
        return self._versions
