"""The log files of the programs we start: bounded, and quoted when something goes wrong."""

from pathlib import Path
from typing import BinaryIO

_MAXIMUM_BYTES = 16_000_000
_QUOTED_BYTES = 8_192
_QUOTED_LINES = 12


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending; one that has grown large is kept as ``<name>.1`` first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _MAXIMUM_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def last_lines(path: Path, *, since: int = 0) -> str:
    """Return the log's last lines that were written after byte `since`; empty without a log."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(since if since <= end else 0, end - _QUOTED_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-_QUOTED_LINES:])
