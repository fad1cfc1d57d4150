"""What every process of the platform does first and last: settings, logging, exit code."""

import sys
from collections.abc import Callable

import structlog

from adapters.logging import configure_logging
from domain.errors import QuorumError
from domain.settings import Settings, load_settings

_log = structlog.get_logger(__name__)


def run_process(name: str, body: Callable[[Settings], None]) -> int:
    """Run a process and return its exit code.

    A problem with the settings is told on standard error, any later one by the log.

    Parameters
    ----------
    name
        Of the process, in every line that it logs.
    body
        All that it does, given the settings.
    """
    try:
        settings = load_settings()
    except QuorumError as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    configure_logging(settings, name)
    try:
        body(settings)
    except QuorumError as problem:
        _log.error("stopped", exc_info=problem)
        return problem.exit_code
    return 0
