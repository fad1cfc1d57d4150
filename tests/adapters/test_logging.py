import io
import json
import logging
import warnings
from datetime import UTC, datetime

import pytest
import structlog

from adapters.logging import configure_logging, correlated
from domain.errors import RecordUnavailable
from domain.market import Tick
from domain.settings import Settings

TICK = Tick(message_id="m-1", correlation_id="walk-1", occurred_at=datetime(2013, 1, 2, tzinfo=UTC))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def stream(monkeypatch):
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    output = io.StringIO()
    configure_logging(Settings(), "consensus", stream=output)
    yield output
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_pipe_gets_json_with_process_level_time_and_logger(stream):
    structlog.get_logger("room").info("vote.cast", score=75)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "vote.cast",
        "score": 75,
        "level": "info",
        "logger": "room",
        "process": "consensus",
    }


def test_the_standard_library_goes_the_same_way(stream):
    logging.getLogger("library").warning("lost %d messages", 3)
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["process"]) == (
        "lost 3 messages",
        "warning",
        "consensus",
    )


def test_every_line_of_a_walk_carries_its_ids(stream):
    with correlated(TICK):
        structlog.get_logger().info("ours")
        logging.getLogger("library").warning("theirs")
    structlog.get_logger().info("after")
    ours, theirs, after = lines(stream)
    for line in (ours, theirs):
        assert (line["correlation_id"], line["message_id"]) == ("walk-1", "m-1")
    assert "correlation_id" not in after


def test_an_expected_error_is_three_sentences_and_no_traceback(stream):
    problem = RecordUnavailable("The ledger is gone.", kept="All.", next_step="Start it.")
    structlog.get_logger().error("commit.failed", exc_info=problem)
    (line,) = lines(stream)
    assert line["error"] == "RecordUnavailable"
    assert (line["what"], line["kept"], line["next_step"]) == (
        "The ledger is gone.",
        "All.",
        "Start it.",
    )
    assert "exception" not in line


def test_an_unexpected_error_has_a_traceback_in_one_line(stream):
    logging.getLogger("library").error("broken", exc_info=KeyError("x"))
    (line,) = lines(stream)
    assert line["exception"] == "KeyError: 'x'"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", "postgresql+psycopg://quorum:hunter2@db:5432/quorum"),
        ("url", "redis://:hunter2@bus:6379"),
        ("password", "hunter2"),
        ("api_key", "hunter2"),
        ("headers", {"Authorization": "Bearer hunter2"}),
        ("urls", ["redis://a:hunter2@b"]),
    ],
)
def test_secrets_never_reach_a_line(stream, name, value):
    structlog.get_logger().info("connected", **{name: value})
    assert "hunter2" not in stream.getvalue()
    assert "***" in stream.getvalue()


def test_a_secret_in_a_traceback_is_hidden_too(stream):
    problem = OSError("redis://:hunter2@bus:6379 refused")
    structlog.get_logger().error("lost", exc_info=problem)
    assert "OSError" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_a_terminal_gets_text(stream):
    terminal = Terminal()
    configure_logging(Settings(), "consensus", stream=terminal)
    structlog.get_logger().info("vote.cast", score=75)
    assert "vote.cast" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_configuring_twice_logs_once_and_at_the_new_level(stream):
    again = io.StringIO()
    configure_logging(Settings(log_level="WARNING", log_format="json"), "x", stream=again)
    structlog.get_logger().info("unseen")
    logging.getLogger("library").info("unseen")
    structlog.get_logger().warning("seen")
    assert stream.getvalue() == ""
    assert [line["event"] for line in lines(again)] == ["seen"]


def test_python_warnings_are_lines(stream):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", UserWarning, stacklevel=1)
    (line,) = lines(stream)
    assert line["logger"] == "py.warnings"


def test_values_that_json_does_not_know_are_spelled(stream):
    structlog.get_logger().info("odd", error=ValueError("x"), at={1, 2})
    assert lines(stream)[0]["error"] == "x"
