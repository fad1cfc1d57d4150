from pathlib import Path

from adapters.processes import log_files
from adapters.processes.log_files import last_lines, open_log


def test_the_last_lines_are_quoted(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "x.log"
    assert last_lines(path) == ""
    with open_log(path) as log:
        log.write(b"".join(b"line %d\n" % n for n in range(2_000)) + b"\xff\n")
    lines = last_lines(path).splitlines()
    assert lines[-2:] == ["line 1999", "\N{REPLACEMENT CHARACTER}"]
    assert len(lines) == 12
    assert last_lines(path, since=path.stat().st_size - 2) == "\N{REPLACEMENT CHARACTER}"


def test_a_log_that_has_grown_large_begins_anew(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(log_files, "_MAXIMUM_BYTES", 10)
    path = tmp_path / "x.log"
    for text in (b"first and long\n", b"second\n"):
        with open_log(path) as log:
            log.write(text)
    assert path.read_bytes() == b"second\n"
    assert (tmp_path / "x.log.1").read_bytes() == b"first and long\n"
    assert last_lines(path, since=500) == "second"
