"""Your own bars, from folder to backtest by the command line: good ones go on, bad ones don't."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from adapters.time_series import open_time_series
from domain.ports.time_series import Table
from domain.settings import load_settings
from evaluation.worlds import edge_world
from orchestration.command_line.application import run

ROW = pl.int_range(pl.len())
HEADER = "date,open,high,low,close,volume\n"


def bars() -> pl.DataFrame:
    """Return a planted world's bars of one symbol, with days instead of instants."""
    world = edge_world(seed=3, days=700, symbols=("ACME",)).bars
    day = pl.col("timestamp").dt.date().cast(pl.String).alias("date")
    return world.select(day, "open", "high", "low", "close", "volume")


def at(row: int, name: str, value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return what puts a value into one cell."""

    def put(frame: pl.DataFrame) -> pl.DataFrame:
        changed = pl.when(row == ROW).then(pl.lit(value)).otherwise(pl.col(name))
        return frame.with_columns(changed.alias(name))

    return put


def stamped(zone: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def stamp(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(pl.col("date") + f"T21:00:00{zone}", pl.exclude("date")).rename(
            {"date": "timestamp"}
        )

    return stamp


#: File → what is wrong with it, the reason it gets, and for how many rows.
DEFECTS: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str, int]] = {
    "NEGATIVE": (at(5, "low", -1.0), "price_not_positive", 1),
    "HIGHLOW": (at(7, "high", 0.5), "high_below_low", 1),
    "NAN": (at(9, "close", float("nan")), "missing_value", 1),
    "TEXT": (at(11, "open", "n/a"), "text_in_number", 1),
    "UNSORTED": (lambda f: pl.concat([f[4:8], f[:4], f[8:]]), "out_of_order", 4),
    "TWICE": (lambda f: pl.concat([f[:6], f[5:]]), "repeated_row", 1),
    "GAPS": (lambda f: pl.concat([f[:50], f[70:90]]), "symbol_withheld", 67),
    "ZONE": (lambda f: stamped("+09:00")(f[:60]), "not_at_session_close", 60),
    "NAIVE": (lambda f: stamped("")(f[:60]), "naive_timestamp", 1),
    "COLUMN": (lambda f: f.drop("close"), "missing_column", 1),
    "EMPTY": (lambda f: f[:0], "empty_file", 1),
}


def make_folder(folder: Path) -> Path:
    """Write two good symbols, and one file for each thing that can be wrong with one."""
    folder.mkdir()
    good = bars()
    good.write_csv(folder / "ACME.csv")
    good.with_columns(symbol=pl.lit("BOLT"), date=pl.col("date").str.to_date()).write_parquet(
        folder / "more.parquet"
    )
    for name, (spoil, _, _) in DEFECTS.items():
        spoil(good).write_csv(folder / f"{name}.csv")
    (folder / "TORN.parquet").write_bytes((folder / "more.parquet").read_bytes()[:2000])
    (folder / "BINARY.csv").write_bytes(bytes(range(256)))
    return folder


@pytest.fixture
def own(monkeypatch, tmp_path, ledger_url) -> Path:
    """A data folder of one's own; the record is of the test session's server."""
    monkeypatch.setenv("QUORUM_LEDGER_URL", ledger_url)
    monkeypatch.setenv("QUORUM_DATA_FOLDER", str(tmp_path / "data"))
    return tmp_path / "data"


def test_bad_rows_are_told_and_kept_and_the_rest_is_learned_from(own, capsys):
    make_folder(own)
    assert run(["train", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["promotions"]) == 4
    (warned,) = (w for w in told["warnings"] if w["name"] == "rows_accepted")
    for _, reason, _ in DEFECTS.values():
        assert reason in warned["description"]

    assert run(["quarantine", "--limit", "1000", "--json"]) == 0
    refused = pl.DataFrame(json.loads(capsys.readouterr().out))
    for name, (_, reason, rows) in DEFECTS.items():
        found = refused.filter(pl.col("source").str.starts_with(f"{name}.csv"), reason=reason)
        assert found.height == rows, name
    assert refused.filter(reason="unreadable_file")["source"].to_list() == [
        "BINARY.csv",
        "TORN.parquet",
    ]
    stored = open_time_series(load_settings()).read(Table.BARS)
    assert set(stored["symbol"]) == {
        *("ACME", "BOLT", "HIGHLOW", "NAN", "NEGATIVE", "TEXT", "TWICE", "UNSORTED"),
    }

    assert run(["backtest", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bars"] > 1000
    assert found["unseen"] is False
    worst, *_, best = found["other_paths"]["wealth"]
    assert worst - 1 < found["total_return"] < best - 1

    assert run(["backtest", "--start", "2030-01-01"]) == 3
    assert "the last is of 2002-" in capsys.readouterr().err


def test_too_much_that_is_bad_is_refused_and_listed(own, capsys):
    own.mkdir()
    for symbol in ("ACME", "BOLT"):
        bars().with_columns(high=pl.when(ROW % 3 == 0).then(0.5).otherwise("high")).write_csv(
            own / f"{symbol}.csv"
        )
    assert run(["train"]) == 3
    told = " ".join(capsys.readouterr().err.split())
    assert "rows_accepted of quarantine" in told
    assert "high_below_low" in told
    assert "Nothing was trained on it" in told
    assert run(["quarantine", "--symbol", "BOLT", "--limit", "1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["source"], row["reason"]) == ("BOLT.csv:1", "high_below_low")
    assert run(["backtest"]) == 3


def test_a_folder_without_any_usable_file_names_each(own, capsys):
    own.mkdir()
    (own / "a.csv").write_text("")
    (own / "b.csv").write_text("[/bold],no,bars\n1,2,3\n")
    assert run(["train"]) == 3
    told = " ".join(capsys.readouterr().err.split())
    assert "a.csv (empty_file)" in told
    assert "b.csv (missing_column)" in told
