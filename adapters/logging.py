"""Logging, configured once a process: JSON for machines, aligned text on a terminal.

Rooms log with ``structlog.get_logger()`` or the standard library; both end here. Within
`correlated` every line, a library's too, carries the walk's ids. Lines go to standard error,
because standard output belongs to results.
"""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from domain.errors import QuorumError
from domain.messages import Message
from domain.settings import Settings

_SECRET_NAME = re.compile(
    "password|passwd|secret|token|authorization|api_?key|cookie", re.IGNORECASE
)
_SECRET_IN_URL = re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]+@")
_HIDDEN = "***"

#: Libraries that tell more at INFO than anyone reads.
_QUIET = ("httpx", "httpcore", "alembic.runtime", "uvicorn.error", "bentoml", "opentelemetry")


def configure_logging(settings: Settings, process: str, *, stream: TextIO | None = None) -> None:
    """Route structlog and the standard library to one handler; a second call replaces the first.

    Parameters
    ----------
    process
        Name that every line carries.
    stream
        Where lines go; standard error by default.
    """
    target = sys.stderr if stream is None else stream
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not target.isatty()
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _name_process(process),
        _spell_out_errors,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _hide_secrets,
                _render_json if as_json else _text(colors=target.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)


@contextmanager
def correlated(message: Message) -> Iterator[None]:
    """Put the ids of the message in hand into every line that is logged in the block."""
    with structlog.contextvars.bound_contextvars(
        correlation_id=message.correlation_id, message_id=message.message_id
    ):
        yield


def _name_process(process: str) -> Processor:
    def add(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return add


def _spell_out_errors(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Say an expected error in its own three sentences; only an unexpected one has a traceback."""
    raised = event.get("exc_info")
    problem = sys.exc_info()[1] if raised is True else raised
    if isinstance(problem, tuple):
        problem = problem[1]
    if isinstance(problem, QuorumError):
        del event["exc_info"]
        event.update(
            error=type(problem).__name__,
            what=problem.what,
            kept=problem.kept,
            next_step=problem.next_step,
        )
    return event


def _hide_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {name: _hidden(name, value) for name, value in event.items()}


def _hidden(name: object, value: object) -> object:
    match value:
        case _ if isinstance(name, str) and _SECRET_NAME.search(name):
            return _HIDDEN
        case str():
            return _SECRET_IN_URL.sub(rf"\1:{_HIDDEN}@", value)
        case dict():
            return {inner: _hidden(inner, held) for inner, held in value.items()}
        case list() | tuple():
            return [_hidden("", held) for held in value]
        case _:
            return value


def _text(*, colors: bool) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
